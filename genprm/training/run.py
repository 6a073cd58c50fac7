"""A run from rows to weights: everything is read and checked first, then it trains, and goes on after a kill."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genprm.engines.rendering import Renderer
from genprm.errors import InputError
from genprm.training.conversations import Conversation
from genprm.training.encoding import Encoder, Example, encode_all
from genprm.training.new import new_model, shape_named
from genprm.training.options import Options
from genprm.training.plan import Batching, in_order, make_plan

_TOKENIZER_ROWS = 4000
"""Rows that the tokenizer of a new model is learned from."""


@dataclass(frozen=True, slots=True)
class Outcome:
    updates: int
    left_out: int
    """Rows longer than ``max_length``."""
    loss: float | None
    """Of a validation token at the end."""


def train(options: Options, rows: Sequence[Conversation], valid: Sequence[Conversation], output: Path) -> Outcome:
    """Train, and leave a folder that the engines ``hf:`` and ``vllm:`` load.

    The same call after a kill goes on from the last checkpoint.
    """
    from transformers.trainer_utils import get_last_checkpoint

    model, tokenizer = _loaded(options, rows, output)
    encoder = Encoder(Renderer(tokenizer), options.task)
    window = options.max_length or int(model.config.max_position_embeddings)
    examples, left_out = _fitting(encoder, rows, options.seed, window)
    held_out, _ = _fitting(encoder, valid, options.seed, window)
    if not examples:
        raise InputError(f"none of the rows has at most {window} tokens")
    trainer = _trainer(options, model, tokenizer, examples, held_out, output)
    checkpoints = output / "checkpoints"
    last = get_last_checkpoint(str(checkpoints)) if checkpoints.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    loss = trainer.evaluate()["eval_loss"] if held_out else None
    _save(options, model, tokenizer, output)
    return Outcome(trainer.state.global_step, left_out, loss)


def _loaded(options: Options, rows: Sequence[Conversation], output: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    source = options.model or str(output / "start")
    if options.new and not (output / "start" / "model.safetensors").exists():
        texts = (message.content for row in rows[:_TOKENIZER_ROWS] for message in row.messages)
        made, tokenizer = new_model(shape_named(options.new), texts, options.seed)
        tokenizer.save_pretrained(source)
        made.save_pretrained(source)
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, attn_implementation=_attention(options))
    return model, tokenizer


def _attention(options: Options) -> str:
    import torch

    from genprm.training import attention

    return "sdpa" if options.packing or torch.cuda.is_available() else attention.register()


def _fitting(encoder: Encoder, rows: Sequence[Conversation], seed: int, window: int) -> tuple[list[Example], int]:
    """Those that have no more tokens than ``window``, and the number of the others."""
    examples = [example for example in encode_all(encoder, rows, seed) if len(example) <= window]
    left_out = len(rows) - len(examples)
    if left_out:
        print(
            f"genprm: {left_out} of {len(rows)} rows have more than {window} tokens, and are left out", file=sys.stderr
        )
    return examples, left_out


def _trainer(
    options: Options, model: Any, tokenizer: Any, examples: list[Example], held_out: list[Example], output: Path
) -> Any:
    from transformers import PrinterCallback

    from genprm.training.loop import Collator, ConversationTrainer, Journal, optimizer_for

    batching = Batching(options.batch_tokens, options.micro_tokens, options.packing)
    args = _arguments(options, output)
    plan = make_plan(
        [len(e) for e in examples],
        batching,
        epochs=options.epochs,
        updates=options.updates,
        ranks=args.world_size,
        seed=options.seed,
    )
    every = max(1, plan.updates // 10)
    args.max_steps = plan.updates
    args.gradient_accumulation_steps = plan.per_update // args.world_size
    args.warmup_steps = int(options.warmup * plan.updates)
    args.save_strategy, args.save_steps = "steps", options.save_every or every
    if held_out:
        args.eval_strategy, args.eval_steps = "steps", options.eval_every or every
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    trainer = ConversationTrainer(
        model=model,
        args=args,
        plan=plan,
        collate=Collator(examples, pad, options.packing),
        valid=in_order([len(e) for e in held_out], batching),
        valid_collate=Collator(held_out, pad, options.packing),
        optimizers=(optimizer_for(model, options.rate, options.weight_decay), None),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Journal(output / "metrics.jsonl", lambda: trainer.tokens_seen))
    return trainer


def _arguments(options: Options, output: Path) -> Any:
    import torch
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(output / "checkpoints"),
        per_device_train_batch_size=1,
        learning_rate=options.rate,
        lr_scheduler_type=options.schedule,
        max_grad_norm=options.clip,
        bf16=_bf16(options),
        gradient_checkpointing=options.checkpointing,
        torch_compile=options.compile,
        logging_steps=options.log_every,
        save_total_limit=2,
        seed=options.seed,
        use_cpu=not torch.cuda.is_available(),
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
    )


def _bf16(options: Options) -> bool:
    """``auto``: where the machine calculates faster in it."""
    import torch

    if options.precision != "auto":
        return options.precision == "bf16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _save(options: Options, model: Any, tokenizer: Any, output: Path) -> None:
    import torch

    kind = options.save_dtype or ("float16" if options.new else "float32")
    model.config.use_cache = True
    model.to(getattr(torch, kind)).save_pretrained(output)
    tokenizer.save_pretrained(output)
