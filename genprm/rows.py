"""Files of rows -> Python objects, each with its place, so that what is wrong with one can be told in a sentence.

Everything is read whole and decoded before the first row is handed out: these files are small, and a run must not
begin on a file whose last line is torn.
"""

import glob
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from genprm.errors import InputError, MissingExtra

ROW_SUFFIXES = (".json", ".jsonl", ".parquet")
TEXT_SUFFIXES = (".txt", ".md", ".markdown")

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Row:
    """One object of a file."""

    where: str
    """``file:17`` (a line, from 1) in JSONL, ``file[3]`` (an index, from 0) in JSON lists and Parquet."""
    values: Mapping[str, Any]

    def error(self, message: str, field: str = "") -> InputError:
        return InputError(message, self.where, field)

    def first(self, *names: str) -> Any:
        """The first of these fields that is there and not null, whatever it is; else None."""
        return next((self.values[name] for name in names if self.values.get(name) is not None), None)

    def text(self, *names: str) -> str | None:
        """The first of these fields that is there and not null. Raises InputError where it is not text."""
        return self._typed(str, "text", *names)

    def integer(self, name: str) -> int | None:
        """A whole number; true and false are none."""
        return self._typed(int, "a whole number", name)

    def boolean(self, name: str) -> bool | None:
        return self._typed(bool, "true or false", name)

    def items(self, name: str) -> list[Any] | None:
        return self._typed(list, "a list", name)

    def _typed(self, kind: type[_T], wanted: str, *names: str) -> _T | None:
        for name in names:
            value = self.values.get(name)
            if value is not None:
                # bool is a subclass of int in Python, and in no file format.
                if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                    raise self.error(f"must be {wanted}, not {describe(value)}", name)
                return value
        return None


def describe(value: object) -> str:
    """A value in words, for error messages."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return f"text ({value[:20]!r}{'…' if len(value) > 20 else ''})"
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
        case _:
            return f"a value of type {type(value).__name__}"


def row_files(folder: Path) -> list[Path]:
    """The files of rows in a folder, in the order of their names, without hidden ones. Raises InputError: there are
    none."""
    shown = (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))
    files = [path for path in shown if path.suffix.lower() in ROW_SUFFIXES]
    if not files:
        raise InputError(f"the folder holds no {', '.join(ROW_SUFFIXES)} file", str(folder))
    return files


def is_dataset(folder: Path) -> bool:
    """Whether a folder is a dataset with splits: a card beside Parquet files in ``data``."""
    return (folder / "README.md").is_file() and any(folder.glob("data/*-*-of-*.parquet"))


def split_files(dataset: Path, splits: str) -> list[Path]:
    """The files of a dataset's splits, several with commas between them. Raises InputError: there is no such split."""
    found: list[Path] = []
    for split in map(str.strip, splits.split(",")):
        files = sorted(dataset.glob(f"data/{glob.escape(split)}-*-of-*.parquet"))
        if not files:
            raise InputError(f"there is no split {split!r}", str(dataset))
        found += files
    return found


def is_hub_id(source: str) -> bool:
    """Whether it can be the id of a dataset (owner/name), which the name of a file of rows or text cannot."""
    return bool(_HUB_ID.fullmatch(source)) and not source.lower().endswith(ROW_SUFFIXES + TEXT_SUFFIXES)


def read_rows(path: Path) -> list[Row]:
    """All rows of a ``.json``, ``.jsonl`` or ``.parquet`` file.

    A JSON file holds a list of objects, one object, or ``{"data": [...]}``; one that holds an object per line is read
    as JSONL. Raises InputError for what cannot be read, and where there are no rows; MissingExtra for Parquet without
    pyarrow.
    """
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path)
    text = read_text(path)
    rows = decode_lines(text, str(path)) if path.suffix.lower() == ".jsonl" else decode_json(text, str(path))
    if not rows:
        raise InputError("holds no rows", str(path))
    return rows


def read_text(path: Path) -> str:
    """A UTF-8 file, without a byte-order mark. Raises InputError where it cannot be read, is not UTF-8, or is empty."""
    try:
        data = path.read_bytes()
    except IsADirectoryError as error:
        raise InputError("is a folder, not a file", str(path)) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", str(path)) from error
    return decode_text(data, str(path))


