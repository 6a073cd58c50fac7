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
    source = source_of(options, new)
    on_gpu = torch.cuda.is_available()
    model, tokenizer = load_model(source, "cuda" if on_gpu else "cpu", weights_kind(options))
    if getattr(model, "_hf_peft_config_loaded", False):
        raise _no_adapter(source)
    if not on_gpu and not options.packing:
        quicken(model)
    if options.lora:
        model = adapted(model, options, source, "CAUSAL_LM")
    return model, tokenizer, type_of_weights(source)


def quicken(model: Any) -> None:
    """Let a Llama on a CPU use an attention made for that."""
    if model.config.model_type == "llama":
        model.set_attn_implementation(attention.register())


def type_of_weights(source: str) -> str:
    """In which a model came."""
    from transformers import AutoConfig

    return str(getattr(AutoConfig.from_pretrained(source), "dtype", None) or "float32").removeprefix("torch.")


def weights_kind(options: Options) -> Literal["auto", "float32"]:
    """Weights that are trained are float32: what an update changes is lost in less. Those under adapters are as the
    machine likes them, unless all of the calculation is to be in float32."""
    return "auto" if options.lora and options.precision != "fp32" else "float32"


def source_of(options: Options, new: Path) -> str:
    """A folder by its path, which need not be read again, or a name on the hub. Raises ConfigError for an adapter."""
    if options.model is None:
        return str(new)
    path = Path(options.model).expanduser()
    if (path / "adapter_config.json").exists():
        raise _no_adapter(options.model)
    return str(path) if path.is_dir() else options.model


def _no_adapter(model: str) -> ConfigError:
    return ConfigError(
        f"--model {model} is an adapter, which is not trained on; name the model that it was made for, "
        "or train with --merge and name what that writes"
    )


def adapted(model: Any, options: Options, source: str, task: str) -> Any:
    """With adapters on all linear layers; ``task`` as peft calls it."""
    from peft import LoraConfig, get_peft_model

    assert options.lora is not None
    config = LoraConfig(
        r=options.lora,
        lora_alpha=options.lora_alpha or 2 * options.lora,
        target_modules="all-linear",
        task_type=task,
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
