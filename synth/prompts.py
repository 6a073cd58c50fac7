"""How policies are asked for solutions: a few wordings by name, or one of your own with ``{problem}`` in it."""

from collections.abc import Mapping, Sequence

from genprm.errors import ConfigError
from genprm.protocols.policy import SOLVE
from genprm.types import Message

PLACE = "{problem}"
PROMPTS: Mapping[str, str] = {
    "solve": PLACE + SOLVE,
    "careful": "Solve the following problem. Write one short step after the other, with an empty line between them, "
    "check each before you go on, and put the final answer in \\boxed{}.\n\n" + PLACE,
    "brief": PLACE + "\n\nGive a short solution in few steps, an empty line between them, and the answer in \\boxed{}.",
}


def asked(prompt: str, problem: str) -> tuple[Message, ...]:
    """The conversation that asks for a solution; ``prompt`` is a name of :data:`PROMPTS` or a template.

    Raises:
        ConfigError: it is neither.
    """
    return (Message("user", template(prompt).replace(PLACE, problem)),)


def template(prompt: str) -> str:
    """The template of that name, or ``prompt`` itself where it has a place for the problem."""
    if PLACE in prompt:
        return prompt
    if prompt not in PROMPTS:
        raise ConfigError(f"unknown prompt {prompt!r}; there are {', '.join(PROMPTS)}, and texts with {PLACE}")
    return PROMPTS[prompt]


def opening(steps: Sequence[str], step_forcing: bool = False) -> str:
    """The beginning of a solution after which the next step is to be written; empty for none.

    With ``step_forcing`` (arXiv 2504.00891, section 3.1) each step has its marker ``Step k:``, k from 1, and so has
    the step to come.
    """
    if not step_forcing:
        return "".join(f"{step}\n\n" for step in steps)
    marked = [step if step.startswith(_marker(k)) else f"{_marker(k)} {step}" for k, step in enumerate(steps)]
    return "".join(f"{step}\n\n" for step in marked) + _marker(len(steps))


def _marker(index: int) -> str:
    return f"Step {index + 1}:"
