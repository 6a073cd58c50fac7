"""The engine: reads where a rationale stands from its prompt, and writes what comes next."""

import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from math import log

from genprm.engines.symbolic.checks import write_check
from genprm.engines.symbolic.claim import Claim
from genprm.engines.symbolic.claims import find_claims
from genprm.engines.symbolic.cleaning import MAX_CHARS
from genprm.engines.symbolic.confidence import p_yes_forced, p_yes_of
from genprm.engines.symbolic.context import read_context
from genprm.engines.symbolic.reading import read_output
from genprm.engines.symbolic.wording import CUT, UNEXECUTED, analysis, conclusion
from genprm.errors import EngineRefused
from genprm.types import Completion, Prompt, Sampling, Token, Usage

_ANALYZE = re.compile(r"<analyze>\nLet's analyze the Paragraph \d+ step by step: $")
_CODE = "```python\n"
_FORCED = "<output>\n**Judgement**: $\\boxed"
_OUTPUT = "[Code Output]\n\n```\n"
_FENCE = "\n```\n"
_OUTPUT_END = "\n```\n"
_TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])|\s+$")


MAX_PIECES = 1300
"""Of analysis and check together; the protocol grants a rationale 2,048 tokens, outputs included."""


@dataclass(frozen=True, slots=True)
class _Text:
    """What is to be said, with the verdict in it where there is one."""

    text: str
    p_yes: float | None = None


class SymbolicEngine:
    """A critic without weights: see the package's docstring for what it can and cannot see."""

    name = "symbolic"
    protocols: frozenset[str] | None = frozenset({"genprm"})

    def __init__(self) -> None:
        # One thread, in which long texts do not hold up the event loop; more would only share its processor.
        self._reader = ThreadPoolExecutor(1, "symbolic")

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """Continue the rationale; the same prompt always gives the same text.

        Raises:
            EngineRefused: the prompt is not one of the ``genprm`` protocol.
        """
        started = time.perf_counter()
        done = await asyncio.get_running_loop().run_in_executor(self._reader, _complete, prompt, sampling)
        return replace(done, seconds=time.perf_counter() - started)

    async def close(self) -> None:
        """End the thread, after the text that it is reading."""
        self._reader.shutdown(wait=False, cancel_futures=True)


def _complete(prompt: Prompt, sampling: Sampling) -> Completion:
    said = _continue(prompt, sampling.stop)
    text, finish = _cut(said.text, sampling)
    pieces = _pieces(text)
    if len(pieces) > sampling.max_tokens:
        pieces, finish = pieces[: sampling.max_tokens], "length"
        text = "".join(pieces)
    tokens = tuple(_token(piece, said.p_yes) for piece in pieces) if sampling.logprobs > 0 else ()
    read = len(_pieces(prompt.opening)) + sum(_length(message.content) for message in prompt.messages)
    usage = Usage(prompt_tokens=read, completion_tokens=len(pieces), calls=1)
    return Completion(text, "length" if finish == "length" else "stop", tokens, usage)


def _continue(prompt: Prompt, stop: tuple[str, ...]) -> _Text:
    opening = prompt.opening
    problem, steps = _paragraphs(prompt)
    if _ANALYZE.search(opening):
        cut = CUT if len(steps[-1]) > MAX_CHARS else ""
        return _Text(analysis(_claims(problem, steps)) + cut + "\n</analyze>\n")
    if opening.endswith(_CODE):
        code = write_check(_claims(problem, steps)) + "```\n"
        # Where the fence does not stop the text, nobody runs the code: the verdict has to do without.
        return (
            _Text(code)
            if not stop or _FENCE in stop
            else _Text(code + _closing(UNEXECUTED, p_yes_forced()), p_yes_forced())
        )
    if opening.endswith(_FORCED):
        p = p_yes_forced()
        return _Text(f"{{{_word(p)}}}$\n</output>\n", p)
    if _OUTPUT in opening and opening.endswith(_OUTPUT_END):
        return _verdict(_claims(problem, steps), opening[opening.rindex(_OUTPUT) + len(_OUTPUT) : -len(_OUTPUT_END)])
    raise EngineRefused("the symbolic engine speaks the genprm protocol only: this opening is none of its stages")


def _verdict(claims: tuple[Claim, ...], output: str) -> _Text:
    reading = read_output(output, claims)
    p = p_yes_of(claims, reading)
    return _Text(_closing(conclusion(claims, reading), p), p)


def _closing(words: str, p: float) -> str:
    return f"{words}\n</verify>\n<output>\n**Judgement**: $\\boxed{{{_word(p)}}}$\n</output>\n"


def _word(p: float) -> str:
    return "Yes" if p >= 0.5 else "No"


def _paragraphs(prompt: Prompt) -> tuple[str, tuple[str, ...]]:
    """The problem, and the steps up to the one that is judged."""
    turns = [message.content for message in prompt.messages if message.role == "user"]
    if not turns or prompt.messages[-1].role != "user":
        raise EngineRefused("the symbolic engine speaks the genprm protocol only: the last turn must be a step")
    first = turns[0].removeprefix("Question: ")
    if not first.startswith(prompt.problem):
        raise EngineRefused("the symbolic engine needs the problem's text at the start of the first user turn")
    return prompt.problem, (first[len(prompt.problem) :].lstrip("\n"), *turns[1:])


@lru_cache(maxsize=256)
def _claims(problem: str, steps: tuple[str, ...]) -> tuple[Claim, ...]:
    """A memory, not a state: the three stages of a rationale ask for the same claims."""
    return _affordable(find_claims(read_context(problem, steps)))


def _affordable(claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
    """As many claims as fit into the budget of one rationale, the false ones first."""
    kept: list[Claim] = []
    spent = 0
    for claim in sorted(claims, key=lambda claim: claim.holds):
        spent += len(_pieces(write_check((claim,)))) + len(_pieces(analysis((claim,))))
        if spent <= MAX_PIECES:
            kept.append(claim)
    return tuple(claim for claim in claims if claim in kept)


def _cut(text: str, sampling: Sampling) -> tuple[str, str]:
    ends = [text.index(stop) + len(stop) for stop in sampling.stop if stop and stop in text]
    return text[: min(ends)] if ends else text, "stop"


def _pieces(text: str) -> list[str]:
    """Words and signs, each with the white space before it."""
    return _TOKEN.findall(text)


@lru_cache(maxsize=4096)
def _length(text: str) -> int:
    """In pieces. Kept, because a conversation is read again at each of its turns."""
    return len(_pieces(text))


def _token(piece: str, p_yes: float | None) -> Token:
    if p_yes is None or piece not in {"Yes", "No"}:
        return Token(piece, 0.0, {piece: 0.0})
    top = {"Yes": log(p_yes), "No": log(1 - p_yes)}
    return Token(piece, top[piece], top)
