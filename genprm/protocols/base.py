"""What a protocol is: a conversation, written down without any I/O.

A protocol is a generator. It yields what it wants done (:class:`Generate` text, :class:`Execute` code), is sent what
came of it, and returns a :class:`~genprm.types.Rationale`. The critic does the I/O, so that a protocol can be tested
with a list of answers, and every protocol runs in the same loop::

    request = next(conversation)
    while True:
        request = conversation.send(answer to request)   # StopIteration carries the Rationale
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from genprm.sandbox.result import Result
from genprm.types import Completion, Outcome, Prompt, Rationale, Sampling, Seam, Solution


@dataclass(frozen=True, slots=True)
class Generate:
    """Wants a :class:`~genprm.types.Completion`."""

    prompt: Prompt
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Execute:
    """Wants a :class:`~genprm.sandbox.Result`."""

    code: str


Request = Generate | Execute
Conversation = Generator[Request, Any, Rationale]


class CritiqueProtocol(Protocol):
    """How a rationale is asked for and read."""

    @property
    def name(self) -> str: ...

    @property
    def scope(self) -> Literal["step", "solution"]:
        """Whether one rationale judges a step, or a solution at one go (then ``step`` is 0, ``earlier`` empty)."""
        ...

    @property
    def executes(self) -> bool:
        """Whether it asks for code to be run."""
        ...

    def rationale(self, solution: Solution, step: int, earlier: Sequence[str], sampling: Sampling) -> Conversation:
        """The conversation about one step.

        ``earlier`` holds the rationales of the steps right before it, oldest first. It may hold fewer than there are
        steps before: then the first of them are shown without a rationale.
        """
        ...


@dataclass
class Draft:
    """A rationale in the making: the text so far, so that the protocol reads as its own story.

    What it cost and what its checks were is added by the critic, which sees every call.
    """

    text: str = ""
    seam: Seam | None = None
    reasoning: str = ""

    def generate(self, prompt: Prompt, sampling: Sampling) -> Generator[Request, Completion, Completion]:
        completion = yield Generate(replace(prompt, seam=self.seam), sampling)
        self.text += completion.text
        self.seam = completion.seam
        self.reasoning += completion.reasoning
        return completion

    def execute(self, code: str) -> Generator[Request, Result, Result]:
        result = yield Execute(code)
        return result

    def finish(self, outcome: Outcome, **fields: Any) -> Rationale:
        return Rationale(0, outcome, self.text, reasoning=self.reasoning, **fields)
