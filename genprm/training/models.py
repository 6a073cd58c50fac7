"""Models to be trained: made or loaded, adapted, and written so that the engines load them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import torch

from genprm.engines.hf import load_model
from genprm.errors import ConfigError
from genprm.training import attention
from genprm.training.new import new_model, shape_named
from genprm.training.options import Options


def make_new(options: Options, texts: Iterable[str], folder: Path) -> None:
    """A new model, as a folder that any engine loads."""
    assert options.new is not None
    model, tokenizer = new_model(shape_named(options.new), texts, options.seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def load_for_training(options: Options, new: Path) -> tuple[Any, Any, str]:
    """Model, tokenizer, and the type that the weights came in. ``new`` is where a new model is.

    Raises:
        ConfigError: they cannot be loaded, or are an adapter.
    """
    from transformers import AutoConfig

    source = _source(options.model) if options.model else str(new)
    on_gpu = torch.cuda.is_available()
    model, tokenizer = load_model(source, "cuda" if on_gpu else "cpu", weights_kind(options))
    if getattr(model, "_hf_peft_config_loaded", False):
        raise _no_adapter(source)
    if not on_gpu and not options.packing and model.config.model_type == "llama":
        model.set_attn_implementation(attention.register())
    if options.lora:
        model = _adapted(model, options, source)
    came_in = str(getattr(AutoConfig.from_pretrained(source), "dtype", None) or "float32")
    return model, tokenizer, came_in.removeprefix("torch.")


def weights_kind(options: Options) -> Literal["auto", "float32"]:
    """Weights that are trained are float32: what an update changes is lost in less. Those under adapters are as the
    machine likes them, unless all of the calculation is to be in float32."""
    return "auto" if options.lora and options.precision != "fp32" else "float32"


def _source(model: str) -> str:
    """A folder by its path, which need not be read again, or a name on the hub."""
    path = Path(model).expanduser()
    if (path / "adapter_config.json").exists():
        raise _no_adapter(model)
    return str(path) if path.is_dir() else model


def _no_adapter(model: str) -> ConfigError:
    return ConfigError(
        f"--model {model} is an adapter, which is not trained on; name the model that it was made for, "
        "or train with --merge and name what that writes"
    )


def _adapted(model: Any, options: Options, source: str) -> Any:
    from peft import LoraConfig, get_peft_model

    assert options.lora is not None
    config = LoraConfig(
        r=options.lora,
        lora_alpha=options.lora_alpha or 2 * options.lora,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    path = Path(source)
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
