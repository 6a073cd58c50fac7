"""The protocol of the published GenPRM checkpoints (arXiv 2504.00891, its public code), to the character.

One rationale of step t, the parts in « » written by the model::

    <analyze>
    Let's analyze the Paragraph t step by step: «…
    </analyze>
    »<verify>
    Let's use python code to find any potential error:
    ```python
    «…
    ```
    »[Code Output]

    ```
    …
    ```
    «…
    </verify>
    <output>
    **Judgement**: $\\boxed{Yes}$
    </output>
    »

The model may write several code blocks; each is run and its output given back. Where this reading differs from the
published code, it is in what the latter leaves open, and never in a prompt that it would have got right:

- a rationale without any verdict is ``no_verdict``, not a reward of 0.5;
- a verdict is read from the ``<output>`` part that the model itself wrote, never from text that a check printed; two
  contradicting verdicts in one part are none;
- an analysis that ended without ``</analyze>`` is closed, and so is what a server cut off with its stop string;
- a fence that closes no new code block runs nothing (the published code runs the block before it once more);
- a check's output cannot imitate the protocol's own tags or the chat template's.
"""

import math
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from genprm.protocols.base import Conversation, Draft, Request
from genprm.sandbox.result import Result
from genprm.sandbox.text import for_prompt
from genprm.types import Completion, Message, Prompt, Sampling, Solution, Token

SYSTEM = "You are a math teacher. Your task is to review and critique the paragraphs in solution step by step."
SYSTEM_DIRECT = (
    "You are a math teacher. Your task is to review and critique the paragraphs in solution directly. Output your"
    " judgement in the format of `\\boxed{Yes}` if the paragraph is correct, or `\\boxed{No}` if the paragraph is"
    " incorrect."
)
ANALYZE = "<analyze>\nLet's analyze the Paragraph {t} step by step: "
VERIFY = "<verify>\nLet's use python code to find any potential error:\n```python\n"
JUDGE = "<output>\n**Judgement**: $\\boxed"
STOP_ANALYSIS = "</analyze>\n"
STOP_CODE = "\n```\n"
STOP_VERDICT = "</output>\n"
LOGPROBS = 20
FORCED_TOKENS = 20

