"""Conversations -> token ids, and which of them carry loss.

The ids are those that inference reads: the template's text as one, then each piece of the turn by itself, as an engine
goes on from one call to the next (``genprm.engines.rendering``).

A rationale of the protocol ``genprm`` is continued right after the user's words, without the mark that ends their
turn and without the assistant's tag, while the rationales before it stand in closed turns with their tags. A row trains
all its rationales in one sequence: the last one stands as inference has it, the earlier ones either way, by chance.
"""

import random
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from genprm.engines.rendering import Renderer
from genprm.errors import ConfigError, EngineRefused, InputError
from genprm.protocols.chat import split
from genprm.protocols.pieces import Piece, chat_pieces, genprm_pieces
from genprm.training.conversations import Conversation
from genprm.training.options import Task
from genprm.types import Message

_PROBE = "\ufdd1"  # no character, so no template can write it of its own accord


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation as tokens."""

    ids: "array[int]"
    own: bytes
    """For each token 1 where the model writes it itself, which is where it carries loss."""
    difficulty: int = 0

    def __len__(self) -> int:
        return len(self.ids)


class Encoder:
    """From conversations to examples, for one tokenizer and task.

    Raises:
        ConfigError: the chat template has no end for a turn of the assistant.
    """

    def __init__(self, renderer: Renderer, task: Task) -> None:
        self._renderer = renderer
        self._task = task
        text, _ = renderer.closed([Message("user", "u"), Message("assistant", _PROBE)])
        self._tail = text.rpartition(_PROBE)[2]
        """What the template writes after the words of the assistant."""
        before, mark, _ = self._tail.partition(renderer.end_text or _PROBE)
        if not mark:
            raise ConfigError("the chat template does not end the assistant's turn with the end-of-text token")
        self._ended = len(before) + len(mark)

    def encode(self, row: Conversation, rng: random.Random) -> Example:
        """Raises InputError where the template refuses the row, or shows other words than the row's."""
        try:
            return self._encoded(row, rng)
        except EngineRefused as error:
            raise InputError(str(error), row.where, "messages") from None

    def _encoded(self, row: Conversation, rng: random.Random) -> Example:
        messages = _expanded(row.messages) if self._task == "chat" else row.messages
        text, spelt = self._renderer.closed(messages)
        ends = [len(self._renderer.closed(messages[: n + 1])[0]) for n in range(len(messages) - 1)] + [len(text)]
        draft = _Draft(self._renderer, text, spelt)
        for n, message in enumerate(messages):
            start = ends[n - 1] if n else 0
            if message.role != "assistant":
                draft.read(start, ends[n])
                continue
            last = n == len(messages) - 1
            at, stop = self._words(text, message, ends[n], row.where, n)
            if self._task == "genprm" and (last or rng.random() < 0.5):
                draft.cut(len(self._renderer.reopened(text[:start])))
            else:
                draft.read(start, at)
            for piece in self._pieces(text[at:stop], last):
                (draft.write if piece.own else draft.read)(at, at + len(piece.text))
                at += len(piece.text)
            self._end_turn(draft, stop, ends[n], last or self._task != "policy")
        return draft.example(row.difficulty or 0)

    def _words(self, text: str, message: Message, end: int, where: str, n: int) -> tuple[int, int]:
        """Where the assistant's words stand; templates may strip them."""
        stop = end - len(self._tail)
        for words in (message.content, message.content.strip()):
            if text[:end].endswith(words + self._tail):
                return stop - len(words), stop
        raise InputError("the chat template does not show these words as they are", where, f"messages[{n}].content")

    def _pieces(self, words: str, last: bool) -> list[Piece]:
        match self._task:
            case "genprm":
                return genprm_pieces(words)
            case "chat":
                return chat_pieces(words)
            case "policy":
                return [Piece(words, last)]

    def _end_turn(self, draft: "_Draft", stop: int, end: int, own: bool) -> None:
        if own:
            draft.write(stop, stop + self._ended)
            stop += self._ended
        draft.read(stop, end)


@dataclass(slots=True)
class _Draft:
    """An example in the making: parts of a text, those that are read put together until something is written."""

    renderer: Renderer
    text: str
    spelt: Sequence[tuple[int, int]]
    ids: "array[int]" = field(default_factory=lambda: array("i"))
    own: bytearray = field(default_factory=bytearray)
    _waiting: list[tuple[int, int]] = field(default_factory=list)

    def read(self, start: int, end: int) -> None:
        self._waiting.append((start, end))

    def cut(self, end: int) -> None:
        """Take back what was last read from there on."""
        start, _ = self._waiting.pop()
        self._waiting.append((start, end))

    def write(self, start: int, end: int) -> None:
        self._flush()
        self._add([(start, end)], own=True)

    def example(self, difficulty: int) -> Example:
        self._flush()
        return Example(self.ids, bytes(self.own), difficulty)

    def _flush(self) -> None:
        if self._waiting:
            self._add(self._waiting, own=False)
            self._waiting = []

    def _add(self, parts: Iterable[tuple[int, int]], own: bool) -> None:
        text, spelt = "", []
        for start, end in parts:
            shift = len(text) - start
            spelt += [(at + shift, to + shift) for at, to in self.spelt if start <= at < end]
            text += self.text[start:end]
        read = self.renderer.encode(text, spelt)
        self.ids.extend(read)
        self.own.extend(bytes([own]) * len(read))


def _expanded(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Rationales of the protocol ``chat`` that are kept as one text, as the messages that they were joined from."""
    return tuple(part for m in messages for part in (split(m.content) if m.role == "assistant" else [m]))


def encode_all(encoder: Encoder, rows: Sequence[Conversation], seed: int) -> Iterator[Example]:
    """Each row with a chance of its own, so that it reads the same wherever it stands."""
    for n, row in enumerate(rows):
        yield encoder.encode(row, random.Random(f"{seed} {n}"))
