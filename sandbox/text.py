"""Text that a check wrote, made safe to show and to put into a prompt."""

import re

# What moves a cursor, hides text or turns it round: C0 but \t and \n, DEL, C1, marks and overrides of direction,
# invisible tags, surrogates.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]"
)

_STRUCTURE = re.compile(r"<(?=/?(?:analyze|verify|output|think|tool_call|tool_response)>|[|｜])|`(?=``)", re.IGNORECASE)


def plain(text: str) -> str:
    """Text without control characters other than newline and tab: a terminal can be trusted with it."""
    return _CONTROLS.sub("", text)


def for_prompt(text: str) -> str:
    """Output as it may go back to a model: what structures a prompt is broken by a zero-width space.

    That is: tags of the published protocol, special tokens of chat templates, code fences. Without it a check could
    print ``</output>`` and a verdict of its own.
    """
    return _STRUCTURE.sub(lambda found: found.group() + "\u200b", text)


def clean(data: bytes) -> str:
    """UTF-8 read with replacement, then made ``plain``."""
    return plain(data.decode("utf-8", "replace"))


def one_line(data: bytes) -> str:
    return " ".join(clean(data.replace(b"\n", b" ")).split())
