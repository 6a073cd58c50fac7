"""From a prompt to token ids and back, for engines that hold the model's tokenizer.

The text of a prompt with an opening is that of the published code, to the character: the tokenizer's chat template
without a generation prompt, its last end-of-turn mark cut off, then the opening. A prompt without an opening is an
ordinary chat turn. Templates write the beginning-of-text token themselves, so none is added when text becomes ids.

Texts that others wrote may spell the model's control tokens (a problem that contains ``<|im_end|>``). Such spellings
are read letter by letter and never as the token; all other text becomes the very ids that the tokenizer gives it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

from genprm.engines.templates import TEMPLATES, template_for
from genprm.errors import ConfigError, EngineRefused, PromptTooLong
from genprm.types import Message, Prompt, Seam

_TURNS = {"deepseek-r1": "<｜Assistant｜>", "chatml": "<|im_end|>\n<|im_start|>assistant\n"}
"""What begins a turn of the model's own, after the text of ``genprm.engines.templates``."""
_REASONING = ("<think>", "</think>")
"""Control tokens in most tokenizers, and the model's own to write."""
_MARKS = [chr(code) for code in range(0xFDD0, 0xFDF0)]
"""Unicode promises that these are no characters; two that a prompt does not contain surround its spellings."""
_TRIAL = (Message("system", "s"), Message("user", "u"), Message("assistant", "a"), Message("user", "u"))
"""What every template must take."""
_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTEXT = 8
"""Tokens before a text that can change how its own first tokens read."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt as text, and as the ids that the engine reads."""

    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Added:
    """A token that is found in a text as a whole, before anything else."""

    text: str
    special: bool
    """It is control and never text: decoding leaves it out."""


