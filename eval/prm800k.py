"""Human ratings of steps, as PRM800K has them (arXiv 2305.20050), grouped into solutions.

A row holds a problem (``instruction``), the steps before (``responses``), the step that was rated (``next_response``)
and its ``rating``: 1 right, 0 neutral (sensible, but leads nowhere), -1 wrong. Rows of one problem form a tree, as
several candidates were rated at each step. A solution here is a path to one of its leaves; a step that several paths
share is rated once, in the first of them.
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from genprm.errors import InputError
from genprm.rows import Row, decode_lines, decode_text
from genprm.types import Problem, Solution

Path_ = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rated:
    """A solution with the ratings of its steps; None for one that was not rated, or in an earlier solution."""

    solution: Solution
    ratings: tuple[int | None, ...]


def read_ratings(path: str | Path, limit: int | None = None) -> list[Rated]:
    """All solutions of a ``.jsonl`` or ``.jsonl.gz`` file; of the first ``limit`` problems.

    Raises InputError with file, line and field.
    """
    path = Path(path)
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}", str(path)) from None
    problems: dict[str, dict[Path_, int | None]] = {}
    for row in decode_lines(decode_text(data, str(path)), str(path)):
        text = row.text("instruction")
        if not text:
            raise row.error("is missing", "instruction")
        if text not in problems and limit is not None and len(problems) >= limit:
            continue
        steps = _steps(row)
        problems.setdefault(text, {}).setdefault(steps, _rating(row))
    return [rated for number, (text, tree) in enumerate(problems.items()) for rated in _solutions(number, text, tree)]


def _solutions(number: int, text: str, tree: dict[Path_, int | None]) -> Iterator[Rated]:
    inner = {steps[:t] for steps in tree for t in range(len(steps))}
    done: set[Path_] = set()
    for count, leaf in enumerate(steps for steps in tree if steps not in inner):
        paths = [leaf[: t + 1] for t in range(len(leaf))]
        ratings = tuple(None if path in done else tree.get(path) for path in paths)
        done.update(paths)
        yield Rated(Solution(Problem(text), leaf, f"{number}/{count}", source="prm800k"), ratings)


def _steps(row: Row) -> Path_:
    before, step = row.items("responses"), row.text("next_response")
    if before is None or step is None:
        raise row.error("is missing", "responses" if before is None else "next_response")
    if not all(isinstance(each, str) for each in before):
        raise row.error("must be a list of texts", "responses")
    return (*before, step)


def _rating(row: Row) -> int | None:
    rating = row.values.get("rating")
    if rating is None:  # nobody has rated it
        return None
    if rating not in (-1, 0, 1) or isinstance(rating, bool):
        raise row.error(f"must be -1, 0 or 1, not {rating!r}", "rating")
    return int(rating)


def problems_of(rated: Sequence[Rated]) -> int:
    return len({each.solution.problem.text for each in rated})
