"""Options of engines, which come as words."""

import difflib
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, get_type_hints

import msgspec

from genprm.errors import ConfigError


def keywords(
    function: Callable[..., Any], options: Mapping[str, str], engine: str, reserved: Collection[str] = ()
) -> dict[str, Any]:
    """``options`` as keyword arguments of ``function``, converted to the types that it asks for.

    Raises:
        ConfigError: it has no such keyword (or it is ``reserved``), or the word does not fit its type.
    """
    parameters = inspect.signature(function).parameters.values()
    known = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY} - set(reserved)
    hints = get_type_hints(function)
    typed = {}
    for option, word in options.items():
        name = option.replace("-", "_")
        if name not in known:
            raise ConfigError(f"engine {engine}: has no option {option!r}; {near(name, known)}")
        try:
            typed[name] = msgspec.convert(word, hints[name], strict=False)
        except msgspec.ValidationError as error:
            raise ConfigError(f"engine {engine}: option {option}={word!r}: {error}") from None
    return typed


def near(name: str, known: Collection[str]) -> str:
    """What may have been meant."""
    found = difflib.get_close_matches(name, known, n=3)
    if found or len(known) > 20:
        return f"near it: {', '.join(found) or 'nothing'}"
    return f"there are {', '.join(sorted(known)) or 'none'}"
