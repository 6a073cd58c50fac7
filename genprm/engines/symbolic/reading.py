"""The output of a check -> what it says of each claim."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from genprm.engines.symbolic.claim import Claim

Verdict = Literal["true", "false", "undecided"]

_LINE = re.compile(r": (?:(True|False)|undecided \(.*\))$")

_FAILED = ("Code execute Error:", "Code execute time out:")


@dataclass(frozen=True, slots=True)
class Reading:
    """A check's output, read."""

    verdicts: tuple[Verdict, ...]
    """One for each claim that reported."""
    refuted: tuple[int, ...]
    """Indices of the claims that are false."""
    complete: bool
    """Every claim reported."""


def read_output(output: str, claims: Sequence[Claim]) -> Reading:
    """Lines that end in True, False or undecided, in the order of the claims; anything else is passed over.

    Of a check that failed the output is its error alone, which decides nothing, whatever its words.
    """
    verdicts: list[Verdict] = []
    if output.lstrip().startswith(_FAILED):
        output = ""
    for line in output.splitlines():
        match = _LINE.search(line.rstrip())
        if match is not None:
            verdicts.append("undecided" if match[1] is None else "true" if match[1] == "True" else "false")
    verdicts = verdicts[: len(claims)]
    refuted = tuple(i for i, verdict in enumerate(verdicts) if verdict == "false")
    return Reading(tuple(verdicts), refuted, len(verdicts) == len(claims))
