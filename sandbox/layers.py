"""A layer is one way to confine a check; each is reported by name, in force or not."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the sandbox, as found on this machine."""

    name: str
    active: bool
    why: str = ""
    """Why it could not be had."""


class Unavailable(Exception):
    """A layer that this machine does not offer, in words."""


def attempt(name: str, act: Callable[[], object]) -> Layer:
    """Put a layer in force, or say why not."""
    try:
        act()
    except (OSError, Unavailable) as error:
        return Layer(name, False, str(error))
    return Layer(name, True)
