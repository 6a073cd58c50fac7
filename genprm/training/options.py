"""What can be chosen about a training run."""

from dataclasses import dataclass
from typing import Literal

from genprm.errors import ConfigError
from genprm.training.encoding import Task

Precision = Literal["auto", "bf16", "fp32"]
SaveDtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class Options:
    """Of a run; everything that its result depends on, beside the rows."""

    task: Task
    model: str | None = None
    """A folder or a name on the hub; else ``new``."""
    new: str | None = None
    """A preset, with changes: see ``genprm.training.new``."""
    lr: float | None = None
    """Default: 3e-3 from scratch, 1e-5 for a full fine-tuning, 2e-4 for LoRA."""
    epochs: float = 1.0
    updates: int | None = None
    """Wins over ``epochs``."""
    batch_tokens: int = 8192
    micro_tokens: int = 4096
    max_length: int | None = None
    """Rows with more tokens are left out, and counted. Default: the model's window."""
    packing: bool = False
    precision: Precision = "auto"
    checkpointing: bool = False
    warmup: float = 0.03
    """Share of the updates."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: float = 0.1
    clip: float = 1.0
    eval_every: int | None = None
    """Updates; default: a tenth of them."""
    save_every: int | None = None
    log_every: int = 10
    seed: int = 0
    compile: bool = False
    save_dtype: SaveDtype | None = None
    """Default: float16 for new models, else the model's own."""

    def __post_init__(self) -> None:
        if (self.model is None) == (self.new is None):
            raise ConfigError("say either --model or --new")

    @property
    def rate(self) -> float:
        return self.lr if self.lr is not None else 3e-3 if self.new else 1e-5
