"""Names of labelers, as a pipeline lists them: ``heuristics``, ``judge:ENGINE``, ``tree:64``, ``rollouts:fixed:16``,
``dropout:MODEL``."""

from dataclasses import dataclass
from typing import Literal, get_args

from genprm.errors import ConfigError
from genprm.synth.plans import read_plan
from genprm.synth.schemes import number

Kind = Literal["heuristics", "judge", "tree", "rollouts", "dropout"]
_DEFAULTS = {"heuristics": "", "tree": "64", "rollouts": "fixed:16"}
_KNOWN = "heuristics, judge:ENGINE, tree:SIMULATIONS, rollouts:PLAN, dropout:MODEL"


@dataclass(frozen=True, slots=True)
class Spec:
    name: str
    """As it is written."""
    kind: Kind
    of: str = ""
    """The engine of a judge, the simulations of a tree, the plan of rollouts, the model that is read with dropout."""

    @property
    def completes(self) -> bool:
        """Whether it needs a policy that goes on from prefixes."""
        return self.kind in ("tree", "rollouts")


def read_labelers(names: tuple[str, ...]) -> tuple[Spec, ...]:
    """Raises ConfigError for what is no labeler, and for one that is there twice."""
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"labeler {twice[0]!r} is there twice")
    return tuple(map(_read, names))


def _read(name: str) -> Spec:
    kind, colon, of = name.partition(":")
    if kind not in get_args(Kind) or (colon and (not of or kind == "heuristics")):
        raise ConfigError(f"unknown labeler {name!r}; there are {_KNOWN}")
    of = of or _DEFAULTS.get(kind, "")
    if not of and kind != "heuristics":
        raise ConfigError(f"labeler {name!r} needs a name after it; there are {_KNOWN}")
    if kind == "rollouts":
        read_plan(of)
    if kind == "tree" and number(of, name, 1, 4096) % 1:
        raise ConfigError(f"{of} in {name!r} is no whole number")
    return Spec(name, kind, of)  # type: ignore[arg-type]
