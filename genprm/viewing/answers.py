"""What the page asks for, and what it gets: JSON over one or two runs.

about()                    names, parts, settings, what was said at the end
rows(part, …)              a piece of the list, and how many there are of each kind
row(part, …)               one row whole
find(part, what)           where an id or a number stands
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from genprm.errors import InputError
from genprm.viewing.figures import figures, how
from genprm.viewing.folders import Part, Viewed, made_by, settings, summary
from genprm.viewing.index import Index
from genprm.viewing.queries import Found, Pairs, Wanted, choose, search
from genprm.viewing.sheets import sheet, title_of
from genprm.viewing.summaries import Summary

Answer = dict[str, Any]
PAGE = 60
"""Rows of one piece of the list."""
_KEPT = 8
"""Searches for text whose answers are kept."""


@dataclass(slots=True)
class Desk:
    """One run, or two side by side."""

    runs: Sequence[Viewed]
    _pairs: dict[int, Pairs] = field(default_factory=dict)
    _texts: dict[tuple[str, str, int], frozenset[int]] = field(default_factory=dict)

    def refresh(self) -> None:
        for viewed in self.runs:
            for part in viewed.parts:
                part.index.refresh()

    def about(self) -> Answer:
        """Of the runs as wholes."""
        self.refresh()
        return {"runs": [_run(viewed) for viewed in self.runs], "page": PAGE}

    def rows(self, part: int, wanted: Wanted, text: str, start: int) -> Answer:
        """``start``: how many of the wanted items are there already."""
        self.refresh()
        found = self._found(part, wanted, text)
        piece = found.items[start : start + PAGE]
        items = [self._item(part, number) for number in piece]
        one = self._index(part)
        return {"total": len(found.items), "counts": found.counts, "items": items, **_reading(one.index)}

    def row(self, part: int, number: int) -> Answer:
        """One row, or what both runs have for it."""
        sides = []
        for viewed, row in zip(self.runs, self._sides(part, number), strict=False):
            sides.append(None if row is None else self._side(viewed.part(part), row))
        key = self._key(part, number)
        return {"number": number, "sides": sides, "elsewhere": self._elsewhere(part, key)}

    def find(self, part: int, what: str) -> int | None:
        """The item of an id, of a key or of a number that counts from 1."""
        for number in range(self._count(part)):
            for side, row in enumerate(self._sides(part, number)):
                if row is not None and what in _names(self.runs[side].part(part).index.rows[row]):
                    return number
        number = int(what) - 1 if what.isascii() and what.isdigit() and len(what) < 10 else -1
        return number if 0 <= number < self._count(part) else None

    def _found(self, part: int, wanted: Wanted, text: str) -> Found:
        pairs = self._paired(part)
        if pairs is None:
            index = self._index(part).index
            among = self._searched(index, text) if text else None
            return choose([index.facets(row) for row in range(len(index.rows))], wanted, among)
        made = pairs.fresh()
        if not text:
            return choose([pair.facets for pair in made], wanted)
        mine = self._searched(pairs.one, text)
        theirs = self._searched(pairs.other, text)
        among = frozenset(at for at, pair in enumerate(made) if pair.row in mine or pair.other in theirs)
        return choose([pair.facets for pair in made], wanted, among)

    def _searched(self, index: Index, text: str) -> frozenset[int]:
        """The answer for the same words in the same rows is kept: the list is asked for piece by piece."""
        asked = (str(index.path), text, len(index.rows))
        if asked not in self._texts:
            if len(self._texts) >= _KEPT:
                self._texts.clear()
            self._texts[asked] = search(index, text)
        return self._texts[asked]

    def _item(self, part: int, number: int) -> Answer:
        sides: list[Answer | None] = []
        title = ""
        for viewed, row in zip(self.runs, self._sides(part, number), strict=False):
            index = viewed.part(part).index
            sides.append(None if row is None else _brief(index.rows[row]))
            title = title or ("" if row is None else title_of(index.record(row)))
        return {"number": number, "title": title, "sides": sides}

    def _side(self, part: Part, row: int) -> Answer:
        index = part.index
        return {**_brief(index.rows[row]), "row": row, "blocks": sheet(index.record(row))}

    def _sides(self, part: int, number: int) -> list[int | None]:
        pairs = self._paired(part)
        if pairs is None:
            if not 0 <= number < len(self._index(part).index.rows):
                raise InputError(f"there is no row {number + 1}")
            return [number]
        made = pairs.fresh()
        if not 0 <= number < len(made):
            raise InputError(f"there is no pair {number + 1}")
        return [made[number].row, made[number].other]

    def _elsewhere(self, part: int, key: str) -> list[Answer]:
        """The same solution, or its problem, in the other stages."""
        found = []
        for number, other in enumerate(self.runs[0].parts if len(self.runs) == 1 else ()):
            rows = other.index.by_key.get(key) or other.index.by_key.get(key.rpartition("/")[0])
            if number != part and rows and key:
                found.append({"part": number, "name": other.name, "number": rows[0]})
        return found

    def _key(self, part: int, number: int) -> str:
        for viewed, row in zip(self.runs, self._sides(part, number), strict=False):
            if row is not None:
                return viewed.part(part).index.rows[row].key
        return ""

    def _count(self, part: int) -> int:
        pairs = self._paired(part)
        return len(self._index(part).index.rows) if pairs is None else len(pairs.fresh())

    def _paired(self, part: int) -> Pairs | None:
        if len(self.runs) == 1:
            return None
        if part not in self._pairs:
            self._pairs[part] = Pairs(self.runs[0].part(part).index, self.runs[1].part(part).index)
        return self._pairs[part]

    def _index(self, part: int) -> Part:
        return self.runs[0].part(part)


def _run(viewed: Viewed) -> Answer:
    made = settings(viewed.folder) or settings(viewed.parts[0].folder)
    return {
        "name": viewed.name,
        "folder": str(viewed.folder),
        "made": made_by(made),
        "parts": [{"name": part.name, **_reading(part.index)} for part in viewed.parts],
        "pictures": [[picture.name for picture in part.pictures()] for part in viewed.parts],
        "how": how(made),
        "figures": [figures(summary(part.folder)) for part in viewed.parts],
    }


def _reading(index: Index) -> Answer:
    return {
        "read": index.progress,
        "settled": index.settled,
        "broken": {"n": index.n_broken, "lines": index.broken},
        "torn": index.torn,
    }


def _brief(row: Summary) -> Answer:
    return {"id": row.id, "state": row.state, "brief": row.brief}


def _names(row: Summary) -> tuple[str, str]:
    return row.id, row.key


def wanted_of(given: Mapping[str, Sequence[str]]) -> Wanted:
    """Facets of a query, by the names that begin with ``f.``."""
    return {name.removeprefix("f."): frozenset(values) for name, values in given.items() if name.startswith("f.")}
