"""Names of label schemes: ``KIND[:T][+chain][@LEVEL]``.

    hard              any completion right, Q > 0 (Math-Shepherd, arXiv 2312.08935)
    soft:T            Q >= T
    ratio:T           relative progress P_t = Q(s_t, a_t) / V(s_t) >= T (GenPRM, arXiv 2504.00891, section 3.2; T = 0.8)
    difference:T      P_t = Q(s_t, a_t) - V(s_t) >= T (the same; T = -0.3)

``+chain`` cuts the label from the posterior of ``genprm.synth.chain`` instead of from the bare shares. ``@LEVEL``
leaves steps unlabelled whose confidence is below it.

    advantage:T       A^mu_t = Q^mu(s_t, a_t) - V^mu(s_t) >= T, under a prover mu (Rewarding Progress, arXiv 2410.08146)

is read by :func:`read_cut` alone, with ``@LEVEL`` or without: no plan settles it, and no chain reads it.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from genprm.errors import ConfigError

Kind = Literal["hard", "soft", "ratio", "difference"]
_DEFAULTS: dict[str, float] = {"hard": 0.0, "soft": 0.5, "ratio": 0.8, "difference": -0.3}
_RANGES: dict[str, tuple[float, float]] = {"hard": (0, 0), "soft": (0, 1), "ratio": (0, 10), "difference": (-1, 1)}


@dataclass(frozen=True, slots=True)
class Scheme:
    kind: Kind
    threshold: float
    level: float = 0.0
    """A step whose label is less sure than this has none."""
    chain: bool = False

    @property
    def name(self) -> str:
        cut = "" if self.kind == "hard" else f":{self.threshold:g}"
        level = f"@{self.level:g}" if self.level else ""
        return f"{self.kind}{cut}{'+chain' if self.chain else ''}{level}"


@dataclass(frozen=True, slots=True)
class Advantage:
    """The arguments of :func:`genprm.synth.labels.advantage`."""

    threshold: float = 0.0
    alpha: float = 1.0
    best_of: int = 1
    level: float = 0.0


def read_cut(text: str, alpha: float | None = None, best_of: int | None = None) -> Scheme | Advantage:
    """A scheme, or an advantage with its ``alpha`` (1) and ``best_of`` (1).

    Raises:
        ConfigError: it is neither, or a scheme with options that only an advantage has.
    """
    body, at, level = text.partition("@")
    kind, colon, threshold = body.partition(":")
    if kind != "advantage":
        if alpha is not None or best_of is not None:
            raise ConfigError(f"alpha and best_of belong to the scheme advantage:T, not to {text!r}")
        return read_scheme(text)
    return Advantage(
        number(threshold, text, -1, 1) if colon else 0.0,
        1.0 if alpha is None else alpha,
        best_of or 1,
        number(level, text, 0.5, 1) if at else 0.0,
    )


def read_scheme(text: str) -> Scheme:
    """Raises ConfigError for what is no scheme."""
    body, at, level = text.partition("@")
    body, plus, chain = body.partition("+")
    kind, colon, threshold = body.partition(":")
    if kind not in get_args(Kind) or (plus and chain != "chain") or (colon and kind == "hard"):
        known = "hard, soft:T, ratio:T, difference:T, each with +chain or @LEVEL"
        raise ConfigError(f"unknown label scheme {text!r}; there are {known}")
    cut = number(threshold, text, *_RANGES[kind]) if colon else _DEFAULTS[kind]
    return Scheme(kind, cut, number(level, text, 0.5, 1) if at else 0.0, bool(plus))  # type: ignore[arg-type]


def number(text: str, where: str, low: float, high: float) -> float:
    """Raises ConfigError for what is no number from ``low`` to ``high``."""
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(f"{text!r} in {where!r} is no number") from None
    if not low <= value <= high:
        raise ConfigError(f"{text} in {where!r} does not lie between {low:g} and {high:g}")
    return value