_VERDICT = re.compile(r"\\boxed\s{0,3}\{\s{0,3}(?:\\text\s{0,3}\{\s{0,3})?(Yes|No)\s{0,3}\}", re.IGNORECASE)
_FORCED = re.compile(r"\s{0,3}\{\s{0,3}(Yes|No)\s{0,3}\}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class GenPRMProtocol:
    """The published protocol. The defaults are those of its evaluation; the switches are its ablations."""

    analyze: bool = True
    """Ask for the analysis."""
    verify: bool = True
    """Ask for code. With neither analysis nor code the verdict is asked for directly."""
    execute: bool = True
    """Run the code. False: the model goes on from its code without an output."""
    join: Literal["newline", "question"] = "newline"
    """How the problem and step 1 become the first turn: ``newline`` as in the published evaluation, ``question``
    (``Question: …`` and a blank line) as in the published demonstration."""
    max_tokens: int = 2048
    """Budget of one rationale in tokens, its openings and the outputs of its checks included."""
    max_calls: int = 3
    """Generate calls from the code on, before the verdict is forced."""

    name: ClassVar[str] = "genprm"
    scope: ClassVar[Literal["step"]] = "step"

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.max_calls < 1:
            raise ValueError("max_tokens and max_calls must be at least 1")

    @property
    def executes(self) -> bool:
        return self.verify and self.execute

    def rationale(self, solution: Solution, step: int, earlier: Sequence[str], sampling: Sampling) -> Conversation:
        draft = Draft(ANALYZE.format(t=step + 1) if self.analyze else "")
        messages = self.messages(solution, step, earlier)
        talk = _Talk(messages, solution.problem.text, sampling)
        analysis = ""
        if self.analyze:
            written = yield from talk.write(draft, self.max_tokens, STOP_ANALYSIS, logprobs=0)
            if written.finish == "stop" and not draft.text.endswith(STOP_ANALYSIS):
                draft.text = draft.text.rstrip("\n") + "\n" + STOP_ANALYSIS
            analysis = draft.text.removeprefix(ANALYZE.format(t=step + 1)).partition("</analyze>")[0].strip()
        kept = draft.text
        draft.text += VERIFY if self.verify else JUDGE
        verdict = yield from self._judged(talk, draft, len(kept))
        forced = verdict is None
        if verdict is None:
            draft.text = self._reopened(kept, draft.text)
            closing = yield from talk.write(draft, FORCED_TOKENS, STOP_VERDICT)
            verdict = read_verdict(closing, forced=True)
        if verdict is None:
            return draft.finish("no_verdict", analysis=analysis)
        return draft.finish("forced" if forced else "ok", analysis=analysis, verdict=verdict.yes, p_yes=verdict.p_yes)

    def messages(self, solution: Solution, step: int, earlier: Sequence[str]) -> tuple[Message, ...]:
        """The conversation before the rationale of ``step``.

        Steps without a rationale share the first turn with the problem and the step after them, an empty line between
        two; the published checkpoints know no such turn, and ``Paragraph k`` counts on all the same.
        """
        bare = step - len(earlier)
        paragraphs = "\n\n".join(solution.steps[: bare + 1])
        first = {
            "newline": f"{solution.problem.text}\n{paragraphs}",
            "question": f"Question: {solution.problem.text}\n\n{paragraphs}",
        }[self.join]
        turns = [Message("system", SYSTEM if self.analyze or self.verify else SYSTEM_DIRECT), Message("user", first)]
        for paragraph, rationale in zip(solution.steps[bare + 1 : step + 1], earlier, strict=True):
            turns += [Message("assistant", rationale), Message("user", paragraph)]
        return tuple(turns)

    def _judged(self, talk: "_Talk", draft: Draft, opened: int) -> Generator[Request, object, "Verdict | None"]:
        """From the opening of the code (or of the verdict), at ``opened``, to the verdict; None past the budget."""
        stops = (STOP_CODE, STOP_VERDICT) if self.executes else (STOP_VERDICT,)
        n_run = 0
        for call in range(self.max_calls):
            left = self.max_tokens - talk.spent
            if left <= 0:
                return None
            written = yield from talk.write(draft, left, *stops)
            verdict = read_verdict(written, forced=not self.verify and call == 0)
            if written.finish == "stop":
                draft.text += missing_stop(draft.text[opened:])
            if verdict is not None or not self.executes or _over(written, draft):
                return verdict
            blocks, _ = code_blocks(draft.text[opened:])
            if len(blocks) > n_run:
                n_run = len(blocks)
                output = format_output((yield from draft.execute(blocks[-1])))
                draft.text += f"[Code Output]\n\n```\n{output}\n```\n"
            elif not draft.text.endswith(STOP_CODE):
                return None  # it ended its turn with neither code nor verdict
        return None

    def _reopened(self, kept: str, text: str) -> str:
        """What stands before the forced verdict: the analysis without the code, as published."""
        if self.analyze:
            return kept.split("</analyze>")[0] + STOP_ANALYSIS + JUDGE
        return text + ("</verify>\n" if self.verify else "") + JUDGE


Ablation = Literal["full", "no-run", "analysis", "direct"]
ABLATIONS: Mapping[Ablation, Mapping[str, Any]] = {
    "full": {},
    "no-run": {"execute": False},
    "analysis": {"verify": False},
    "direct": {"analyze": False, "verify": False},
}
"""What may be left of a rationale, and the fields of :class:`GenPRMProtocol` that leave it: all of it, code that is not
run, the analysis alone, the verdict alone."""


def _over(written: Completion, draft: Draft) -> bool:
    """Whether the model has nothing more to say: cut off, or past its verdict without having given one."""
    return written.finish == "length" or draft.text.endswith(STOP_VERDICT)


@dataclass(slots=True)
class _Talk:
    """One rationale's calls: same conversation, growing opening, and the tokens that it has grown by."""

    messages: tuple[Message, ...]
    problem: str
    sampling: Sampling
    spent: int = 0
    """Tokens of the rationale so far, by the engine's own count: what the prompt has grown by since the first call,
    and what the last call wrote. Engines that count no prompt tokens: what was written."""
    _first_prompt: int | None = None

    def write(
        self, draft: Draft, max_tokens: int, *stop: str, logprobs: int = LOGPROBS
    ) -> Generator[Request, Completion, Completion]:
        """Alternatives at each token cost time, so none are asked for where no verdict can stand."""
        prompt = Prompt(self.messages, draft.text, self.problem)
        sampling = replace(self.sampling, max_tokens=max_tokens, stop=stop, logprobs=logprobs)
        written = yield from draft.generate(prompt, sampling)
        if self._first_prompt is None:
            self._first_prompt = written.usage.prompt_tokens
        grown = written.usage.prompt_tokens - self._first_prompt + written.usage.completion_tokens
        self.spent = max(grown, self.spent + (0 if written.usage.prompt_tokens else written.usage.completion_tokens))
        return written


@dataclass(frozen=True, slots=True)
class Verdict:
    yes: bool
    p_yes: float | None


def read_verdict(completion: Completion, forced: bool = False) -> Verdict | None:
    """The verdict in what the model itself wrote last, or None.

    ``forced``: the text goes on from ``\\boxed``. Otherwise only what follows the last ``<output>`` counts, and two
    verdicts that contradict each other there are none.
    """
    if forced:
        found = _FORCED.match(completion.text)
        words = {found.group(1).lower()} if found else set()
    else:
        _, tag, said = completion.text.rpartition("<output>")
        words = {word.lower() for word in _VERDICT.findall(said)} if tag else set()
    if len(words) != 1:
        return None
    yes = words == {"yes"}
    return Verdict(yes, p_yes(completion.tokens, yes))


def p_yes(tokens: Sequence[Token], yes: bool) -> float | None:
    """P(Yes) / (P(Yes) + P(No)) at the verdict's token; None without log-probabilities.

    As published: the last ``Yes`` (or ``No``) token counts, and where the other word is not among the alternatives,
    the smallest log-probability there stands in for it. Where there are no alternatives, nothing can.
    """
    said, other = ("Yes", "No") if yes else ("No", "Yes")
    token = next((token for token in reversed(tokens) if token.text.strip() == said), None)
    if token is None:
        return None
    alternatives = {text: logprob for text, logprob in token.top.items() if text != token.text}
    if not alternatives:
        return None
    against = alternatives.get(token.text.replace(said, other), min(alternatives.values()))
    difference = against - token.logprob if yes else token.logprob - against
    return 1 / (1 + math.exp(min(difference, 700.0)))


def code_blocks(text: str) -> tuple[list[str], bool]:
    """The closed ```` ```python ```` blocks of ``text``, and whether one is left open. A fence fills its line."""
    blocks: list[str] = []
    block: list[str] | None = None
    other = False  # inside of a fence that is no Python, such as an output
    for line in text.split("\n"):
        fence = line.strip()
        if block is not None:
            if fence == "```":
                blocks.append("\n".join(block).strip("\n"))
                block = None
            else:
                block.append(line)
        elif other:
            other = fence != "```"
        elif fence.startswith("```python"):
            block = []
        else:
            other = fence.startswith("```")
    return blocks, block is not None


def missing_stop(text: str) -> str:
    """The stop string that ended ``text``, where the server has cut it off and not said which it was.

    An open code block was ended by its fence, an open ``<output>`` by its tag; otherwise the model ended its turn.
    """
    if text.endswith((STOP_CODE, STOP_VERDICT)):
        return ""
    newline = "" if text.endswith("\n") else "\n"
    if code_blocks(text)[1]:
        return newline + STOP_CODE.lstrip("\n")
    return newline + STOP_VERDICT if "<output>" in text.rpartition("</output>")[2] else ""


def format_output(result: Result) -> str:
    """The output as it is given back to the model, in the published wording.

    A check that failed shows its error only, as published. No output can pose as a verdict: see ``for_prompt``.
    """
    match result.status:
        case "ok":
            shown = result.stdout.strip()
        case "timeout":
            shown = f"Code execute time out: {result.error.partition(': ')[2] or result.error}"
        case _:
            shown = f"Code execute Error: {result.error}"
    return for_prompt(shown)
