"""Models to be trained: made or loaded, adapted, and written so that the engines load them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from genprm.engines.hf import load_model
from genprm.training import attention
from genprm.training.new import new_model, shape_named
from genprm.training.options import Options


def start_new(options: Options, texts: Iterable[str], folder: Path) -> None:
    """Make the new model in ``folder``, where it is not there yet: a run that goes on must not begin elsewhere."""
    if options.new is None or (folder / "tokenizer.json").exists():
        return
    model, tokenizer = new_model(shape_named(options.new), texts, options.seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load_for_training(options: Options, new: Path) -> tuple[Any, Any, str]:
    """Model, tokenizer, and the type that the weights came in.

    Weights that are trained are float32: what an update changes is lost in less.
    """
    from transformers import AutoConfig

    source = options.model or str(new)
    on_gpu = torch.cuda.is_available()
    model, tokenizer = load_model(source, "cuda" if on_gpu else "cpu", "auto" if options.lora else "float32")
    if not on_gpu and not options.packing and model.config.model_type == "llama":
        model.set_attn_implementation(attention.register())
    if options.lora:
        model = _adapted(model, options, source)
    came_in = str(getattr(AutoConfig.from_pretrained(source), "dtype", None) or "float32")
    return model, tokenizer, came_in.removeprefix("torch.")


def _adapted(model: Any, options: Options, source: str) -> Any:
    from peft import LoraConfig, get_peft_model

    assert options.lora is not None
    config = LoraConfig(
        r=options.lora,
        lora_alpha=options.lora_alpha or 2 * options.lora,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    path = Path(source).expanduser()
    model.name_or_path = str(path.resolve()) if path.is_dir() else source  # what the adapter says of its base
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        return get_peft_model(model, config)


def save(options: Options, model: Any, tokenizer: Any, came_in: str, folder: Path) -> None:
    """Whole weights with their tokenizer, or an adapter with it."""
    if options.merge:
        model = model.merge_and_unload()
    model.config.use_cache = True  # the Trainer turns it off
    if not options.lora or options.merge:
        model.to(getattr(torch, options.save_dtype or ("float16" if options.new else came_in)))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
