"""Taught attempts as rows for ``genprm train critic``: the conversation of the protocol ``genprm``."""

from collections.abc import Sequence
from typing import Any, Literal

from genprm.errors import ConfigError
from genprm.protocols.genprm import ABLATIONS, JUDGE, STOP_CODE, VERIFY, Ablation, GenPRMProtocol
from genprm.synth.consensus import n_kept
from genprm.synth.types import Kept, Labelled, Taught
from genprm.types import NO_ERROR, Rationale

Code = Literal["run", "written", "none"]
"""Of a rationale's code: run, with its output; written, and not run; left out."""
MODES: dict[Code, Ablation] = {"run": "full", "written": "no-run", "none": "analysis"}
Verdicts = Literal["teacher", "labels"]


def to_conversation(
    taught: Taught,
    kept: Kept | None = None,
    labelled: Labelled | None = None,
    *,
    code: Code = "run",
    verdicts: Verdicts = "teacher",
) -> dict[str, Any] | None:
    """One row: the rationales of the steps up to the first wrong one; None where there is no step to learn from.

    ``kept``: what consensus keeps of it; None: no consensus is asked for. ``verdicts`` says whose words the verdicts
    are: with ``labels`` each is that of ``labelled`` (hard, soft or relative progress, as its scheme has cut them), and
    the row ends before the first unsure one; the analyses stay the teacher's. The row's ``first_error`` is by these.

    Raises:
        ConfigError: verdicts by labels, and there are none.
    """
    if verdicts == "labels" and labelled is None:
        raise ConfigError("verdicts by labels need labels")
    rationales = taught.rationales if kept is None else taught.rationales[: n_kept(kept)]
    by_labels = [step.label for step in labelled.steps] if labelled else []
    said = by_labels if verdicts == "labels" else [rationale.verdict for rationale in rationales]
    judged = _up_to_first_error(said[: len(rationales)])
    if not judged:
        return None
    texts = [_text(rationale, yes, code) for rationale, yes in zip(rationales, judged, strict=False)]
    solution = taught.attempt.solution
    messages = GenPRMProtocol(**ABLATIONS[MODES[code]]).messages(solution, len(texts) - 1, texts[:-1])
    turns = [{"role": message.role, "content": message.content} for message in messages]
    return {
        "id": solution.id,
        "problem_id": taught.attempt.problem_id,
        "mode": MODES[code],
        "teacher": taught.teacher,
        "labeler": labelled.labeler if labelled else "",
        "verdicts": verdicts,
        "first_error": _first_error(judged, len(solution.steps)),
        "n_steps": len(solution.steps),
        "messages": [*turns, {"role": "assistant", "content": texts[-1]}],
    }


def _first_error(judged: Sequence[bool], n_steps: int) -> int | None:
    """Of the row; None where it ends before the solution does, and before an error."""
    if not judged[-1]:
        return len(judged) - 1
    return NO_ERROR if len(judged) == n_steps else None


def _up_to_first_error(said: Sequence[bool | None]) -> list[bool]:
    judged: list[bool] = []
    for verdict in said:
        if verdict is None:
            break
        judged.append(verdict)
        if not verdict:
            break
    return judged


def _text(rationale: Rationale, yes: bool, code: Code) -> str:
    """A rationale of the protocol in the form of that ablation, with that verdict."""
    before, _, _ = rationale.text.rpartition(JUDGE)
    analysis, verify, checked = before.partition(VERIFY)
    if verify and code == "run":
        analysis = before
    elif verify and code == "written":
        block, fence, _ = checked.partition(STOP_CODE)
        analysis += f"{VERIFY}{block}{fence}</verify>\n"
    return f"{analysis}{JUDGE}{{{'Yes' if yes else 'No'}}}$\n</output>\n"
