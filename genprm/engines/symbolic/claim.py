"""What a text claims, in a form that a few lines of Python can settle."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from genprm.engines.symbolic.tree import Node

Kind = Literal[
    "arithmetic", "rounding", "comparison", "congruence", "identity", "solution", "derivation", "substitution", "words"
]  # fmt: skip

Point = tuple[tuple[str, Node], ...]
"""Values for the symbols."""


@dataclass(frozen=True, slots=True)
class Claim:
    """``left relation right``, at every point (or at one of them at least)."""

    kind: Kind
    quote: str
    left: Node
    right: Node
    relation: str = "="
    """= < > <= >=, or ~ for equal within ``tolerance``, or mod for congruent by ``modulus``."""
    points: tuple[Point, ...] = ()
    every: bool = True
    tolerance: Fraction = Fraction(0)
    modulus: Node | None = None
    because: str = ""
    """Where the points come from, in words."""
    holds: bool = True
    """What the first look, before the check, makes of it."""
