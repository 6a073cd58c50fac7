"""The world's templates, read backwards: a template as a pattern of all texts that it can be filled to."""

import re
from collections.abc import Mapping

from genprm.synth.world.relations import GIVEN, RELATIONS, Relation
from genprm.synth.world.words import PEOPLE, THINGS

NUMBER = r"-?(?:0|[1-9][0-9]{0,11})"
_PLAIN = rf"{NUMBER}(?: [-+*×/] {NUMBER})"
_ATOM = rf"(?:2 \^ [0-9]{{1,2}}|(?:gcd|lcm)\({NUMBER}, {NUMBER}\)|\({_PLAIN}{{1,4}}\)|{NUMBER})"
EXPRESSION = rf"{_ATOM}(?: (?:[-+*×/]|mod) {_ATOM}){{0,8}}"
"""A computation as steps write it. What it lets through is arithmetic of bounded size and nothing else: it may be
evaluated here."""
VALUE = rf"(?:{EXPRESSION} = )?{NUMBER}"
"""A value, perhaps behind its computation."""

_FIELD = re.compile(r"\{(\w+)\}")


def one_of(words: tuple[str, ...]) -> str:
    return "(?:" + "|".join(map(re.escape, words)) + ")"


def pattern(template: str, fields: Mapping[str, str]) -> str:
    """A template as a pattern with a group for each of its fields; the same field is the same text each time."""
    parts, seen, at = [], set(), 0
    for found in _FIELD.finditer(template):
        name = found[1]
        parts.append(re.escape(template[at : found.start()]))
        parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{fields[name]})")
        seen.add(name)
        at = found.end()
    return "".join([*parts, re.escape(template[at:])])


def both_cases(text: str) -> tuple[str, ...]:
    """A sentence's text as it stands, and as it was before its first letter was made a capital."""
    lower = text[:1].lower() + text[1:]
    return (text,) if lower == text else (text, lower)


def _holders() -> str:
    """All who may have something: people, teams, and the things that hold or do."""
    named = {"{A}": "", "{who}": one_of(PEOPLE), "team {who}": "team " + one_of(PEOPLE)}
    for relation in RELATIONS:
        if relation.holder not in named:
            named[relation.holder] = pattern(relation.holder, drawn(relation)).replace("?P<", "?P<_")
    return "(?:" + "|".join(re.sub(r"\(\?P<\w+>", "(?:", part) for part in named.values() if part) + ")"


def drawn(relation: Relation) -> dict[str, str]:
    """The patterns of the words that a relation's own texts draw."""
    return {word: one_of(pool) for word, pool in relation.draws.items()}


HOLDER = _holders()
TELLING = (GIVEN, *RELATIONS)


def fields_of(relation: Relation) -> dict[str, str]:
    """The patterns of all that a sentence of the problem may be filled with."""
    numbers = dict.fromkeys(relation.numbers, "[0-9]{1,6}")
    holders = {"A": HOLDER, "B": HOLDER, "a": ".{1,80}?", "b": ".{1,80}?"}
    return {"who": one_of(PEOPLE), "what": one_of(THINGS), **holders, **numbers, **drawn(relation)}