def decode_text(data: bytes, name: str) -> str:
    """As :func:`read_text`, for bytes that are here already."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"is not UTF-8 text: byte 0x{data[error.start]:02x} in line {line}", name) from error
    if not text.strip():
        raise InputError("is empty", name)
    return text


def decode_lines(text: str, name: str) -> list[Row]:
    """JSONL: an object per line. Blank lines are skipped, and counted."""
    lines = enumerate(text.split("\n"), start=1)
    return [_row(_decode(line, name, number), f"{name}:{number}") for number, line in lines if line.strip()]


def decode_json(text: str, name: str) -> list[Row]:
    """A JSON document: a list of objects, one object, ``{"data": [...]}``; or an object per line."""
    try:
        document = _decode(text, name)
    except InputError:
        if _is_lines(text):
            return decode_lines(text, name)
        raise
    if isinstance(document, dict) and isinstance(document.get("data"), list):
        document = document["data"]
    if isinstance(document, list):
        return [_row(value, f"{name}[{i}]") for i, value in enumerate(document)]
    return [_row(document, name)]


def _is_lines(text: str) -> bool:
    """Whether a text that is no JSON document has an object on its first line, and more after it."""
    first, _, rest = text.strip().partition("\n")
    try:
        return bool(rest) and isinstance(msgspec.json.decode(first), dict)
    except (msgspec.DecodeError, RecursionError):
        return False


def _row(value: object, where: str) -> Row:
    if not isinstance(value, dict):
        raise InputError(f"must be an object with named fields, not {describe(value)}", where)
    return Row(where, value)


def _decode(text: str, name: str, line: int | None = None) -> Any:
    try:
        return msgspec.json.decode(text)
    except RecursionError as error:
        raise InputError("is nested too deeply", f"{name}:{line}" if line else name) from error
    except msgspec.DecodeError as error:
        message, place = _sentence(str(error), text)
        raise InputError(f"is not JSON: {message}", f"{name}:{line or place}") from error


def _sentence(message: str, text: str) -> tuple[str, int]:
    """msgspec's message with its byte offset turned into a column, and the line (from 1) that it falls on."""
    message = message.removeprefix("JSON is malformed: ")
    if message == "Input data was truncated":
        return "it breaks off before its end", text.rstrip().count("\n") + 1
    match = re.fullmatch(r"(.*) \(byte (\d+)\)", message)
    if not match:
        return message, 1
    before = text.encode()[: int(match[2])].decode(errors="ignore")
    column = len(before) - (before.rfind("\n") + 1) + 1
    return f"{match[1]} at column {column}", before.count("\n") + 1


def _read_parquet(path: Path) -> list[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("pyarrow", "data", f"reading {path.name}") from error
    if path.is_dir():
        raise InputError("is a folder, not a file", str(path))
    try:
        values = pyarrow.parquet.ParquetFile(path).read().to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"is not a Parquet file: {_first_line(error)}", str(path)) from error
    if not values:
        raise InputError("holds no rows", str(path))
    return [Row(f"{path}[{i}]", row) for i, row in enumerate(values)]


def read_hub(dataset: str, split: str | None = None) -> dict[str, list[Row]]:
    """The rows of a dataset on the Hugging Face hub, by split; all splits where none is named.

    ``dataset`` is what ``datasets.load_dataset`` takes: an id such as ``Qwen/ProcessBench``, or a local folder. Raises
    MissingExtra without the package, InputError for everything that it raises.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra("datasets", "data", f"reading {dataset} from the Hugging Face hub") from error
    try:
        if split:
            parts = {name: datasets.load_dataset(dataset, split=name) for name in map(str.strip, split.split(","))}
        else:
            parts = dict(datasets.load_dataset(dataset))
    except Exception as error:  # network, cache, configuration, format: the library has no common base for them
        reason = f"is no file or folder here, and no dataset that the Hugging Face hub gives: {_first_line(error)}"
        raise InputError(reason, dataset) from error
    return {name: [Row(f"{dataset}:{name}[{i}]", row) for i, row in enumerate(rows)] for name, rows in parts.items()}


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
