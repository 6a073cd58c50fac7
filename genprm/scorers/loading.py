"""Models of transformers, loaded without noise; what goes wrong becomes one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from transformers.utils import logging

from genprm.errors import ConfigError

T = TypeVar("T")


def whole(model: str, kind: str) -> str:
    """A folder by its path, or a name on the hub. Raises ConfigError for a path where nothing is."""
    path = Path(model).expanduser()
    if not path.is_dir() and (path.is_absolute() or model.startswith((".", "~"))):
        raise ConfigError(f"{kind}:{model}: there is no such folder")
    return str(path) if path.is_dir() else model


def load_quietly(model: str, load: Callable[[], T]) -> T:
    """Raises ConfigError for all of transformers' own ways to say that something cannot be loaded."""
    logging.disable_progress_bar()
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        return load()
    except ConfigError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(" .:")
        raise ConfigError(f"{model} cannot be loaded: {reason}") from None
    finally:
        logging.set_verbosity(before)
