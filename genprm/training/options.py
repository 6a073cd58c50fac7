"""What can be chosen about a training run."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from genprm.errors import ConfigError
from genprm.training.encoding import Task


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that a run's result depends on, beside its rows."""

    task: Task
    model: str | None = None
    """A folder or a name on the hub; else ``new``."""
    new: str | None = None
    """A preset, with changes: see ``genprm.training.new``."""
    lora: int | None = None
    """Rank of the adapters; None: all weights are trained."""
    lora_alpha: int | None = None
    """Default: twice the rank."""
    merge: bool = False
    """Write whole weights rather than an adapter."""
    optim: Literal["muon", "adamw"] | None = None
    """Default: muon for a new model, adamw else."""
    lr: float | None = None
    """Default: 3e-3 for a new model, 2e-4 for LoRA, 1e-5 else."""
    epochs: float = 1.0
    updates: int | None = None
    """Wins over ``epochs``."""
    batch_tokens: int = 8192
    """An update, padding included; over all processes."""
    micro_tokens: int = 4096
    """At once in one process."""
    max_length: int | None = None
    """Rows with more tokens are left out, and counted. Default: the model's window."""
    packing: bool = False
    curriculum: bool = False
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    checkpointing: bool = False
    warmup: float = 0.03
    """Share of the updates."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: float | None = None
    """Of matrices. Default: 0.1 for a new model, 0 else."""
    clip: float = 1.0
    """Greatest norm of the gradient."""
    patience: int | None = None
    """Validations without a better loss before the run ends; the best weights are kept then."""
    eval_every: int | None = None
    """Updates; default: a tenth of the run."""
    save_every: int | None = None
    log_every: int = 10
    seed: int = 0
    save_dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Default: float16 for a new model, else what the model came in."""

    def __post_init__(self) -> None:
        if (self.model is None) == (self.new is None):
            raise ConfigError("say either --model or --new")
        if self.new and self.lora:
            raise ConfigError("--lora adapts a model that there is; --new has none")
        if (self.merge or self.lora_alpha) and not self.lora:
            raise ConfigError("--merge and --lora-alpha go with --lora")
        for name in ("lora", "lora_alpha", "updates", "batch_tokens", "micro_tokens", "max_length", "patience"):
            _require_positive(name, getattr(self, name))
        for name in ("lr", "epochs", "clip", "eval_every", "save_every", "log_every"):
            _require_positive(name, getattr(self, name))
        if not 0 <= self.warmup < 1 or self.decay < 0:
            raise ConfigError("--warmup lies in [0, 1), and --weight-decay is not negative")

    @property
    def optimizer(self) -> str:
        return self.optim or ("muon" if self.new else "adamw")

    @property
    def decay(self) -> float:
        return self.weight_decay if self.weight_decay is not None else 0.1 if self.new else 0.0

    @property
    def rate(self) -> float:
        """The learning rate at its highest."""
        if self.lr is not None:
            return self.lr
        return 3e-3 if self.new else 2e-4 if self.lora else 1e-5


def read_options(given: dict[str, Any]) -> Options:
    """From the command line's names; what is not there keeps its default. Raises ConfigError."""
    names = {field.name for field in dataclasses.fields(Options)}
    try:
        return msgspec.convert({name: value for name, value in given.items() if name in names}, Options)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error)) from None


def _require_positive(name: str, value: float | None) -> None:
    if value is not None and not value > 0:
        raise ConfigError(f"--{name.replace('_', '-')} must be above 0, not {value}")
