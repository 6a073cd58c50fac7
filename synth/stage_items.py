"""What the stages of the pipeline work on: attempts, and the records of those before them."""

from collections.abc import Iterable

from genprm.synth.completing import Completer
from genprm.synth.config import ValuesOf
from genprm.synth.grading import Grader
from genprm.synth.ledger import Recorded
from genprm.synth.pipeline import Shop
from genprm.synth.sampling import Sampled
from genprm.synth.types import Attempt, Valued

Values = tuple[Valued, ...]
"""Of the attempts at one problem: a line of stage 2."""


def id_of(attempt: Attempt) -> str:
    return attempt.solution.id


def attempts_of(sampled: Iterable[Sampled], both: bool) -> list[Attempt]:
    """The solutions to go on with: with ``both`` only those of problems that have right and wrong ones."""
    return [attempt for one in sampled if one.kinds == "both" or not both for attempt in one.attempts]


def attempts_in(shop: Shop) -> list[Attempt]:
    """Those of stage 1."""
    return attempts_of(shop.read("solutions", Sampled), shop.pipeline.solutions.both)


def completer_of(engine: Recorded, grader: Grader, options: ValuesOf, seed: int) -> Completer:
    """Completes as a section says."""
    return Completer(
        engine,
        grader,
        prompt=options.prompt,
        step_forcing=options.step_forcing,
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
        max_tokens=options.max_tokens,
        seed=seed,
    )
