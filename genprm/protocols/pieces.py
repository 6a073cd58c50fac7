"""Which words of a turn are the model's own, for those who train it: pure functions from text to pieces.

The cuts are those of the calls that write a rationale (``genprm.protocols.genprm``), so that what is read as tokens
piece by piece is what an engine reads that goes on from one call to the next.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from genprm.protocols.chat import NO_REPLY
from genprm.protocols.genprm import ANALYZE, JUDGE, STOP_ANALYSIS, STOP_CODE, STOP_VERDICT, VERIFY, code_blocks

OUTPUT = "[Code Output]\n\n```\n"
"""What stands before the output of a check; ``STOP_CODE`` stands behind it."""

_ANALYZE = re.compile(re.escape(ANALYZE).replace(re.escape("{t}"), r"[0-9]{1,9}"))
_CALL_END = re.compile(f"{re.escape(STOP_CODE)}|{re.escape(STOP_VERDICT)}")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a turn, never empty."""

    text: str
    own: bool
    """Written by the model; otherwise put there by the protocol."""


def genprm_pieces(text: str) -> list[Piece]:
    """A rationale of the protocol ``genprm`` in any of its forms; the form is seen from the text. They join to it.

    Not the model's own: the openings (of the analysis, the code, the verdict) and the outputs of checks. A text of
    another form is the model's own as a whole, and so is what follows where the form breaks off.
    """
    return [piece for piece in _genprm(text) if piece.text]


def chat_pieces(text: str) -> list[Piece]:
    """A reply of the protocol ``chat``: the model's own, but for the words that stand for no reply."""
    return [Piece(text, text != NO_REPLY)] if text else []


def _genprm(text: str) -> Iterator[Piece]:
    opening = _ANALYZE.match(text)
    at = opening.end() if opening else 0
    yield Piece(text[:at], False)
    if opening:
        end = text.find(STOP_ANALYSIS, at)
        end = len(text) if end < 0 else end + len(STOP_ANALYSIS)
        yield Piece(text[at:end], True)
        at = end
    rest = text[at:]
    if rest.startswith(JUDGE):
        yield Piece(JUDGE, False)
        yield Piece(rest[len(JUDGE) :], True)
    elif rest.startswith(VERIFY):
        yield Piece(VERIFY, False)
        yield from _checked(rest)
    else:
        yield Piece(rest, True)


def _checked(rest: str) -> Iterator[Piece]:
    """What follows the opening of the code, with which ``rest`` begins. Only code that has just ended has an output."""
    at, n_run = len(VERIFY), 0
    for cut in _CALL_END.finditer(rest, at) if STOP_CODE + OUTPUT in rest else ():
        if cut.start() < at:
            continue  # inside of an output
        yield Piece(rest[at : cut.end()], True)
        at = cut.end()
        blocks = len(code_blocks(rest[:at])[0])
        if blocks > n_run and rest.startswith(OUTPUT, at):
            end = rest.find(STOP_CODE, at + len(OUTPUT))
            n_run, end = blocks, len(rest) if end < 0 else end + len(STOP_CODE)
            yield Piece(rest[at:end], False)
            at = end
    yield Piece(rest[at:], True)
