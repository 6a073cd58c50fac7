"""Step-wise beam search with a policy alone: of many next steps those that it finds most likely are gone on with."""

from asyncio import gather
from collections.abc import Sequence
from dataclasses import dataclass, replace

from genprm.errors import ConfigError, EngineError, EngineLost
from genprm.synth.completing import Completer
from genprm.types import Completion, Finish, Problem, Usage


@dataclass(frozen=True, slots=True)
class Beam:
    """How wide. ``width`` solutions are kept, each is gone on with in ``branching`` ways."""

    width: int = 4
    branching: int = 4
    max_steps: int = 32

    def __post_init__(self) -> None:
        if min(self.width, self.branching, self.max_steps) < 1:
            raise ConfigError("a beam needs a width, a branching and steps of 1 at least")


@dataclass(frozen=True, slots=True)
class Branch:
    """A solution, finished or not, with the log-probability of what the policy wrote."""

    steps: tuple[str, ...] = ()
    logprob: float = 0.0
    tokens: int = 0
    finish: Finish | None = None
    """None: it goes on. ``length``: a step did not end, or there were too many."""
    usage: Usage = Usage()

    @property
    def score(self) -> float:
        """Mean log-probability of a token."""
        return self.logprob / max(self.tokens, 1)


async def search(completer: Completer, problem: Problem, beam: Beam, draw: int) -> tuple[list[Branch], str]:
    """At most ``width`` solutions, most likely first, none of them twice; and what the engine said where it failed.

    Finished solutions compete with unfinished ones for their places. ``draw`` makes another search.

    Raises:
        ConfigError: the engine gives no log-probabilities.
        EngineLost: it has gone.
    """
    paths, error = [Branch()], ""
    for _ in range(beam.max_steps):
        live = [path for path in paths if path.finish is None]
        if not live:
            break
        tried = await gather(*(_branches(completer, problem, path, beam.branching, draw) for path in live))
        error = next((said for _, said in tried if said), error)
        grown = [path for paths_, _ in tried for path in paths_]
        paths = _best([*(path for path in paths if path.finish), *grown], beam.width)
    return [path if path.finish else replace(path, finish="length") for path in paths if path.steps], error


async def _branches(
    completer: Completer, problem: Problem, path: Branch, branching: int, draw: int
) -> tuple[list[Branch], str]:
    first = draw * branching
    said = await gather(*(_written(completer, problem, path, first + k) for k in range(branching)))
    errors = [one for one in said if isinstance(one, EngineError)]
    grown = [_grown(completer, path, one) for one in said if isinstance(one, Completion)]
    return grown, str(errors[0]) if errors else ""


async def _written(completer: Completer, problem: Problem, path: Branch, k: int) -> Completion | EngineError:
    try:
        return await completer.write_step(problem, path.steps, k)
    except EngineLost:
        raise
    except EngineError as error:
        return error


def _grown(completer: Completer, path: Branch, said: Completion) -> Branch:
    if said.text and not said.tokens:
        raise ConfigError(f"a beam needs log-probabilities, which {completer.engine.name} does not give")
    end = completer.step_end(len(path.steps))
    goes_on = said.finish == "stop" and said.text.endswith(end)
    text = said.text.removesuffix(end).strip()
    steps = (*path.steps, _marked(completer, len(path.steps), text)) if text else path.steps
    logprob = path.logprob + sum(token.logprob for token in said.tokens)
    finish: Finish | None = None if goes_on and text else said.finish
    return Branch(steps, logprob, path.tokens + len(said.tokens), finish, path.usage + said.usage)


def _marked(completer: Completer, index: int, text: str) -> str:
    return f"Step {index + 1}: {text}" if completer.step_forcing else text


def _best(paths: Sequence[Branch], width: int) -> list[Branch]:
    """The most likely ones, of those with the same steps the first; equals in the order in which they came."""
    distinct: dict[tuple[tuple[str, ...], bool], Branch] = {}
    for path in paths:
        distinct.setdefault((path.steps, path.finish is None), path)
    return sorted(distinct.values(), key=lambda path: -path.score)[:width]
