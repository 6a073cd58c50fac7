"""How a search is to go."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from genprm.errors import ConfigError

Algorithm = Literal["best-of-n", "step", "beam", "dvts"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
"""
- ``best-of-n``: ``expand`` whole solutions, one is chosen.
- ``step``: of ``expand`` proposals for the next step the best is taken, again and again.
- ``beam``: ``beam`` paths, ``expand`` proposals each, the ``beam`` best of all go on (arXiv 2410.08146, section 4).
- ``dvts``: ``beam`` subtrees that do not compete, each of them a ``step`` search: diverse verifier tree search.
"""
Choice = Literal["last", "effective", "outcome", "majority"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
"""
How one of the finished solutions is chosen.

- ``last``: by the value Q of the last step. ``effective``: by the score that the steps were ranked by.
- ``outcome``: by the scorer's opinion of the whole.
- ``majority``: the answer that most give, equal numbers being equal; the best by ``last`` of those that give it.
"""


@dataclass(frozen=True, slots=True)
class SearchPlan:
    algorithm: Algorithm = "beam"
    beam: int = 4
    """Paths that are followed (``beam``), or subtrees (``dvts``)."""
    expand: int = 4
    """Proposals a path and step; whole solutions for ``best-of-n``."""
    choice: Choice = "last"
    floor: float | None = None
    """Early pruning: a path whose value Q falls under it is dropped."""
    enough: int | None = None
    """Finished solutions at which the search stops; None: as many as there are paths."""
    max_steps: int = 30
    step_tokens: int = 256
    """Room for one step."""
    solution_tokens: int = 1024
    """Room for one whole solution of ``best-of-n``."""
    max_tokens: int | None = None
    """Tokens that the policy may write in all, never exceeded; None: no limit."""
    answer_ends: bool = True
    """Whether a step with a boxed answer ends its path, though the policy would write on."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ConfigError for what no search can follow."""
        if self.algorithm not in ALGORITHMS or self.choice not in CHOICES:
            raise ConfigError(f"a search goes by {', '.join(ALGORITHMS)} and chooses by {', '.join(CHOICES)}")
        for name in ("beam", "expand", "max_steps", "step_tokens", "solution_tokens", "enough", "max_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"a search needs {name} above 0, not {value}")
        if self.floor is not None and math.isnan(self.floor):
            raise ConfigError("the floor of a search is a number")

    @property
    def subtrees(self) -> int:
        """Groups of paths that do not compete with one another."""
        return self.beam if self.algorithm == "dvts" else 1

    @property
    def width(self) -> int:
        """Paths that are kept in each of them."""
        return self.beam if self.algorithm == "beam" else 1
