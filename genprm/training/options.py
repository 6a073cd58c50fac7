"""What can be chosen about a training run."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from genprm.errors import ConfigError

Task = Literal["genprm", "chat", "policy", "heads"]
"""What is trained: a critic in one of two protocols, a policy, or heads."""

GROUPS = ("model", "batches", "optimisation", "validation and checkpoints")
"""Under which the command line shows the fields below."""
_MODEL, _BATCHES, _OPTIMISATION, _PACE = GROUPS


def described(default: Any, group: str, text: str, metavar: str | None = None) -> Any:
    """``text`` says what the field is, here and on the command line."""
    return field(default=default, metadata={"group": group, "help": text, "metavar": metavar})


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that a run's result depends on, beside its rows."""

    task: Task

    model: str | None = described(None, _MODEL, "one that there is: a folder or a name on the hub")
    new: str | None = described(
        None, _MODEL, "one from nothing: nano, small, mini or micro; with changes: nano,layers=4", "PRESET"
    )
    lora: int | None = described(None, _MODEL, "train adapters on all linear layers", "RANK")
    lora_alpha: int | None = described(None, _MODEL, "(default: twice the rank)")
    merge: bool = described(False, _MODEL, "with --lora: write whole weights, not an adapter")
    save_dtype: Literal["float32", "bfloat16", "float16"] | None = described(
        None, _MODEL, "of the weights written (default: float16 for a new model, else what the model came in)"
    )

    calculator: bool = described(
        False, _BATCHES, "policies: values behind computations are not learnt (see --engine calculator:…)"
    )
    batch_tokens: int = described(8192, _BATCHES, "of an update, padding included, all processes")
    micro_tokens: int = described(4096, _BATCHES, "at once in a process, at most; a longer row goes alone")
    max_length: int | None = described(
        None, _BATCHES, "rows with more tokens are left out, and counted (default: the model's window)"
    )
    packing: bool = described(False, _BATCHES, "several rows in one sequence, none of them cut")
    curriculum: bool = described(False, _BATCHES, "rows with a low difficulty first")
    precision: Literal["auto", "bf16", "fp32"] = described("auto", _BATCHES, "of calculation")
    checkpointing: bool = described(False, _BATCHES, "calculate twice, for less memory")

    epochs: float = described(1.0, _OPTIMISATION, "how often every row is read")
    updates: int | None = described(None, _OPTIMISATION, "instead of --epochs")
    lr: float | None = described(None, _OPTIMISATION, "learning rate (default: 3e-3 new, 2e-4 LoRA, 1e-5 full)")
    optim: Literal["muon", "adamw"] | None = described(
        None, _OPTIMISATION, "(default: muon for a new model, else adamw)"
    )
    schedule: Literal["cosine", "linear", "constant"] = described("cosine", _OPTIMISATION, "of the learning rate")
    warmup: float = described(0.03, _OPTIMISATION, "of the updates", "SHARE")
    weight_decay: float | None = described(None, _OPTIMISATION, "of matrices (default: 0.1 for a new model, else 0)")
    clip: float = described(1.0, _OPTIMISATION, "greatest norm of the gradient", "NORM")
    seed: int = described(0, _OPTIMISATION, "of weights, order and chance")

    eval_every: int | None = described(None, _PACE, "updates (default: a tenth of the run)")
    save_every: int | None = described(None, _PACE, "updates (default: a tenth of the run)")
    log_every: int = described(10, _PACE, "updates")
    patience: int | None = described(None, _PACE, "end after N validations without a better loss, and keep the best")

    def __post_init__(self) -> None:
        if (self.model is None) == (self.new is None):
            raise ConfigError("say either --model or --new")
        if self.new and self.lora:
            raise ConfigError("--lora adapts a model that there is; --new has none")
        if self.calculator and self.task != "policy":
            raise ConfigError("--calculator is for policies")
        if (self.merge or self.lora_alpha) and not self.lora:
            raise ConfigError("--merge and --lora-alpha go with --lora")
        for name in ("lora", "lora_alpha", "updates", "batch_tokens", "micro_tokens", "max_length", "patience"):
            require_positive(name, getattr(self, name))
        for name in ("lr", "epochs", "clip", "eval_every", "save_every", "log_every"):
            require_positive(name, getattr(self, name))
        if not 0 <= self.warmup < 1 or self.decay < 0:
            raise ConfigError("--warmup lies in [0, 1), and --weight-decay is not negative")

    @classmethod
    def groups(cls) -> tuple[str, ...]:
        """Under which the command line shows the fields."""
        return GROUPS

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


Kind = TypeVar("Kind", bound=Options)


def read_options(given: dict[str, Any], kind: type[Kind]) -> Kind:
    """From the command line's names; what is not there keeps its default. Raises ConfigError."""
    import msgspec

    names = {field.name for field in dataclasses.fields(kind)}
    try:
        return msgspec.convert({name: value for name, value in given.items() if name in names}, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error)) from None


def require_positive(name: str, value: float | None) -> None:
    if value is not None and not value > 0:
        raise ConfigError(f"--{name.replace('_', '-')} must be above 0, not {value}")
