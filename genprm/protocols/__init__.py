"""How a rationale is asked for and read. Protocols render prompts and parse text; they do no I/O."""

from collections.abc import Callable

from genprm.errors import ConfigError
from genprm.protocols.base import Conversation, CritiqueProtocol, Execute, Generate, Request
from genprm.protocols.genprm import GenPRMProtocol
from genprm.protocols.judge import JudgeProtocol

PROTOCOLS: dict[str, Callable[..., CritiqueProtocol]] = {"genprm": GenPRMProtocol, "judge": JudgeProtocol}

__all__ = [
    "PROTOCOLS",
    "Conversation",
    "CritiqueProtocol",
    "Execute",
    "GenPRMProtocol",
    "Generate",
    "JudgeProtocol",
    "Request",
    "make_protocol",
]


def make_protocol(name: str, **options: object) -> CritiqueProtocol:
    """The protocol of that name, with its fields set by ``options``.

    Raises:
        ConfigError: no such protocol, or no such field.
    """
    if name not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    try:
        return PROTOCOLS[name](**options)
    except TypeError as error:
        raise ConfigError(f"protocol {name}: {error}") from None