class Tokenizer(Protocol):
    """What a renderer needs of a tokenizer."""

    name: str
    end: int | None
    """The id that ends a turn."""
    template: str | None
    """The source of its chat template, None where it has none that can be followed."""

    @property
    def added(self) -> Mapping[int, Added]:
        """By their ids."""
        ...

    def encode(self, text: str) -> tuple[Sequence[int], Sequence[tuple[int, int]]]:
        """Ids, without any that the text does not have, and where each stands: exactly for added tokens, at least
        within bounds for others."""
        ...

    def letters(self, text: str) -> Sequence[int]:
        """Ids of a text in which added tokens are letters like any other."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text without special tokens, U+FFFD for bytes that are no text."""
        ...

    def chat(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        """The text of a conversation, as the template has it.

        Raises:
            EngineRefused: the template refuses the conversation.
        """
        ...


class Renderer:
    """The way from prompts to ids and back with one tokenizer.

    Raises:
        ConfigError: it has no chat template that is followed here and none is named, or its template does not take a
            plain conversation.
    """

    def __init__(self, tokenizer: Tokenizer, template: str | None = None) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._named = template_for(template, "") if template else None
        if self._named is None and not tokenizer.template:
            say = f"say --template, one of {', '.join(TEMPLATES)}"
            raise ConfigError(f"{tokenizer.name} has no chat template that is followed here; {say}")
        self.end = tokenizer.end
        """The id that ends a turn."""
        ending = tokenizer.added.get(-1 if self.end is None else self.end)
        self.end_text = ending.text if ending else ""
        special = {i: token.text for i, token in tokenizer.added.items() if token.special}
        control = special | self._unflagged()
        self._control = frozenset(control)
        self._special = frozenset(special) | {tokenizer.end}
        self._ends = tuple(special.values())
        self._all = any_of(control.values())
        self._but_reasoning = any_of(text for text in control.values() if text not in _REASONING)
        self._words: dict[int, str] = {}
        self._require_roles()

    def render(self, prompt: Prompt, window: int, max_tokens: int) -> Rendered:
        """The prompt's text and ids; they go on from the ids of its seam where the text goes on from the seam's, and
        what is left of its pieces is read piece by piece.

        Raises:
            PromptTooLong: ids and ``max_tokens`` together are more than ``window``.
            EngineRefused: the chat template refuses the conversation, or it spells control tokens and holds nearly
                all of the 32 code points that are no characters (U+FDD0 to U+FDEF).
        """
        text, spelt = self._text(prompt)
        text = _SURROGATES.sub("\ufffd", text)  # halves of a pair, which JSON can carry and no tokenizer takes
        ids: tuple[int, ...] = ()
        at = 0
        if prompt.seam and text.startswith(prompt.seam.text):
            ids, at = prompt.seam.ids, len(prompt.seam.text)
        for start, end in pairwise([at, *(cut for cut in _cuts(text, prompt.pieces) if cut > at), len(text)]):
            within = [(max(at, start) - start, to - start) for at, to in spelt if at < end and start < to]
            ids += tuple(self._encode(text[start:end], within))
        if len(ids) + max_tokens > window:
            raise PromptTooLong(f"{len(ids)} tokens and {max_tokens} more do not fit the model's window of {window}")
        return Rendered(text, ids)

    def text(self, prompt: Prompt) -> str:
        """The text that the model continues."""
        return self._text(prompt)[0]

    def seam(self, before: Rendered, text: str, ids: Sequence[int]) -> Seam:
        """Where the next call goes on: as many of the ids as make up ``text`` exactly.

        A last token may reach past the stop string, or be the end-of-text token, and a text may end inside of a
        character: such tokens are left to be read again from the text.
        """
        kept = list(ids)
        while kept and kept[-1] in self._special:
            kept.pop()
        while kept and ((read := self._after(before.ids, kept)).endswith("\ufffd") or not text.startswith(read)):
            kept.pop()
        return Seam(before.text + self._after(before.ids, kept), before.ids + tuple(kept))

    def pieces(self, before: Sequence[int], ids: Sequence[int]) -> list[str]:
        """The text of each of the ids; they join to the text of all."""
        reader = Reader(self._tokenizer, before)
        pieces = [reader.read(token) for token in ids]
        if pieces:
            pieces[-1] += reader.rest()
        return pieces

    def reader(self, before: Sequence[int]) -> "Reader":
        return Reader(self._tokenizer, before)

    def word(self, token: int) -> str:
        """The text of one id by itself."""
        if token not in self._words:
            self._words[token] = self._tokenizer.decode([token])
        return self._words[token]

    def _unflagged(self) -> dict[int, str]:
        """Tokens that the template writes, or that begin and end thoughts, but that are not flagged as special (the
        roles of DeepSeek). Others that were added are words: some tokenizers add runs of blanks."""
        written = str(self._tokenizer.template) if self._named is None else self._named(Prompt(_TRIAL))
        texts = ((i, token.text) for i, token in self._tokenizer.added.items())
        return {i: text for i, text in texts if text in _REASONING or (text.strip() and text in written)}

    def closed(self, messages: Sequence[Message]) -> tuple[str, list[tuple[int, int]]]:
        """The conversation with its last turn ended, and where control tokens are merely spelt in it."""
        return self._marked(messages, "", lambda marked, _: self._tokenizer.chat(marked, add_generation_prompt=False))

    def encode(self, text: str, spelt: Sequence[tuple[int, int]] = ()) -> list[int]:
        """The ids of a text by itself, spellings of control tokens read letter by letter."""
        return list(self._encode(text, spelt))

    def _after(self, before: Sequence[int], ids: Sequence[int]) -> str:
        context = list(before[-_CONTEXT:])
        read = self._tokenizer.decode([*context, *ids])
        return read[len(self._tokenizer.decode(context)) :]

    def _text(self, prompt: Prompt) -> tuple[str, list[tuple[int, int]]]:
        """The text, and the places in it where control tokens are merely spelt."""
        return self._marked(
            prompt.messages,
            prompt.opening,
            lambda messages, opening: self._continued(replace(prompt, messages=messages, opening=opening)),
        )

    def _marked(
        self, messages: Sequence[Message], opening: str, write: Callable[[tuple[Message, ...], str], str]
    ) -> tuple[str, list[tuple[int, int]]]:
        """What ``write`` makes of a conversation, and the places in it where control tokens are merely spelt."""
        own = [opening, *(message.content for message in messages)]
        if not any(self._all.search(text) for text in own):
            return write(tuple(messages), opening), []
        marks = [mark for mark in _MARKS if not any(mark in text for text in own)]
        if len(marks) < 2:
            raise EngineRefused("the conversation spells control tokens, and uses up all that could mark them")
        opens, closes = marks[:2]

        def marked(text: str, spellings: re.Pattern[str]) -> str:
            return spellings.sub(lambda found: opens + found[0] + closes, text)

        bare = tuple(
            Message(m.role, marked(m.content, self._but_reasoning if m.role == "assistant" else self._all))
            for m in messages
        )
        return _unmarked(write(bare, marked(opening, self._but_reasoning)), opens, closes)

    def _continued(self, prompt: Prompt) -> str:
        if self._named is not None:
            turn = "" if prompt.opening else _TURNS[self._template or ""]
            return self._named(prompt) + turn
        text = self._tokenizer.chat(prompt.messages, add_generation_prompt=not prompt.opening)
        return self.reopened(text) + prompt.opening if prompt.opening else text

    def reopened(self, text: str) -> str:
        """Without the mark that ended the last turn."""
        bare = text.removesuffix("\n")
        mark = next((mark for mark in self._ends if bare.endswith(mark)), None)
        return text if mark is None else bare.removesuffix(mark)

    def _encode(self, text: str, spelt: Sequence[tuple[int, int]]) -> Iterator[int]:
        ids, places = self._tokenizer.encode(text)
        if not spelt:
            yield from ids
            return
        for token, (start, end) in zip(ids, places, strict=True):
            if token in self._control and any(start < to and at < end for at, to in spelt):
                yield from self._tokenizer.letters(text[start:end])
            else:
                yield token

    def _require_roles(self) -> None:
        """Say at once what would be refused at every call."""
        if self._named is None:
            try:
                self._tokenizer.chat(_TRIAL, add_generation_prompt=False)
            except EngineRefused as refused:
                raise ConfigError(f"{self._tokenizer.name}: {refused}") from None


class Reader:
    """Ids into text as they come, never splitting a character.

    Bytes that are no UTF-8 at all become U+FFFD once it is sure that no later id completes them.
    """

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._ids = list(before[-_CONTEXT:])
        self._pending = 0
        self._known = self._decoded()

    def read(self, token: int) -> str:
        """The text that this id completes; empty while a character is still open."""
        self._ids.append(token)
        self._pending += 1
        text = self._decoded()
        if text.endswith("\ufffd") and self._pending < _CONTEXT:
            return ""
        return self._taken(text)

    def rest(self) -> str:
        """What was left open."""
        return self._taken(self._decoded()) if self._pending else ""

    def _taken(self, text: str) -> str:
        new = text[len(self._known) :]
        self._ids = self._ids[-_CONTEXT:]
        self._pending = 0
        self._known = self._decoded()
        return new

    def _decoded(self) -> str:
        return self._tokenizer.decode(self._ids)


def any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Matches any of them, the longest that there is; nothing where there are none."""
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(re.escape(text) for text in longest_first) or r"(?!)")


def _cuts(text: str, pieces: Sequence[str]) -> Iterator[int]:
    """Where in the text pieces begin, if it ends with them: a template may have changed what they say."""
    whole = "".join(pieces)
    at = len(text) - len(whole)
    for piece in pieces if text.endswith(whole) else ():
        yield at
        at += len(piece)


def _unmarked(text: str, opens: str, closes: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without its marks, and what stood between two. A template may have cut off one of a pair."""
    parts, spelt, size = [], [], 0
    for part in re.split(f"({opens}[^{opens}{closes}]*{closes})", text):
        bare = part.replace(opens, "").replace(closes, "")
        if part.startswith(opens) and part.endswith(closes):
            spelt.append((size, size + len(bare)))
        parts.append(bare)
        size += len(bare)
    return "".join(parts), spelt
