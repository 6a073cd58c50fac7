"""Fingerprints of what a stage reads, so that it is not gone on with on other data."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from genprm.errors import InputError
from genprm.rows import row_files


def digest_of(path: Path) -> str:
    """A fingerprint of a file's content. Raises InputError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", str(path)) from None


def digests_of(sources: Iterable[str]) -> dict[str, str]:
    """Of the files among ``sources``, and of those in its folders; worlds and datasets of the hub go by their names."""
    files: list[Path] = []
    for source in map(Path, sources):
        files += row_files(source) if source.is_dir() else [source] if source.is_file() else []
    return {str(file): digest_of(file) for file in files}
