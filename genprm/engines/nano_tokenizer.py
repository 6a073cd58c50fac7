"""A byte-level BPE tokenizer, read from ``tokenizer.json``: the same ids as those of the package that wrote the file.

Text is cut at added tokens, then into words with the blank before them, or (where the file says so) into numbers of a
few digits and words with the blank between them and a number; the bytes of each word are joined pair by pair, the pair
that was learned first always first.
"""

import heapq
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from genprm.engines.nano_config import read_bytes
from genprm.engines.rendering import Added, any_of
from genprm.engines.templates import CHATML
from genprm.errors import ConfigError
from genprm.types import Message

_T = TypeVar("_T")
_Id = Annotated[int, msgspec.Meta(ge=0)]
_WORD = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+", re.ASCII)
_WHOLE = re.compile(r"(?s:.+)")
_BY_DIGIT = re.compile(r"[0-9]|[^0-9]+")
_WORDS_KEPT = 1 << 16


def words_around_numbers(digits: int) -> str:
    """A pattern, as ``tokenizers`` reads it: numbers of at most so many digits; words with the blank before them, and
    with that behind them where a number follows; the parts of a name that has underscores."""
    return (
        rf"\p{{N}}{{1,{digits}}}|'(?:[sdmt]|ll|ve|re)|[ _]?\p{{L}}+(?: (?=\p{{N}}))?"
        r"| ?[^\s\p{L}\p{N}]+(?: (?=\p{N}))?|\s+(?!\S)|\s+"
    )


_AROUND_NUMBERS = {
    words_around_numbers(digits): re.compile(
        words_around_numbers(digits)
        .replace(r"[^\s\p{L}\p{N}]", r"[^\sA-Za-z0-9]")
        .replace(r"\p{L}", "[A-Za-z]")
        .replace(r"\p{N}", "[0-9]"),
        re.ASCII,
    )
    for digits in range(1, 10)
}
"""For a text in which all characters are ASCII."""


class _AddedToken(msgspec.Struct):
    id: _Id
    content: Annotated[str, msgspec.Meta(min_length=1)]
    special: bool = False
    normalized: bool = True
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False


class _Model(msgspec.Struct):
    type: Literal["BPE"]
    vocab: dict[str, _Id]
    merges: list[str | tuple[str, str]]
    unk_token: str | None = None
    dropout: None = None
    continuing_subword_prefix: Literal[""] | None = None
    end_of_word_suffix: Literal[""] | None = None
    byte_fallback: bool = False
    ignore_merges: bool = False


class _Part(msgspec.Struct):
    """A pre-tokenizer or decoder."""

    type: str
    add_prefix_space: bool = False
    use_regex: bool = True
    individual_digits: bool = False
    pattern: dict[str, str] = {}
    behavior: str = ""
    invert: bool = False
    pretokenizers: list["_Part"] = []


class _File(msgspec.Struct):
    model: _Model
    pre_tokenizer: _Part
    decoder: _Part
    added_tokens: list[_AddedToken] = []
    normalizer: None = None


class _Settings(msgspec.Struct):
    """Of ``tokenizer_config.json``."""

    eos_token: str | dict[str, Any] | None = None
    chat_template: Any = None


class NanoTokenizer:
    """The tokenizer of a model's folder.

    Raises:
        ConfigError: a file is missing or torn, or the tokenizer is of a kind that is not read here.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.json"
        self.name = str(folder)
        file = _decoded(path, _File)
        try:
            self._parts, self._words_of = _patterns(file)
            self._merges = _merges(file.model)
        except ValueError as error:
            raise ConfigError(f"{path}: this is no plain byte-level BPE: {error}") from None
        self._vocabulary = file.model.vocab
        self.added: Mapping[int, Added] = {t.id: Added(t.content, t.special) for t in file.added_tokens}
        self._added_ids = {token.content: token.id for token in file.added_tokens}
        self._cuts = [
            any_of([token.content for token in file.added_tokens if token.normalized == late]) for late in (False, True)
        ]
        self._bytes = {i: _bytes(text) for text, i in self._vocabulary.items()} | {
            i: b"" if token.special else _bytes(token.text) for i, token in self.added.items()
        }
        self._word = lru_cache(_WORDS_KEPT)(self._merged)
        settings = _decoded(folder / "tokenizer_config.json", _Settings)
        self.end = self._end(settings.eos_token)
        self.template = _template(folder, settings)

    def encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids, and for each where in ``text`` its added token or its word begins and ends."""
        ids: list[int] = []
        places: list[tuple[int, int]] = []
        for start, end, added in self._stretches(text):
            if added:
                ids.append(self._added_ids[text[start:end]])
                places.append((start, end))
                continue
            for begin, close in self._words(text, start, end):
                new = self._word(text[begin:close])
                ids += new
                places += [(begin, close)] * len(new)
        return ids, places

    def letters(self, text: str) -> list[int]:
        """Ids of a text in which added tokens are letters like any other."""
        return [i for start, end in self._words(text, 0, len(text)) for i in self._word(text[start:end])]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of all but special tokens; bytes that are no UTF-8 become U+FFFD."""
        return b"".join([self._bytes.get(i, b"") for i in ids]).decode("utf-8", "replace")

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        """ChatML, the one template that is taken: see ``template``."""
        turns = "".join(f"<|im_start|>{message.role}\n{message.content}<|im_end|>\n" for message in messages)
        return turns + ("<|im_start|>assistant\n" if add_generation_prompt else "")

    def _end(self, token: str | dict[str, Any] | None) -> int | None:
        text = token.get("content") if isinstance(token, dict) else token
        return None if text is None else self._added_ids.get(text, self._vocabulary.get(text))

    def _stretches(self, text: str) -> Iterator[tuple[int, int, bool]]:
        """The text cut at added tokens, and whether each part is one: first those that are found in the text as it
        is, then in what is left those that would be found in a normalized one."""
        first, second = self._cuts
        for start, end, added in _cut(first, text, 0, len(text)):
            if added:
                yield start, end, True
            else:
                yield from _cut(second, text, start, end)

    def _words(self, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        shape = text[start:end] if text.isascii() else text[start:end].translate(_SHAPES)
        for part in self._parts.finditer(shape):
            at = start + part.start()
            yield from ((at + word.start(), at + word.end()) for word in self._words_of.finditer(part[0]))

    def _merged(self, word: str) -> tuple[int, ...]:
        letters = [_LETTERS[byte] for byte in word.encode()]
        ids = [self._vocabulary[letter] for letter in letters if letter in self._vocabulary]
        after = list(range(1, len(ids) + 1))
        before = list(range(-1, len(ids) - 1))
        heap: list[tuple[int, int, int]] = []

        def offer(left: int, right: int) -> None:
            if left >= 0 and right < len(ids) and (merge := self._merges.get((ids[left], ids[right]))):
                heapq.heappush(heap, (merge[0], left, merge[1]))

        for left, right in pairwise(range(len(ids))):
            offer(left, right)
        while heap:
            rank, left, merged = heapq.heappop(heap)
            right = after[left]
            if right >= len(ids) or self._merges.get((ids[left], ids[right])) != (rank, merged):
                continue  # one of the two has been merged since
            ids[left], ids[right] = merged, -1
            after[left] = after[right]
            if after[left] < len(ids):
                before[after[left]] = left
            offer(before[left], left)
            offer(left, after[left])
        return tuple(i for i in ids if i >= 0)


class _Shapes(dict[int, str]):
    """Other characters as ASCII ones of their kind, so that one pattern cuts words in every script."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        kind = unicodedata.category(char)[0]
        self[code] = char if code < 128 else {"L": "q", "N": "0"}.get(kind, "\t" if char.isspace() else "!")
        return self[code]


