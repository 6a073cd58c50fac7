"""The nouns of the house. Read this file first.

A :class:`Solution` (a :class:`Problem` and its steps) goes in. For every step N :class:`Rationale` s are sampled,
each with an analysis, Python :class:`Check` s that were run, and a verdict. They vote: a :class:`StepCritique` per
step, a :class:`Critique` for the whole.

Between the critic and what writes the text: a :class:`Prompt` and :class:`Sampling` go to an engine, a
:class:`Completion` comes back.

All are frozen, plain data; ``genprm.records`` turns them into JSON and back without loss. Steps are counted from 0
here and in every file; the rationale text of the published checkpoints and everything shown to people counts from 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from genprm.sandbox.result import Result

NO_ERROR = -1
"""First-error index of a solution without an error, as in ProcessBench."""


# --- what is judged ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Problem:
    """A task in words."""

    text: str
    answer: str | None = None
    """Reference answer, where it is known."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A problem with one worked solution, cut into steps."""

    problem: Problem
    steps: tuple[str, ...]
    id: str = ""
    first_error: int | None = None
    """Gold label: 0-based index of the first wrong step, ``NO_ERROR`` for none, None where nobody has said."""
    source: str = ""
    """Where it comes from: a split of a benchmark, a file."""
    generator: str = ""
    """Who wrote the solution: a model's name, a person."""


# --- what goes to an engine, and comes back ------------------------------------------------------------------------

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Seam:
    """A text as the tokens that an engine read and wrote, so that the next call goes on from these very tokens.

    Tokens of a text depend on where it is cut; read again as one text it may become other tokens than those that the
    model wrote, which neither the model nor its prefix cache has seen.
    """

    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation, and the opening words of the turn that the engine is to continue.

    How the two become one text is the business of the model's chat template, so it is left to the engine. Without an
    opening the model begins a turn of its own.
    """

    messages: tuple[Message, ...]
    opening: str = ""
    problem: str = ""
    """The problem's text, which stands somewhere in ``messages`` too: for engines that read rather than continue."""
    seam: Seam | None = field(default=None, compare=False, repr=False)
    """Of the completion that this prompt goes on from, where there is one."""
    pieces: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """The end of the text in parts that are read each by itself: an answer in which a calculator has put values, as
    the model came to know it in training. Empty: all is read as one."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample one completion. The defaults are those of the published GenPRM evaluation."""

    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = 20
    """0 for no limit."""
    repetition_penalty: float = 1.0
    max_tokens: int = 2048
    stop: tuple[str, ...] = ()
    logprobs: int = 0
    """Alternatives wanted at each token, 0 for none."""
    seed: int | None = None
    schema: Mapping[str, Any] | None = None
    """JSON Schema that the text should follow. A wish: engines that cannot constrain a text leave it be."""


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token with its log-probability, and those of the most likely tokens at its place."""

    text: str
    logprob: float
    top: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """What something cost: tokens, calls, time. Adds up; what runs side by side adds up to more than passes."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Part of ``prompt_tokens`` that the engine's prefix cache served."""
    completion_tokens: int = 0
    calls: int = 0
    rationales: int = 0
    engine_s: float = 0.0
    """Seconds in calls to the engine, its own queue included."""
    sandbox_s: float = 0.0
    """Seconds in which checks ran."""
    waiting_s: float = 0.0
    """Seconds in which a rationale did neither: it waited for its turn at the engine or in the sandbox."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            self.calls + other.calls,
            self.rationales + other.rationales,
            self.engine_s + other.engine_s,
            self.sandbox_s + other.sandbox_s,
            self.waiting_s + other.waiting_s,
        )


Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine wrote.

    ``text`` includes the stop string that ended it, and ``tokens`` (empty where the engine gives no
    log-probabilities) join to ``text``, or to a text that starts with it where the last token reaches past the stop.
    """

    text: str
    finish: Finish = "stop"
    """``length``: cut off at ``max_tokens`` or at the end of the model's window."""
    tokens: tuple[Token, ...] = ()
    usage: Usage = Usage(calls=1)
    seconds: float = 0.0
    """From the request to its answer, the engine's own queue included."""
    reasoning: str = ""
    """What the model thought before it answered, where the engine gives that apart from ``text``."""
    seam: Seam | None = field(default=None, compare=False, repr=False)


# --- what comes out ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Check:
    """A piece of Python that a rationale wrote, and what became of it."""

    code: str
    result: Result
    reused: bool = False
    """Not run: another rationale ran the same code in the same state, and this is what it saw."""


