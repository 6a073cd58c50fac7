"""The world's own engines, by the words behind ``world:``."""

from typing import Any, TypeVar

import msgspec

from genprm.engines.base import Engine
from genprm.errors import ConfigError
from genprm.synth.world.lessons import TeacherEngine, Teaching
from genprm.synth.world.policies import PolicyEngine, Strength

T = TypeVar("T")


def open_world(words: str) -> Engine:
    """``0.2,mends=0.1`` is a policy, ``teacher,errs=0.1`` a teacher.

    Raises:
        ConfigError: a word that does not fit.
    """
    first, *others = words.split(",")
    options: dict[str, Any] = {}
    for word in others:
        name, equals, value = word.partition("=")
        if not equals or not name or name in options:
            raise ConfigError(f"engine world:{words}: {word!r} is no option, or is given twice; options are NAME=VALUE")
        options[name] = value.split("+") if name == "kinds" else value
    if first == "teacher":
        return TeacherEngine(_read(Teaching, options, words), f"world:{words}")
    return PolicyEngine(_read(Strength, {**options, "err": first}, words), f"world:{words}")


def _read(type_: type[T], options: dict[str, Any], words: str) -> T:
    known = [name for name in type_.__struct_fields__ if name != "err"]  # type: ignore[attr-defined]
    if unknown := options.keys() - {*known, "err"}:
        raise ConfigError(f"engine world:{words} has no option {min(unknown)!r}; there are {', '.join(known)}")
    try:
        return msgspec.convert(options, type_, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"engine world:{words}: {error}".replace(" - at `$.", ", option `")) from None
