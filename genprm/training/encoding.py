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

from genprm.calculator import parted
from genprm.engines.rendering import Renderer
from genprm.errors import ConfigError, EngineRefused, InputError
from genprm.protocols.chat import split
from genprm.protocols.pieces import Piece, chat_pieces, genprm_pieces
from genprm.training.conversations import Conversation
from genprm.training.options import Task
from genprm.training.turns import Altered, Frame, Turn, frame_of
from genprm.types import Message, Role


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
        ConfigError: the chat template has no turns of the assistant, or no end for them.
    """

    def __init__(self, renderer: Renderer, task: Task, *, calculator: bool = False) -> None:
        """``calculator``: a policy does not write the values of its computations itself."""
        self._renderer = renderer
        self._task = task
        self._calculator = calculator
        self._frames: dict[tuple[Role, ...], Frame] = {}
        try:
            turn = self._frame(("user", "assistant")).turns[1]
        except Altered:
            raise ConfigError("the chat template does not show what the assistant says") from None
        if not turn.ended:
            raise ConfigError("the chat template does not end the assistant's turn with the end-of-text token")

    def encode(self, row: Conversation, rng: random.Random) -> Example:
        """Raises InputError where the template refuses the row, or shows other words than the row's."""
        try:
            return self._encoded(row, rng)
        except EngineRefused as error:
            raise InputError(str(error), row.where, "messages") from None
        except Altered as error:
            message = "the chat template does not show these words as they are"
            raise InputError(message, row.where, f"messages[{error.n}].content") from None

    def _encoded(self, row: Conversation, rng: random.Random) -> Example:
        messages = _expanded(row.messages) if self._task == "chat" else row.messages
        frame = self._frame(tuple(message.role for message in messages))
        text, spelt = self._renderer.closed(messages)
        places = frame.places(text, messages)
        draft = _Draft(self._renderer, text, spelt)
        done = 0
        for n, turn in frame.turns.items():
            last = n == len(messages) - 1
            own = last or self._task != "policy"
            start, stop = places[n]
            self._begin_turn(draft, done, start, turn, last, rng)
            for piece in self._pieces(text[start:stop], last):
                (draft.write if piece.own else draft.read)(start, start + len(piece.text))
                start += len(piece.text)
            done = stop + turn.ended if own else stop
            draft.write(stop, done)
        draft.read(done, len(text))
        return draft.example(row.difficulty or 0)

    def _begin_turn(self, draft: "_Draft", done: int, start: int, turn: Turn, last: bool, rng: random.Random) -> None:
        """All from ``done`` to where the words of the turn start."""
        header = start - turn.header
        if self._task == "genprm":
            draft.read(done, header + turn.reopened if last or rng.random() < 0.5 else start)
        elif self._task == "chat" or last:
            draft.read(done, header + turn.asked)
            draft.write(header + turn.asked, start)
        else:
            draft.read(done, start)

    def _pieces(self, words: str, last: bool) -> list[Piece]:
        match self._task:
            case "genprm":
                return genprm_pieces(words)
            case "chat":
                return chat_pieces(words)
            case _:
                computed = last and self._calculator
                return [Piece(part, not put) for part, put in parted(words)] if computed else [Piece(words, last)]

    def _frame(self, roles: tuple[Role, ...]) -> Frame:
        if roles not in self._frames:
            self._frames[roles] = frame_of(self._renderer, roles)
        return self._frames[roles]


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

    def write(self, start: int, end: int) -> None:
        if end > start:
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
