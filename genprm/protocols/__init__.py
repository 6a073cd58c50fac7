"""How a rationale is asked for and read. Protocols render prompts and parse text; they do no I/O."""

import dataclasses
from typing import Any

import msgspec

from genprm.errors import ConfigError
from genprm.protocols.base import Conversation, CritiqueProtocol, Execute, Generate, Request
from genprm.protocols.chat import ChatProtocol
from genprm.protocols.genprm import GenPRMProtocol
from genprm.protocols.judge import JudgeProtocol

PROTOCOLS: dict[str, type[ChatProtocol] | type[GenPRMProtocol] | type[JudgeProtocol]] = {
    "genprm": GenPRMProtocol,
    "chat": ChatProtocol,
    "judge": JudgeProtocol,
}

__all__ = [
    "PROTOCOLS",
    "ChatProtocol",
    "Conversation",
    "CritiqueProtocol",
    "Execute",
    "GenPRMProtocol",
    "Generate",
    "JudgeProtocol",
    "Request",
    "label",
    "make_protocol",
]


def make_protocol(name: str, **options: Any) -> CritiqueProtocol:
    """The protocol of that name, with its fields set by ``options``; words such as ``"false"`` or ``"3"`` are read.

    Raises:
        ConfigError: no such protocol, no such field, or a value that does not fit it.
    """
    if name not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    protocol = PROTOCOLS[name]
    known = [field.name for field in dataclasses.fields(protocol)]
    if unknown := options.keys() - set(known):
        raise ConfigError(f"protocol {name} has no option {min(unknown)!r}; there are {', '.join(known)}")
    try:
        made: CritiqueProtocol = msgspec.convert(options, protocol, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"protocol {name}: {error}".replace(" - at `$.", ", option `")) from None
    return made


def label(protocol: CritiqueProtocol) -> str:
    """The protocol's name and the options that differ from its defaults."""
    changed = [
        f"{field.name}={getattr(protocol, field.name)}"
        for field in dataclasses.fields(protocol)  # type: ignore[arg-type]
        if getattr(protocol, field.name) != field.default
    ]
    return " ".join([protocol.name, *changed])
