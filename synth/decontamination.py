"""Problems that an evaluation set knows: n-grams of words that both share.

As in Brown et al., arXiv 2005.14165, appendix C: texts are compared by their words (case and marks left out), and one
shared n-gram of 13 words is a hit. A problem that is shorter than n words is compared as a whole.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genprm.errors import ConfigError, InputError
from genprm.rows import Row, read_rows, row_files
from genprm.synth.text_stats import Hashes, codes, ngrams, words

WORDS = 13
FIELDS = ("problem", "question", "prompt", "instruction")


@dataclass(frozen=True, slots=True)
class Known:
    """A problem of an evaluation set."""

    where: str
    """Its file and line."""
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """What an evaluation set knows of a problem."""

    where: str
    """File and line of the first problem there that shares an n-gram."""
    share: float
    """Of the problem's n-grams, those that the set knows."""
    words: str
    """The first shared n-gram."""


class Evaluation:
    """The n-grams of evaluation sets: 16 bytes each, nothing of the text."""

    def __init__(self, known: Iterable[Known], n: int = WORDS, least_share: float = 0.0) -> None:
        """``least_share``: of a problem's n-grams that must be known before it counts; 0: one is enough."""
        if n < 1 or not 0 <= least_share <= 1:
            raise ConfigError("decontamination needs n-grams of at least one word, and a share from 0 to 1")
        self.n, self._least_share = n, least_share
        self._where: list[str] = []
        parts: list[Hashes] = []
        for problem in known:
            found = _grams(words(problem.text), n)
            if len(found):
                self._where.append(problem.where)
                parts.append(found)
        self._grams, self._owners = _joined(parts)

    def __len__(self) -> int:
        return len(self._where)

    def hit(self, text: str) -> Hit | None:
        """What is known of a problem, or None."""
        said = words(text)
        grams = _grams(said, self.n)
        if not len(grams) or not len(self._grams):
            return None
        places = np.minimum(np.searchsorted(self._grams, grams), len(self._grams) - 1)
        known = np.flatnonzero(self._grams[places] == grams)
        share = len(known) / len(grams)
        if not len(known) or share < self._least_share:
            return None
        first = int(known[0])
        return Hit(self._where[self._owners[places[first]]], share, " ".join(said[first : first + self.n]))


def read_known(sources: Sequence[str | Path], field: str | None = None) -> Iterator[Known]:
    """The problems of files of rows and folders of them. ``field``: where the text stands; default: ``FIELDS``.

    Raises InputError: a file that cannot be read, or a row without the field.
    """
    for source in map(Path, sources):
        if not source.exists():
            raise InputError("there is no such file or folder", str(source))
        for path in row_files(source) if source.is_dir() else [source]:
            yield from (_known(row, field) for row in read_rows(path))


def _known(row: Row, field: str | None) -> Known:
    names = (field,) if field else FIELDS
    text = row.text(*names)
    if text is None or not text.strip():
        raise row.error("there is no text to compare with", " or ".join(names))
    return Known(row.where, text)


def _grams(said: Sequence[str], n: int) -> Hashes:
    """Of a text shorter than n words one, of all of it, which no longer text has: its length counts with it."""
    found = ngrams(codes(said), n)
    return found ^ np.uint64(len(said) + 1) if len(said) < n else found


def _joined(parts: Sequence[Hashes]) -> tuple[Hashes, "np.ndarray[tuple[int], np.dtype[np.int64]]"]:
    """All n-grams once, sorted, each with the first problem that has it."""
    if not parts:
        return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64)
    grams, first = np.unique(np.concatenate(parts), return_index=True)
    owners = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return grams, owners[first]
