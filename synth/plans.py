"""How many completions, and from where: ``fixed:64``, ``paper``, ``adaptive:0.9+binary+share``.

fixed:K         K completions from every prefix
paper           K by the problem's Pass@1, the value of the bare problem: 128 below 0.1, 64 below 0.9, else 32
                (GenPRM, arXiv 2504.00891); after the first prefix without a right one all values are 0
adaptive:C      until every label is settled with confidence C, or its prefixes have ``cap`` completions each
                (``adaptive:C:CAP``; 128)

+binary         fixed, paper: search for the first prefix of value 0 by halving (OmegaPRM, arXiv 2406.06592);
                adaptive: ask where a token tells most about the labels, and not after the first wrong step
+share          completions from other prefixes of the problem count where they pass through literally this one
"""

from dataclasses import dataclass, field
from typing import Literal

from genprm.errors import ConfigError
from genprm.synth.schemes import Scheme, number, read_scheme

PlanKind = Literal["fixed", "paper", "adaptive"]
CAP = 128
BATCH = 4
"""Completions that a search asks for at once."""


@dataclass(frozen=True, slots=True)
class Plan:
    kind: PlanKind
    k: int = CAP
    """Completions a prefix; at most, for ``adaptive``."""
    confidence: float = 1.0
    binary: bool = False
    share: bool = False
    scheme: Scheme = field(default_factory=lambda: read_scheme("ratio:0.8"))
    """The labels that ``adaptive`` settles."""
    budget: int | None = None
    """Completions that an attempt may ask for."""

    @property
    def name(self) -> str:
        numbers = {
            "fixed": f":{self.k}",
            "paper": "",
            "adaptive": f":{self.confidence:g}" + (f":{self.k}" if self.k != CAP else ""),
        }
        return self.kind + numbers[self.kind] + "+binary" * self.binary + "+share" * self.share


def read_plan(text: str, settles: str = "ratio:0.8", budget: int | None = None) -> Plan:
    """``settles`` is the label scheme that an adaptive plan is for. Raises ConfigError for what is no plan."""
    if budget is not None and budget < 1:
        raise ConfigError(f"a budget of {budget} completions is none")
    body, *marks = text.split("+")
    kind, *numbers = body.split(":")
    unknown = set(marks) - {"binary", "share"}
    if unknown or len(numbers) not in {"fixed": (1,), "paper": (0,), "adaptive": (1, 2)}.get(kind, ()):
        known = "fixed:K, paper, adaptive:C or adaptive:C:CAP, each with +binary and +share"
        raise ConfigError(f"unknown plan {text!r}; there are {known}")
    confidence = number(numbers[0], text, 0.5, 1) if kind == "adaptive" else 1.0
    k = int(number(numbers[-1], text, 1, 4096)) if kind == "fixed" or len(numbers) == 2 else CAP
    return Plan(kind, k, confidence, "binary" in marks, "share" in marks, read_scheme(settles), budget)  # type: ignore[arg-type]
