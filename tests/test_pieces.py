"""Which words of a rationale are the model's own: every form, cut short, and hostile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genprm.protocols import Conversation, Execute
from genprm.protocols.chat import NO_REPLY
from genprm.protocols.genprm import ANALYZE, JUDGE, VERIFY, GenPRMProtocol
from genprm.protocols.pieces import OUTPUT, Piece, chat_pieces, genprm_pieces
from genprm.sandbox.result import Result
from genprm.types import Completion, Problem, Rationale, Sampling, Solution

OPEN = ANALYZE.format(t=3)
ANALYSIS = "Fine.\n</analyze>\n"
CODE = "print(2)\n```\n"
PRINTED = f"{OUTPUT}2\n```\n"
CLOSING = "So it is.\n</verify>\n<output>\n**Judgement**: $\\boxed{Yes}$\n</output>\n"
VERDICT = "{No}$\n</output>\n"


def own(text: str) -> list[str]:
    return [piece.text for piece in genprm_pieces(text) if piece.own]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (OPEN + ANALYSIS + VERIFY + CODE + PRINTED + CLOSING, [ANALYSIS, CODE, CLOSING]),
        (
            OPEN + ANALYSIS + VERIFY + CODE + PRINTED + "Again:\n```python\nprint(3)\n```\n" + PRINTED + CLOSING,
            [ANALYSIS, CODE, "Again:\n```python\nprint(3)\n```\n", CLOSING],
        ),
        (VERIFY + CODE + PRINTED + CLOSING, [CODE, CLOSING]),
        (OPEN + ANALYSIS + VERIFY + CODE + CLOSING, [ANALYSIS, CODE + CLOSING]),
        (OPEN + ANALYSIS + JUDGE + VERDICT, [ANALYSIS, VERDICT]),
        (JUDGE + VERDICT, [VERDICT]),
    ],
    ids=["full", "two-checks", "code-only", "not-executed", "analysis-only", "direct"],
)
def test_every_form_that_the_switches_make(text: str, written: list[str]) -> None:
    assert own(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (OPEN + "It goes on and", ["It goes on and"]),
        (OPEN + ANALYSIS, [ANALYSIS]),
        (OPEN + ANALYSIS + VERIFY + "print(", [ANALYSIS, "print("]),
        (OPEN + ANALYSIS + VERIFY + CODE + OUTPUT + "2", [ANALYSIS, CODE]),
        (OPEN + ANALYSIS + VERIFY[:-3], [ANALYSIS, VERIFY[:-3]]),
        (OPEN, []),
        ("", []),
    ],
    ids=["analysis", "after-analysis", "code", "output", "opening", "only-opening", "nothing"],
)
def test_what_is_cut_short_is_the_models_own_from_there_on(text: str, written: list[str]) -> None:
    assert own(text) == written


def test_an_output_that_prints_the_protocols_words_stays_an_output() -> None:
    printed = OUTPUT + "</output>\n[Code Output]\n</verify>\n```\n"
    assert own(OPEN + ANALYSIS + VERIFY + CODE + printed + CLOSING) == [ANALYSIS, CODE, CLOSING]


def test_an_output_without_code_before_it_is_invented() -> None:
    """Only code that has just ended is run: a model that writes an output of its own must answer for it."""
    invented = "I know it.\n" + PRINTED
    written = [CODE, "I know it.\n" + OUTPUT, "2\n```\n", CLOSING]
    assert own(VERIFY + CODE + PRINTED + invented + CLOSING) == written
    fence = "```text\nx\n```\n"  # closes a fence, but no code
    assert own(VERIFY + CODE + PRINTED + fence + PRINTED + CLOSING) == [CODE, fence, OUTPUT, "2\n```\n", CLOSING]


def test_empty_output() -> None:
    assert own(VERIFY + CODE + OUTPUT + "\n```\n" + CLOSING) == [CODE, CLOSING]


def test_other_text_is_all_the_models_own() -> None:
    assert genprm_pieces("The paragraph is right.") == [Piece("The paragraph is right.", True)]
    assert own(ANALYZE.format(t="x") + "y") == [ANALYZE.format(t="x") + "y"]


_PARTS = [OPEN, ANALYSIS, VERIFY, CODE, PRINTED, CLOSING, JUDGE, VERDICT, OUTPUT, "```\n", "\n", "x", "</output>\n"]


@given(st.lists(st.sampled_from(_PARTS), max_size=12).map("".join))
def test_pieces_join_to_the_text(text: str) -> None:
    pieces = genprm_pieces(text)
    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.text for piece in pieces)


def test_the_cuts_are_those_of_the_calls() -> None:
    """The protocol itself is played through; what its calls returned are the own pieces."""
    replies = [ANALYSIS, CODE, "More.\n```python\nprint(3)\n```\n", CLOSING]
    talk = GenPRMProtocol().rationale(Solution(Problem("p"), ("a", "b", "c")), 2, ["", ""], Sampling())
    assert own(played(talk, list(replies)).text) == replies


def played(talk: Conversation, replies: list[str]) -> Rationale:
    """The rationale that comes of these replies; every check prints 2."""
    request = next(talk)
    while True:
        executes = isinstance(request, Execute)
        try:
            request = talk.send(Result("ok", stdout="2\n") if executes else Completion(replies.pop(0)))
        except StopIteration as ended:
            made: Rationale = ended.value
            return made


def test_chat() -> None:
    assert chat_pieces("Right.") == [Piece("Right.", True)]
    assert chat_pieces(NO_REPLY) == [Piece(NO_REPLY, False)]
    assert chat_pieces("") == []