_SHAPES = _Shapes()


def _letters() -> list[str]:
    """A printable character for each byte: itself where it is one, else the next that is free from U+0100 on."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


_LETTERS = _letters()
_BYTES = {letter: byte for byte, letter in enumerate(_LETTERS)}


def _bytes(token: str) -> bytes:
    """What a token stands for; one that is not written in the letters of bytes is itself."""
    return bytes(_BYTES[c] for c in token) if all(c in _BYTES for c in token) else token.encode()


def _cut(pattern: re.Pattern[str], text: str, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    for found in pattern.finditer(text, start, end):
        if found.start() > start:
            yield start, found.start(), False
        yield found.start(), found.end(), True
        start = found.end()
    if start < end:
        yield start, end, False


def _patterns(file: _File) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What a text is cut into, and what each of its parts; raises ValueError where the file asks for what is not done
    here."""
    parts = file.pre_tokenizer.pretokenizers if file.pre_tokenizer.type == "Sequence" else [file.pre_tokenizer]
    *before, last = parts or [file.pre_tokenizer]
    if last.type != "ByteLevel" or last.add_prefix_space:
        raise ValueError("its last pre-tokenizer is not ByteLevel without a prefix space")
    if file.decoder.type != "ByteLevel":
        raise ValueError("its decoder is not ByteLevel")
    if any(token.single_word or token.lstrip or token.rstrip for token in file.added_tokens):
        raise ValueError("it has added tokens that take the blanks around them, or match whole words only")
    if file.model.ignore_merges or file.model.byte_fallback:
        raise ValueError("its model ignores merges, or falls back to bytes")
    if file.model.unk_token is not None and not file.model.vocab.keys() >= set(_LETTERS):
        raise ValueError("it has an unknown token for bytes that it lacks")
    match before:
        case [] if last.use_regex:
            return _WHOLE, _WORD
        case [_Part(type="Digits", individual_digits=True)] if last.use_regex:
            return _BY_DIGIT, _WORD
        case [_Part(type="Split", pattern={"Regex": cut}, behavior="Isolated", invert=False)] if not last.use_regex:
            if cut in _AROUND_NUMBERS:
                return _WHOLE, _AROUND_NUMBERS[cut]
    raise ValueError("it has a pre-tokenizer other than ByteLevel and one that cuts off digits")


def _merges(model: _Model) -> dict[tuple[int, int], tuple[int, int]]:
    """For each pair of ids when it was learned, and the id that it becomes."""
    pairs = [tuple(merge.split(" ")) if isinstance(merge, str) else merge for merge in model.merges]
    ids = model.vocab
    try:
        return {(ids[left], ids[right]): (rank, ids[left + right]) for rank, (left, right) in enumerate(pairs)}
    except KeyError as missing:
        raise ValueError(f"a merge speaks of {missing}, which is not in the vocabulary") from None


def _template(folder: Path, settings: _Settings) -> str | None:
    """The source of the chat template where it is plain ChatML to the letter, else None: others that look like it
    write more than the turns."""
    path = folder / "chat_template.jinja"
    source = read_bytes(path).decode("utf-8", "replace") if path.exists() else settings.chat_template
    return source if isinstance(source, str) and source.removesuffix("\n") == CHATML else None


def _decoded(path: Path, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(read_bytes(path), type=kind)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
