"""One step of TRL's GRPO, as a program: ``python tests/grpo_step.py URL FOLDER``. Its last line is the mean reward."""

import json
import sys
from pathlib import Path

from datasets import Dataset
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from trl import GRPOConfig, GRPOTrainer

sys.path.insert(0, str(Path(__file__).parents[1]))

from genprm.serving.adapters import trl_reward


def main(url: str, folder: str) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(Path(__file__).parents[1] / "genprm" / "weights" / "nano")
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    args = GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=8,
        max_steps=1,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        bf16=False,
        save_strategy="no",
    )
    data = Dataset.from_dict({"prompt": ["How much is 2 + 2?"] * 8})
    trainer = GRPOTrainer(
        Qwen2ForCausalLM(config), trl_reward(url), args, train_dataset=data, processing_class=tokenizer
    )
    trainer.train()
    print(json.dumps({"reward": trainer.state.log_history[0]["reward"]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
