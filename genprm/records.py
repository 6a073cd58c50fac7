"""The nouns as JSON, and back, without loss. ``docs/results.md`` describes the files that are made of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from genprm.errors import InputError
from genprm.types import Critique

T = TypeVar("T")


def to_json(record: Any) -> bytes:
    """One line of JSON, without the newline. Text that UTF-8 cannot carry (lone surrogates) becomes ``?``."""
    try:
        return msgspec.json.encode(record)
    except UnicodeEncodeError:
        return msgspec.json.encode(_encodable(msgspec.to_builtins(record)))


def from_json(line: bytes | str, type_: type[T], where: str = "") -> T:
    """A record of ``type_`` from one line of JSON.

    Raises:
        InputError: the line is no JSON, or no such record; ``where`` and the path of the field are in its text.
    """
    try:
        return msgspec.json.decode(line, type=type_)
    except msgspec.ValidationError as error:
        raise misfit(error, where) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"not JSON: {error}", where) from None


def misfit(error: msgspec.ValidationError, where: str) -> InputError:
    """What msgspec says of a value that is no such record, with the path of its field."""
    message, _, path = str(error).partition(" - at `$")
    return InputError(message, where, path.strip("`."))


def read_lines(path: Path, type_: type[T]) -> Iterator[T]:
    """The records of a file, one a line. Raises InputError for the first line that is none."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            yield from_json(line, type_, f"{path}:{number}")


def schema() -> dict[str, Any]:
    """The JSON Schema of one line of ``results.jsonl``."""
    return msgspec.json.schema(Critique)


def _encodable(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode("utf-8")
        case dict():
            return {_encodable(key): _encodable(item) for key, item in value.items()}
        case list() | tuple():
            return [_encodable(item) for item in value]
    return value
