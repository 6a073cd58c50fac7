"""How a policy is asked for a solution, and for a better one after a critique.

The conversation is that of any instruct model; small policies of the embedded world are trained on the very same one.
"""

from genprm.types import Message, Rationale

SOLVE = "\n\nSolve this step by step, with an empty line between the steps, and put the answer in \\boxed{}."
REVISE = "\n\nWrite the whole solution again, without the mistake."


def solve(problem: str) -> tuple[Message, ...]:
    """Ask for a solution."""
    return (Message("user", problem + SOLVE),)


def revise(problem: str, attempt: str, feedback: str) -> tuple[Message, ...]:
    """Ask for a better one; ``feedback`` is that of :func:`feedback`."""
    return (*solve(problem), Message("assistant", attempt), Message("user", feedback + REVISE))


def feedback(step: int, paragraph: str, rationale: Rationale) -> str:
    """What a critic says of the wrong step ``step`` (from 0): its words, its analysis and the executed evidence."""
    parts = [f'Paragraph {step + 1} is wrong: "{paragraph}"']
    if rationale.analysis:
        parts.append(rationale.analysis)
    for check in rationale.checks:
        output = check.result.stdout.strip() or check.result.error
        parts.append(f"Check:\n{check.code}\nOutput:\n{output}")
    return "\n".join(parts)
