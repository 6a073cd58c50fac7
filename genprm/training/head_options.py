"""What can be chosen about the training of heads, beside the rest."""

from dataclasses import dataclass
from typing import Literal

from genprm.errors import ConfigError
from genprm.training.options import GROUPS, Options, described, require_positive

Trained = Literal["outcome", "process", "progress"]
_HEADS = "heads"
_WEIGHTS: dict[Trained, float] = {"outcome": 0.3, "process": 0.7, "progress": 1.0}


@dataclass(frozen=True, slots=True)
class HeadOptions(Options):
    """``task`` is ``heads``."""

    heads: str = described("outcome,process", _HEADS, "any of outcome, process, progress, with commas", "NAMES")
    head_weights: str | None = described(
        None,
        _HEADS,
        "of their losses in a solution's loss (default: outcome=0.3,process=0.7,progress=1)",
        "NAME=X,…",
    )
    advantage_loss: Literal["mse", "bce"] = described("mse", _HEADS, "of the progress head")
    prover_best_of: int | None = described(
        None, _HEADS, "advantages under best-of-K of the policy whose values the rows hold", "K"
    )

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        if self.packing or self.curriculum or self.calculator:
            raise ConfigError("heads are trained without --packing, --curriculum and --calculator")
        require_positive("prover_best_of", self.prover_best_of)
        _ = self.trained, self.weights

    @classmethod
    def groups(cls) -> tuple[str, ...]:
        return (_HEADS, *GROUPS)

    @property
    def trained(self) -> tuple[Trained, ...]:
        """In the order of the columns. Raises ConfigError for a name that is none."""
        named = [name.strip() for name in self.heads.split(",") if name.strip()]
        if not named or (unknown := [name for name in named if name not in _WEIGHTS]):
            wrong = f", not {unknown[0]!r}" if named else ""
            raise ConfigError(f"--heads names some of {', '.join(_WEIGHTS)}{wrong}")
        return tuple(name for name in _WEIGHTS if name in named)

    @property
    def weights(self) -> dict[Trained, float]:
        """Of each trained head. Raises ConfigError."""
        weights = {name: _WEIGHTS[name] for name in self.trained}
        for part in self.head_weights.split(",") if self.head_weights else ():
            name, _, value = part.partition("=")
            found = next((known for known in weights if known == name.strip()), None)
            try:
                number = float(value)
            except ValueError:
                number = -1.0
            if found is None or not 0 < number < float("inf"):
                raise ConfigError(f"--head-weights gives trained heads weights above 0, as process=0.7, not {part!r}")
            weights[found] = number
        return weights