Outcome = Literal["ok", "forced", "no_verdict", "too_long", "engine_error"]
"""How one rationale ended.

- ``ok``: a verdict in its own words.
- ``forced``: no verdict within the budget; asked for once more, without the code, and given then.
- ``no_verdict``: not even then.
- ``too_long``: the problem and the steps alone leave no room for a rationale in the model's window.
- ``engine_error``: the engine failed for good.
"""


@dataclass(frozen=True, slots=True)
class Rationale:
    """One sampled reasoning path: of one step (most protocols), or of a whole solution (``judge``)."""

    sample: int
    """Which of the N samples this is, from 0."""
    outcome: Outcome
    text: str = ""
    """All of it, as the model wrote it and as it is kept in its context."""
    analysis: str = ""
    checks: tuple[Check, ...] = ()
    verdict: bool | None = None
    """True: the step is right. None: no verdict, and for rationales of a whole solution."""
    p_yes: float | None = None
    """P(Yes) / (P(Yes) + P(No)) at the verdict's token; None where the engine gave no log-probabilities."""
    first_error: int | None = None
    """For a rationale of a whole solution: the index that it names."""
    error: str = ""
    reasoning: str = ""
    """What a reasoning model thought before it wrote ``text``, which is not kept in its context."""
    left_out: int = 0
    """Steps before this one whose rationales were left out of the context, oldest first, so that it fits the window."""
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class Votes:
    yes: int = 0
    no: int = 0
    missing: int = 0
    """Rationales without a verdict, counted apart and never read as a yes or a no."""


@dataclass(frozen=True, slots=True)
class StepCritique:
    """What N rationales say of one step."""

    step: int
    votes: Votes
    reward: float | None = None
    """In [0, 1]; how it is made from the votes is the critique's ``method.vote``. None where no rationale gave a
    verdict."""
    correct: bool | None = None
    """The verdict on the step; None where there is none."""
    rationales: tuple[Rationale, ...] = ()

    @property
    def usage(self) -> Usage:
        return sum((r.usage for r in self.rationales), Usage())

    @property
    def confidence(self) -> float | None:
        """Share of the evidence that stands behind the verdict, in [0.5, 1]."""
        return None if self.reward is None else max(self.reward, 1 - self.reward)


Vote = Literal["mean", "majority", "index"]
"""How N rationales become one verdict; defined in ``genprm.voting``."""
Context = Literal["chain", "first", "none"]
"""What a rationale sees of the steps before; defined in ``genprm.board``."""
Stopping = Literal["none", "exact", "predictive"]
"""When a step needs no further votes; defined in ``genprm.stopping``."""


@dataclass(frozen=True, slots=True)
class Method:
    """How a critique was made. It stands beside every score."""

    engine: str
    protocol: str
    n: int = 1
    """Rationales per step (``judge``: per solution); at most, where a stopping rule is set."""
    vote: Vote = "mean"
    threshold: float = 0.5
    seed: int | None = 0
    """Same seed, same rationales, as far as the engine keeps its word. None: not seeded."""
    stop_at_first_error: bool = False
    context: Context = "chain"
    stopping: Stopping = "none"
    stop_error: float = 0.01
    """For ``predictive``: the greatest probability that the missing votes would have changed a step's verdict."""
    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = 20


CritiqueOutcome = Literal["ok", "no_verdict", "too_long", "engine_error", "failed"]
"""How a whole critique ended.

- ``ok``: it names the first error, or says that there is none.
- ``no_verdict``: a step that comes before any error has no verdict, so the first error is not known.
- ``too_long``: the same, because the solution does not fit the model's window there.
- ``engine_error``: the same, because the engine failed there.
- ``failed``: the item broke the program; ``error`` says how.
"""


@dataclass(frozen=True, slots=True)
class Critique:
    """What the critic says of one solution."""

    solution: Solution
    method: Method
    outcome: CritiqueOutcome
    first_error: int | None = None
    """0-based index of the first wrong step, ``NO_ERROR``, or None where the outcome is not ``ok``."""
    steps: tuple[StepCritique, ...] = ()
    """One for each step that was judged; fewer than the solution has after ``stop_at_first_error``."""
    judgements: tuple[Rationale, ...] = ()
    """Rationales of the whole solution (protocol ``judge``)."""
    error: str = ""
    usage: Usage = Usage()
    seconds: float = 0.0
    """Wall-clock seconds from the first call to the last verdict."""

    @property
    def failed(self) -> bool:
        """Whether the engine or the program failed, which is no fault of the critic's: it may be judged again."""
        return self.outcome in ("engine_error", "failed")
