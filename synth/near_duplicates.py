"""Texts that are nearly the same: MinHash with banding finds who may be, Jaccard over word n-grams decides.

Broder, On the resemblance and containment of documents (1997); banding as in Leskovec, Rajaraman, Ullman, Mining of
Massive Datasets, ch. 3. With 25 bands of 5 a pair is looked at with probability 1 - (1 - J^5)^25: 0.9999 at J = 0.8,
0.99 at 0.7, 0.55 at 0.5.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from genprm.synth.text_stats import Hashes, overlap

BANDS, ROWS = 25, 5
LEAST_THRESHOLD = 0.7
"""Below it banding overlooks more than one pair in a hundred."""
_SLACK = 0.2
"""An estimate from 125 hashes is off by more than this once in a million times (its deviation is at most 0.045)."""
_FIRST = 256
_rng = np.random.Generator(np.random.PCG64(20250401))  # whose raw numbers stay the same from version to version
_FACTORS = np.array(_rng.bit_generator.random_raw(BANDS * ROWS), dtype=np.uint64) | np.uint64(1)
_TERMS = np.array(_rng.bit_generator.random_raw(BANDS * ROWS), dtype=np.uint64)

Signature = NDArray[np.uint32]


def signature(shingles: Hashes) -> Signature:
    """The least of each of ``BANDS * ROWS`` hashes over all n-grams (at least one)."""
    least = np.full(BANDS * ROWS, np.uint64(2**64 - 1))
    for at in range(0, len(shingles), 4096):  # bounded memory on a text of any length
        mixed = shingles[at : at + 4096, None] * _FACTORS + _TERMS
        least = np.minimum(least, mixed.min(axis=0))
    return (least >> np.uint64(32)).astype(np.uint32)


def mean_distance(signatures: NDArray[np.uint32]) -> float | None:
    """Mean of 1 - J over all pairs of rows, estimated from signatures (n x 125); None for fewer than two.

    In time n log n: of each hash it counts how many pairs share its value.
    """
    n = len(signatures)
    if n < 2:
        return None
    equal = 0.0
    for column in signatures.T:
        counts = np.unique(column, return_counts=True)[1].astype(float)
        equal += float((counts * (counts - 1)).sum())
    return 1 - equal / (n * (n - 1) * BANDS * ROWS)


class NearDuplicates:
    """Texts kept so far. Some 4 KB a text of 200 words; the words are not kept."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._buckets: dict[int, list[int]] = {}
        self._shingles: list[Hashes] = []
        self._signatures = np.zeros((_FIRST, BANDS * ROWS), dtype=np.uint32)

    def like(self, shingles: Hashes, made: Signature) -> Iterator[int]:
        """The numbers of the texts so far that are this one or nearly so, in the order in which they came.

        ``shingles``: sorted, without repetitions.
        """
        for number in self._candidates(made):
            if overlap(shingles, self._shingles[number]) >= self._threshold:
                yield number

    def add(self, shingles: Hashes, made: Signature) -> int:
        """Keep a text; its number."""
        number = len(self._shingles)
        if number == len(self._signatures):
            self._signatures = np.concatenate([self._signatures, np.zeros_like(self._signatures)])
        self._signatures[number] = made
        self._shingles.append(shingles)
        for key in _band_keys(made):
            self._buckets.setdefault(key, []).append(number)
        return number

    def _candidates(self, made: Signature) -> Iterator[int]:
        met = sorted({number for key in _band_keys(made) for number in self._buckets.get(key, ())})
        if met:
            likely = (self._signatures[met] == made).mean(axis=1) >= self._threshold - _SLACK
            yield from np.array(met)[likely].tolist()


def _band_keys(made: Signature) -> list[int]:
    keys = np.arange(BANDS, dtype=np.uint64)
    for column in made.reshape(BANDS, ROWS).T.astype(np.uint64):
        keys = (keys ^ column) * _FACTORS[0] + (keys >> np.uint64(31))
    found: list[int] = keys.tolist()
    return found
