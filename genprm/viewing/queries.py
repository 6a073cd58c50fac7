"""Which rows are wanted: by facets, by text, by what two runs say of the same solution."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from genprm.viewing.index import Index
from genprm.viewing.summaries import KIND_OF_ERROR, LABEL, OUTCOME, TROUBLE, VOTES, Facets

Wanted = Mapping[str, frozenset[str]]
"""Values by facet: a row needs one of each."""
Only = Literal["wrong", "disagree", "failed"]
COMPARED = "between the two"
_MOST_VALUES = 30
"""Of a facet; what has more is no way to choose."""
_SILENT = frozenset({"method", "usage", "plan", "how", "policy", "layers", "flags", "account"})
"""Fields in which nobody looks for words."""
_ONLY: dict[Only, Any] = {
    "wrong": lambda facets: (LABEL, "wrong") in facets or (LABEL, "failed") in facets or ("right", "no") in facets,
    "disagree": lambda facets: (VOTES, "divided") in facets,
    "failed": lambda facets: any(name == TROUBLE for name, _ in facets),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A row of one run, and the row of the same solution in the other; None where one has none."""

    row: int | None
    other: int | None
    facets: Facets


@dataclass(frozen=True, slots=True)
class Found:
    """The numbers of the items that are wanted, and how many of each value there would be."""

    items: list[int]
    counts: dict[str, dict[str, int]]
    """By facet: items that all other facets let through."""


def choose(facets: Sequence[Facets], wanted: Wanted, among: frozenset[int] | None = None) -> Found:
    """Filter items by their facets; ``among``: what a search for text left."""
    counts: dict[str, Counter[str]] = {}
    items = []
    for item, own in enumerate(facets):
        if among is not None and item not in among:
            continue
        missed = [name for name, values in wanted.items() if not any(n == name and v in values for n, v in own)]
        if not missed:
            items.append(item)
        if len(missed) < 2:
            for name, value in own:
                if not missed or name == missed[0]:
                    counts.setdefault(name, Counter())[value] += 1
    shown = {name: _sorted(values) for name, values in counts.items() if _tells(name, values, wanted)}
    return Found(items, shown)


def _tells(name: str, values: Counter[str], wanted: Wanted) -> bool:
    return name in wanted or (
        len(values) <= _MOST_VALUES and (len(values) > 1 or name in (LABEL, OUTCOME, TROUBLE, KIND_OF_ERROR))
    )


def _sorted(values: Counter[str]) -> dict[str, int]:
    return dict(sorted(values.items(), key=lambda each: (-each[1], each[0])))


def only(index: Index, what: Only) -> list[int]:
    """Rows of one of the kinds that a report can be limited to."""
    return [row for row in range(len(index.rows)) if _ONLY[what](index.facets(row))]


# --- text ----------------------------------------------------------------------------------------------------------


def search(index: Index, text: str) -> frozenset[int]:
    """Rows with the text in one of their texts, whatever its case. Names of fields and settings are not looked at."""
    needle = text.casefold()
    raw = json.dumps(text, ensure_ascii=False)[1:-1].lower().encode("utf-8", "replace")
    quick = text.isascii()  # bytes know no case of other letters
    found = set()
    for row, line in index.lines():
        if quick and raw not in line.lower():
            continue
        try:
            record = msgspec.json.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        if any(needle in each.casefold() for each in _texts(record)):
            found.add(row)
    return frozenset(found)


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            for name, item in value.items():
                if name not in _SILENT:
                    yield from _texts(item)


# --- two runs ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Pairs:
    """Two runs, matched by their solutions; those that they differ on come first. Made anew when either has grown."""

    one: Index
    other: Index
    pairs: list[Pair] = field(default_factory=list)
    _of: tuple[int, int] = (-1, -1)

    def fresh(self) -> list[Pair]:
        size = len(self.one.rows), len(self.other.rows)
        if size != self._of:
            self.pairs, self._of = sorted(self._matched(), key=_rank), size
        return self.pairs

    def _matched(self) -> Iterator[Pair]:
        keys = dict.fromkeys([*list(self.one.by_key), *list(self.other.by_key)])
        for key in keys:
            mine, theirs = self.one.by_key.get(key, []), self.other.by_key.get(key, [])
            for at in range(max(len(mine), len(theirs))):  # several, where a run has several protocols
                row = mine[at] if at < len(mine) else None
                other = theirs[at] if at < len(theirs) else None
                yield Pair(row, other, self._facets(row, other))

    def _facets(self, row: int | None, other: int | None) -> Facets:
        own = () if row is None else self.one.facets(row)
        others = () if other is None else self.other.facets(other)
        return tuple(dict.fromkeys([(COMPARED, self._compared(row, other)), *own, *others]))

    def _compared(self, row: int | None, other: int | None) -> str:
        if row is None or other is None:
            return "only in the second" if row is None else "only in the first"
        a, b = self.one.rows[row], self.other.rows[other]
        if a.brief == b.brief:
            return "same"
        if (a.state == "right") == (b.state == "right"):
            return "both differ from the label" if a.state and b.state else "differ"
        return "only the first is right" if a.state == "right" else "only the second is right"


_RANKS = ("only the first is right", "only the second is right", "both differ from the label", "differ", "same")


def _rank(pair: Pair) -> int:
    said = pair.facets[0][1]
    return _RANKS.index(said) if said in _RANKS else len(_RANKS)
