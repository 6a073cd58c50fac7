"""Text of a step -> tokens. LaTeX and plain text go through the same lexer; each token knows whether it stands in
mathematics or in prose, because a letter means something else there.

All patterns are linear: no nested repetition, so that no text can make them slow.
"""

import re
from dataclasses import dataclass

from genprm.engines.symbolic.dollars import dollars
from genprm.engines.symbolic.vocabulary import (
    DOTS,
    FUNCTIONS,
    GREEK,
    OPS,
    PRODUCTS,
    PROSE_FUNCTIONS,
    RELATIONS,
    TEXT,
)


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    """num, sym, op, rel, func, word, text (of ``\\text``), brk (ends a piece of mathematics), row (ends a row of a
    display), dots, arrow, bad (something that is not understood)."""
    text: str
    start: int
    end: int
    math: bool
    spaced: bool = False
    """White space stands before it."""


_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<num>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+\.\d+|\d+|\.\d+)
  | (?P<cmd>\\[a-zA-Z]+\*?)
  | (?P<esc>\\.)
  | (?P<word>[A-Za-z]+)
  | (?P<dots>\.\.\.+|\.\s\.\s\.)
  | (?P<rel><=|>=|!=|==|=>|->|=|<|>)
  | (?P<op>[-+*/^!%÷()\[\]{}_|':~&,;.?$"\#`])
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[Token] = []
        self.math = False
        self.spaced = False
        self.delimiters = dollars(text)

    def run(self) -> list[Token]:
        position = 0
        while position < len(self.text):
            match = _TOKEN.match(self.text, position)
            assert match is not None
            kind = match.lastgroup or "other"
            position = getattr(self, "_" + kind)(match.group(), match.start(), match.end()) or match.end()
            self.spaced = kind == "space"
        return self.tokens

    def add(self, kind: str, text: str, start: int, end: int) -> None:
        self.tokens.append(Token(kind, text, start, end, self.math, self.spaced))

    def _space(self, text: str, start: int, end: int) -> None:
        if "\n" in text and not self.math:
            self.add("row", "\n", start, end)

    def _num(self, text: str, start: int, end: int) -> int:
        if "," in text and self._in_list():  # gcd(15,105), {9,100}: no thousands
            end = start + text.index(",")
            text = text[: end - start]
        self.add("num", text.replace(",", ""), start, end)
        return end

    def _in_list(self) -> bool:
        last, before = (self.tokens[-k] if len(self.tokens) >= k else None for k in (1, 2))
        if last is None or last.kind != "op":
            return False
        called = before is not None and before.kind in {"func", "sym"}
        return last.text in {",", "{{"} or (last.text == "(" and called)

    def _dots(self, text: str, start: int, end: int) -> None:
        self.add("dots", "...", start, end)

    def _rel(self, text: str, start: int, end: int) -> None:
        kind = "arrow" if text in {"=>", "->"} else "rel"
        self.add(kind, {"==": "="}.get(text, text), start, end)

    def _other(self, text: str, start: int, end: int) -> None:
        self.add("bad", text, start, end)

    def _op(self, text: str, start: int, end: int) -> None:
        if text == "$":
            if start in self.delimiters:
                self.math = not self.math
                self.add("brk", "$", start, end)
            else:
                self.add("text", "dollar", start, end)
        elif (text in "-*+" and not self.math and self.spaced and self._is_bullet(start, end)) or text in '.;?"#`':
            self.add("brk", text, start, end)
        elif text == ",":
            self.add("op", ",", start, end)
        elif text != "&" and text != "~":
            self.add("op", OPS.get(text, text), start, end)

    def _is_bullet(self, start: int, end: int) -> bool:
        lead = self.text[max(0, start - 8) : start].rstrip(" ")
        return (not lead or lead.endswith("\n")) and self.text[end : end + 1] in {" ", "\t"}

    def _esc(self, text: str, start: int, end: int) -> None:
        if text in {"\\(", "\\[", "\\)", "\\]"}:
            self.math = text in {"\\(", "\\["}
            self.add("brk", text, start, end)
        elif text == "\\\\":
            self.add("row", text, start, end)
        elif text == "\\$":
            self.add("text", "dollar", start, end)
        elif text == "\\|":
            self.add("bad", text, start, end)
        elif text in OPS:
            self.add("op", OPS[text], start, end)
        elif text in {"\\&", "\\#", "\\@", "\\_"}:
            self.add("bad", text, start, end)

    def _cmd(self, text: str, start: int, end: int) -> int | None:
        name = text[1:]
        if text in TEXT:
            return self._text_command(text, start, end)
        if text in {"\\begin", "\\end"}:
            return self._environment(text, start, end)
        relation = RELATIONS.get(text)
        if relation is not None:
            self.add("arrow" if relation == "arrow" else "rel", relation, start, end)
        elif text in DOTS:
            self.add("dots", "...", start, end)
        elif text in OPS:
            self.add("op", OPS[text], start, end)
        elif name in GREEK:
            self.add("sym", name, start, end)
        elif name in FUNCTIONS:
            self.add("func", name, start, end)
        elif name in {"quad", "qquad"}:
            self.add("brk", text, start, end)
        elif name in {"hspace", "vspace", "phantom", "tag", "label"}:
            closing = _closing(self.text, end)
            self.add("brk", name, start, closing)
            return closing
        elif name not in {"bf", "rm", "it", "big", "large", "Large", "small"}:
            self.add("bad", text, start, end)
        return None

    def _text_command(self, text: str, start: int, end: int) -> int:
        closing = _closing(self.text, end)
        content = self.text[end:closing].strip(" {}~").replace("\\", " ")
        if text == "\\mathbf" and len(content) == 1:
            self.add("bad", content, start, closing)  # a vector or a matrix: its algebra is another
        elif content.lower() in {"lcm", "gcd"}:
            self.add("func", content.lower(), start, closing)
        elif len(content) == 1 and content.isalpha() and text != "\\text":
            self.add("sym", content, start, closing)
        elif text == "\\operatorname":
            self.add("bad", content[:20], start, closing)
        else:
            self.add("text", content[:80], start, closing)
        return closing

    def _environment(self, text: str, start: int, end: int) -> int:
        closing = _closing(self.text, end)
        name = self.text[end:closing].strip("{}* ")
        if name in {"align", "equation", "gather", "eqnarray", "alignat", "multline", "aligned", "split", "gathered"}:
            if name in {"align", "equation", "gather", "eqnarray", "alignat", "multline"}:
                self.math = text == "\\begin"
            self.add("row", name, start, closing)
        else:  # cases, matrices, arrays: the rows are no claims of their own
            self.add("bad", name[:20], start, closing)
        return closing

    def _word(self, text: str, start: int, end: int) -> None:
        glued = start > 0 and self.text[start - 1].isdigit()
        if glued and text in {"st", "nd", "rd", "th"}:
            self.add("bad", text, start, end)  # an ordinal is no number to calculate with
            return
        beside = bool(self.tokens) and not self.spaced and self.tokens[-1].kind in {"sym", "func"}
        if beside and not self.math and len(text) > 1 and text not in PRODUCTS:
            self.add("bad", text, start, end)  # 2πrh: letters of a formula, no unit
        elif self.math:
            self._math_word(text, start, end)
        elif text.lower() in PROSE_FUNCTIONS:
            self.add("func", text.lower(), start, end)
        elif text in PRODUCTS and (glued or _operator_near(self.text, start, end)):
            self._letters(text, start, end)
        elif len(text) == 1:
            prose = text in "aAI" and not _operator_near(self.text, start, end)
            self.add("word" if prose else "sym", text, start, end)
        else:
            self.add("word", text, start, end)

    def _math_word(self, text: str, start: int, end: int) -> None:
        if text.lower() in PROSE_FUNCTIONS and len(text) > 1:
            self.add("func", text.lower(), start, end)
        elif text == "cis":
            self.add("bad", text, start, end)
        elif len(text) == 1:
            self.add("sym", text, start, end)
        elif text.isupper() and len(text) <= 3:
            self.add("sym", text, start, end)  # a segment or an angle: AB, ABC
        elif len(text) <= 3 and text.lower() not in {
            "and",
            "or",
            "if",
            "so",
            "for",
            "cm",
            "km",
            "mm",
            "ft",
            "mph",
            "in",
        }:
            self._letters(text, start, end)
        else:
            self.add("word", text, start, end)

    def _letters(self, text: str, start: int, end: int) -> None:
        for i, letter in enumerate(text):
            self.add("sym", letter, start + i, start + i + 1)


def _operator_near(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 3) : start].rstrip()[-1:], text[end : end + 3].lstrip()[:1]
    return (before in set("+-*/^=(<>") if before else False) or (after in set("+-*/^=)<>") if after else False)


def _closing(text: str, start: int) -> int:
    """End of the brace group that begins at ``start``; ``start`` itself where there is none."""
    if text[start : start + 1] != "{":
        return start
    depth = 0
    for i in range(start, min(len(text), start + 400)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return i + 1
    return start


def lex(text: str) -> list[Token]:
    """Tokens of a text that went through :func:`genprm.engines.symbolic.cleaning.clean`."""
    return _Lexer(text).run()
