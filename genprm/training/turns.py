"""Where in the text of a conversation the words of each message stand.

A template may write a turn otherwise when others follow: Qwen3's puts an empty thought into the last turn of the
assistant alone. So the text of the first turns is no beginning of the whole text, and every turn is looked for in the
whole. What the template writes around words is learnt once for each sequence of roles, from words that no template
writes.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from genprm.engines.rendering import Renderer
from genprm.types import Message, Prompt, Role

_MARK = "\ufdd1"  # no character, so no template can write it of its own accord


class Altered(Exception):
    """The template does not show the words of message ``n`` as they are."""

    def __init__(self, n: int) -> None:
        self.n = n


@dataclass(frozen=True, slots=True)
class Turn:
    """What the template writes around one turn of the assistant, as lengths of text."""

    header: int
    """From the words before to its own."""
    reopened: int
    """As much of the header as stands before the opening of a rationale that goes on from the words before."""
    asked: int
    """As much of the header as a call begins with; the rest the model has to write itself."""
    ended: int
    """Behind its words, to the end of the mark that ends a turn; 0 where that mark does not follow."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The text of a conversation but for the words."""

    order: tuple[int, ...]
    """Which message's words come first, second, …"""
    between: tuple[str, ...]
    """What the template writes before the first words, between two, and after the last."""
    turns: dict[int, Turn]
    """Of the assistant, by message."""

    def places(self, text: str, messages: Sequence[Message]) -> dict[int, tuple[int, int]]:
        """For each message where its words begin and end in ``text``; templates may strip them. Raises Altered."""
        found: dict[int, tuple[int, int]] = {}
        at = len(self.between[0])
        for n, after in zip(self.order, self.between[1:], strict=True):
            stops = (at + len(words) for words in _forms(messages[n].content) if text.startswith(words + after, at))
            stop = next(stops, None)
            if stop is None:
                raise Altered(n)
            found[n] = (at, stop)
            at = stop + len(after)
        return found


def frame_of(renderer: Renderer, roles: Sequence[Role]) -> Frame:
    """For conversations of these roles.

    Raises:
        EngineRefused: the template refuses them.
        Altered: it leaves out a turn of the assistant, or shows them in another order.
    """
    probes = tuple(Message(role, f"{_MARK}{n}{_MARK}") for n, role in enumerate(roles))
    parts = re.split(f"{_MARK}([0-9]+){_MARK}", renderer.closed(probes)[0])
    order, between = tuple(map(int, parts[1::2])), tuple(parts[::2])
    own = [n for n, role in enumerate(roles) if role == "assistant"]
    if own != [n for n in order if n in own]:
        raise Altered(next((n for n in own if order.count(n) != 1), own[0]))
    turns = {
        n: _turn(renderer, probes[:n], between[place], between[place + 1]) for place, n in enumerate(order) if n in own
    }
    return Frame(order, between, turns)


def _turn(renderer: Renderer, before: tuple[Message, ...], header: str, after: str) -> Turn:
    reopened = renderer.reopened(renderer.closed(before)[0]).rpartition(_MARK)[2]
    asked = renderer.text(Prompt(before)).rpartition(_MARK)[2]
    start, mark, _ = after.partition(renderer.end_text or _MARK)
    return Turn(
        header=len(header),
        reopened=len(reopened) if header.startswith(reopened) else 0,
        asked=len(asked) if header.startswith(asked) else len(header),
        ended=len(start) + len(mark) if mark else 0,
    )


def _forms(words: str) -> Iterator[str]:
    """The words as they are, then without the line ends or all the blanks around them, as templates strip them."""
    bare = words.strip()
    start = words.index(bare)
    before, after = words[:start], words[start + len(bare) :]
    ends = product((before, before.lstrip("\n"), ""), (after, after.rstrip("\n"), ""))
    return (left + bare + right for left, right in ends)
