"""API keys: a file of hashes, one a line, ``NAME sha256 HEX``. The keys themselves are kept nowhere.

A key is 256 random bits, so that a plain hash is enough: there is nothing to guess word by word, and a slow hash would
only let strangers keep the server busy.
"""

import hashlib
import hmac
import os
import re
import secrets
import stat
from pathlib import Path

from genprm.errors import InputError

_LINE = re.compile(r"(\S{1,64}) sha256 ([0-9a-f]{64})")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Keys:
    """The keys of a file, by name."""

    def __init__(self, hashes: dict[str, str]) -> None:
        self._hashes = {name: bytes.fromhex(digest) for name, digest in hashes.items()}

    @classmethod
    def read(cls, path: str) -> "Keys":
        """Raises InputError naming the line that is none, or for a file without keys."""
        hashes = _read(path)
        if Path(path).stat().st_mode & stat.S_IWOTH:
            raise InputError("everybody may write to it, and so let themselves in: chmod 600", path)
        if not hashes:
            raise InputError("there are no keys in it: genprm serve --keys FILE --new-key NAME makes one", path)
        return cls(hashes)

    def name_of(self, key: str) -> str | None:
        """Whose key it is. Takes as long for every key: each hash is compared, and each comparison to its end."""
        digest = hashlib.sha256(key.encode("utf-8", "replace")).digest()
        found = None
        for name, known in self._hashes.items():
            if hmac.compare_digest(digest, known):
                found = name
        return found


def new_key(path: str, name: str) -> str:
    """Add a key to the file, which only its owner may read, and return it: it cannot be shown again.

    Raises:
        InputError: the name is taken or no name, or the file is none of keys.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"a key's name has letters, digits, dots, dashes, at most 64 of them; not {name!r}", path)
    if Path(path).exists() and name in _read(path):
        raise InputError(f"there is a key of the name {name} in it already", path)
    key = f"gp-{secrets.token_urlsafe(32)}"
    line = f"{name} sha256 {hashlib.sha256(key.encode()).hexdigest()}\n"
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "rb+", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        torn = end > 0 and os.pread(file.fileno(), 1, end - 1) != b"\n"  # by an editor: the line is not ours to join
        file.write((b"\n" if torn else b"") + line.encode())
    return key


def _read(path: str) -> dict[str, str]:
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"no keys can be read there: {getattr(error, 'strerror', error)}", path) from None
    hashes = {}
    for n, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            if not (match := _LINE.fullmatch(line.strip())):
                raise InputError("a line is NAME sha256 HEX", f"{path}:{n}")
            if match[1] in hashes:
                raise InputError(f"there are two keys of the name {match[1]}", f"{path}:{n}")
            hashes[match[1]] = match[2]
    return hashes
