"""Chat templates as plain functions, for servers that take raw text.

A template turns a :class:`~genprm.types.Prompt` into the text that the model continues. Only the families of the
published checkpoints are written out here; engines that hold a tokenizer use its own.
"""

from collections.abc import Callable

from genprm.errors import ConfigError
from genprm.types import Prompt

Template = Callable[[Prompt], str]


def deepseek_r1(prompt: Prompt) -> str:
    """DeepSeek-R1-Distill. No assistant tag stands before the opening: the GenPRM checkpoints were trained so.

    Earlier assistant turns carry theirs, and lose whatever stands before ``</think>`` in them.
    """
    text = "<｜begin▁of▁sentence｜>"
    text += "".join(message.content for message in prompt.messages if message.role == "system")
    for message in prompt.messages:
        match message.role:
            case "user":
                text += f"<｜User｜>{message.content}"
            case "assistant":
                text += f"<｜Assistant｜>{message.content.rpartition('</think>')[2]}<｜end▁of▁sentence｜>"
    return text + prompt.opening


def chatml(prompt: Prompt) -> str:
    """ChatML (Qwen). The end-of-turn mark of the last turn is cut off, as in the published code."""
    turns = "".join(f"<|im_start|>{m.role}\n{m.content}<|im_end|>\n" for m in prompt.messages)
    return turns.removesuffix("<|im_end|>\n") + prompt.opening


CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML for Jinja, as models from ``genprm train --new`` have it: turns and nothing beside them."""

TEMPLATES: dict[str, Template] = {"deepseek-r1": deepseek_r1, "chatml": chatml}

# Parts of model names, first match wins. A name that says nothing is asked about, never guessed at.
_FAMILIES = {"genprm": "deepseek-r1", "deepseek-r1": "deepseek-r1", "qwen": "chatml"}


def template_for(name: str | None, model: str) -> Template:
    """The template called ``name``, or the one that the model's name tells.

    Raises:
        ConfigError: no such template, or the model's name does not tell.
    """
    if name is None:
        name = next((family for part, family in _FAMILIES.items() if part in model.lower()), None)
    known = ", ".join(TEMPLATES)
    if name is None:
        raise ConfigError(
            f"the name of model {model!r} does not tell its chat template; say --template, one of {known}"
        )
    if name not in TEMPLATES:
        raise ConfigError(f"unknown chat template {name!r}; there are {known}")
    return TEMPLATES[name]
