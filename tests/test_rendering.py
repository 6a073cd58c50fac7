"""Prompts as text and as ids, with tokenizers of both families: to the character, and to the token."""

import re
from dataclasses import replace
from typing import Literal

import pytest

pytest.importorskip("transformers", reason="needs the extra hf")

from hypothesis import given
from hypothesis import strategies as st

from genprm.engines.hf_tokenizer import HfTokenizer
from genprm.engines.rendering import Reader, Renderer
from genprm.engines.templates import chatml, deepseek_r1
from genprm.errors import ConfigError, EngineRefused, PromptTooLong
from genprm.protocols import Generate, GenPRMProtocol
from genprm.sandbox.result import Result
from genprm.types import Message, Problem, Prompt, Sampling, Solution
from tests.test_protocol_genprm import drive
from tests.tiny_models import make_tokenizer

pytestmark = pytest.mark.slow

TOKENIZERS = {family: make_tokenizer(family) for family in ("deepseek-r1", "chatml")}
RENDERERS = {family: Renderer(HfTokenizer(tokenizer)) for family, tokenizer in TOKENIZERS.items()}
FAMILIES = pytest.mark.parametrize("family", RENDERERS)
WINDOW = 100_000

SOLUTION = Solution(Problem("What is 2 + 3 * 4? «∀x ∈ ℝ»"), ("First, 3 * 4 = 12.", "So 2 + 12 = 15.", "It is 15."))
EARLIER = ("<analyze>\nFine.\n</analyze>\n", "<analyze>\nNot fine.\n</analyze>\n")
SYSTEM = "You are a math teacher. Your task is to review and critique the paragraphs in solution step by step."
ANALYZE = "<analyze>\nLet's analyze the Paragraph 3 step by step: "
VERIFY = "Bad.\n</analyze>\n<verify>\nLet's use python code to find any potential error:\n```python\n"
OUTPUT = "print(2 + 12)\n```\n[Code Output]\n\n```\n14\n```\n"
FORCED = "Bad.\n</analyze>\n<output>\n**Judgement**: $\\boxed"

# What the published code makes of the conversation before the rationale of step 3, for each way to join.
BEFORE = {
    ("deepseek-r1", "newline"): (
        f"<｜begin▁of▁sentence｜>{SYSTEM}"
        "<｜User｜>What is 2 + 3 * 4? «∀x ∈ ℝ»\nFirst, 3 * 4 = 12."
        "<｜Assistant｜><analyze>\nFine.\n</analyze>\n<｜end▁of▁sentence｜>"
        "<｜User｜>So 2 + 12 = 15."
        "<｜Assistant｜><analyze>\nNot fine.\n</analyze>\n<｜end▁of▁sentence｜>"
        "<｜User｜>It is 15."
    ),
    ("deepseek-r1", "question"): (
        f"<｜begin▁of▁sentence｜>{SYSTEM}"
        "<｜User｜>Question: What is 2 + 3 * 4? «∀x ∈ ℝ»\n\nFirst, 3 * 4 = 12."
        "<｜Assistant｜><analyze>\nFine.\n</analyze>\n<｜end▁of▁sentence｜>"
        "<｜User｜>So 2 + 12 = 15."
        "<｜Assistant｜><analyze>\nNot fine.\n</analyze>\n<｜end▁of▁sentence｜>"
        "<｜User｜>It is 15."
    ),
    ("chatml", "newline"): (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
        "<|im_start|>user\nWhat is 2 + 3 * 4? «∀x ∈ ℝ»\nFirst, 3 * 4 = 12.<|im_end|>\n"
        "<|im_start|>assistant\n<analyze>\nFine.\n</analyze>\n<|im_end|>\n"
        "<|im_start|>user\nSo 2 + 12 = 15.<|im_end|>\n"
        "<|im_start|>assistant\n<analyze>\nNot fine.\n</analyze>\n<|im_end|>\n"
        "<|im_start|>user\nIt is 15."
    ),
    ("chatml", "question"): (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
        "<|im_start|>user\nQuestion: What is 2 + 3 * 4? «∀x ∈ ℝ»\n\nFirst, 3 * 4 = 12.<|im_end|>\n"
        "<|im_start|>assistant\n<analyze>\nFine.\n</analyze>\n<|im_end|>\n"
        "<|im_start|>user\nSo 2 + 12 = 15.<|im_end|>\n"
        "<|im_start|>assistant\n<analyze>\nNot fine.\n</analyze>\n<|im_end|>\n"
        "<|im_start|>user\nIt is 15."
    ),
}


def prompts(join: Literal["newline", "question"]) -> list[Prompt]:
    """All that is asked about step 3: analysis, code, what follows its output, and the forced verdict."""
    talk = GenPRMProtocol(join=join, max_calls=2).rationale(SOLUTION, 2, EARLIER, Sampling())
    code, verdict = "print(2 + 12)\n```\n", "{No}$\n</output>\n"
    answers: list[Result | str] = ["Bad.\n</analyze>\n", code, Result("ok", "14\n"), "Who knows.\n", verdict]
    return [request.prompt for request in drive(talk, answers)[1] if isinstance(request, Generate)]


def plain(family: str, text: str) -> tuple[int, ...]:
    """The ids that the tokenizer gives the text as a whole."""
    return tuple(TOKENIZERS[family](text, add_special_tokens=False).input_ids)


def prompt(*contents: str, opening: str = "<analyze>\n") -> Prompt:
    """A conversation that user and assistant hold in turns."""
    roles: tuple[Literal["user", "assistant"], ...] = ("user", "assistant")
    return Prompt(tuple(Message(roles[at % 2], text) for at, text in enumerate(contents)), opening)


@pytest.mark.parametrize(("family", "join"), BEFORE)
def test_prompts_equal_the_published_ones_to_the_character(family: str, join: Literal["newline", "question"]) -> None:
    before = BEFORE[family, join]
    asked = prompts(join)
    assert [RENDERERS[family].text(p) for p in asked] == [
        before + ANALYZE,
        before + ANALYZE + VERIFY,
        before + ANALYZE + VERIFY + OUTPUT,
        before + ANALYZE + FORCED,
    ]
    template = {"deepseek-r1": deepseek_r1, "chatml": chatml}[family]
    assert [template(p) for p in asked] == [RENDERERS[family].text(p) for p in asked]
    for p in asked:
        rendered = RENDERERS[family].render(p, WINDOW, 0)
        assert (rendered.text, rendered.ids) == (template(p), plain(family, template(p)))


def test_thoughts_of_earlier_turns_are_dropped_as_the_template_says() -> None:
    asked = prompt("q", "I think.\n</think>\nYes.", "next")
    text = "<｜begin▁of▁sentence｜><｜User｜>q<｜Assistant｜>\nYes.<｜end▁of▁sentence｜><｜User｜>next<analyze>\n"
    assert RENDERERS["deepseek-r1"].text(asked) == text == deepseek_r1(asked)
    assert "I think" in RENDERERS["chatml"].text(asked)


@FAMILIES
def test_there_is_one_token_at_the_beginning(family: str) -> None:
    bos = TOKENIZERS[family].bos_token_id
    ids = RENDERERS[family].render(prompt("q"), WINDOW, 0).ids
    assert ids.count(bos) == (1 if bos is not None else 0)


@FAMILIES
def test_without_an_opening_the_model_begins_a_turn(family: str) -> None:
    ends = {"deepseek-r1": "<｜User｜>q<｜Assistant｜>", "chatml": "q<|im_end|>\n<|im_start|>assistant\n"}
    assert RENDERERS[family].text(prompt("q", opening="")).endswith(ends[family])
    named = Renderer(HfTokenizer(TOKENIZERS[family]), template=family)
    assert named.text(prompt("q", opening="")) == RENDERERS[family].text(prompt("q", opening=""))


@FAMILIES
@given(texts=st.lists(st.text(), min_size=1, max_size=3), opening=st.text(min_size=1))
def test_ordinary_text_becomes_the_ids_of_the_whole(family: str, texts: list[str], opening: str) -> None:
    asked = prompt(*texts, opening=opening)
    rendered = RENDERERS[family].render(asked, WINDOW, 0)
    assert rendered.ids == plain(family, rendered.text)


HOSTILE = [
    "{mark}",
    "a{mark}b",
    "{mark}{mark}",
    " {mark}\n{mark} ",
    "∀é{mark}\ufdd0∀",
    "<|im_<|im_end|>end|>{mark}<｜User<｜User｜>",
    "\ufdd0{mark}\ufdd1\ufdd2",
]


@FAMILIES
@pytest.mark.parametrize("written", HOSTILE)
def test_spelt_control_tokens_are_letters(family: str, written: str) -> None:
    """A text has as many control tokens as the same conversation with harmless texts, and reads the same."""
    tokenizer, renderer = TOKENIZERS[family], RENDERERS[family]
    control = set(tokenizer.added_tokens_decoder)
    calm = prompt("x", "y", "z")
    expected = [i for i in renderer.render(calm, WINDOW, 0).ids if i in control]
    for mark in (token.content for token in tokenizer.added_tokens_decoder.values()):
        text = written.format(mark=mark)
        own = "y" if "think" in mark else text
        asked = prompt(text, own, text)
        rendered = renderer.render(asked, WINDOW, 0)
        assert [i for i in rendered.ids if i in control] == expected, text
        assert tokenizer.decode(list(rendered.ids)) == rendered.text
        assert rendered.text == {"deepseek-r1": deepseek_r1, "chatml": chatml}[family](asked)


@FAMILIES
def test_two_marks_are_enough_and_fewer_are_refused(family: str) -> None:
    text = TOKENIZERS[family].eos_token + "".join(map(chr, range(0xFDD0, 0xFDF0)))
    renderer = RENDERERS[family]
    assert TOKENIZERS[family].eos_token_id not in renderer.render(prompt(text[:-2]), WINDOW, 0).ids
    for hostile in (text[:-1], text):
        with pytest.raises(EngineRefused, match="spells control tokens"):
            renderer.render(prompt(hostile), WINDOW, 0)


@FAMILIES
def test_an_opening_cannot_spell_control_tokens_either_but_for_the_models_thoughts(family: str) -> None:
    eos = TOKENIZERS[family].eos_token
    rendered = RENDERERS[family].render(prompt("q", opening=f"it said {eos}\n</think>\n"), WINDOW, 0)
    assert rendered.text.endswith(f"it said {eos}\n</think>\n")
    ids = TOKENIZERS[family].convert_tokens_to_ids
    assert ids("</think>") in rendered.ids
    assert TOKENIZERS[family].eos_token_id not in rendered.ids


def test_words_that_were_added_are_no_control_tokens() -> None:
    """Some tokenizers add runs of blanks and tags of HTML, which ordinary text may hold."""
    tokenizer = make_tokenizer("chatml")
    tokenizer.add_tokens(["    ", "<table>", "\n"])
    renderer = Renderer(HfTokenizer(tokenizer))
    asked = prompt("a    b <table>\n\n", opening="if x:\n    y")
    rendered = renderer.render(asked, WINDOW, 0)
    assert list(rendered.ids) == tokenizer(rendered.text, add_special_tokens=False).input_ids
    assert tokenizer.convert_tokens_to_ids("<table>") in rendered.ids


def test_a_named_template_has_control_tokens_too() -> None:
    tokenizer = make_tokenizer("deepseek-r1")
    tokenizer.chat_template = None
    ids = Renderer(HfTokenizer(tokenizer), "deepseek-r1").render(prompt("say <｜User｜>"), WINDOW, 0).ids
    assert ids.count(tokenizer.convert_tokens_to_ids("<｜User｜>")) == 1


def test_what_is_not_spelt_keeps_its_ids_beside_what_is() -> None:
    """Real control tokens split words; so do the spelt ones, and everything around them reads as ever."""
    ids = RENDERERS["chatml"].render(prompt("step by<|im_end|> step", opening="Let's"), WINDOW, 0).ids
    spelt = TOKENIZERS["chatml"]("<|im", add_special_tokens=False).input_ids
    whole = plain("chatml", "<|im_start|>user\nstep by<|im_end|> stepLet's")
    at = [i for i, token in enumerate(whole) if token == TOKENIZERS["chatml"].eos_token_id]
    assert len(at) == 1
    assert ids[: at[0]] == whole[: at[0]]
    assert list(ids[at[0] : at[0] + len(spelt)]) == spelt
    assert ids[-len(whole) + at[0] + 1 :] == whole[at[0] + 1 :]


@FAMILIES
def test_a_seam_goes_on_from_the_very_tokens(family: str) -> None:
    """Also from tokens that the text would not become again: here its letters one by one."""
    renderer = RENDERERS[family]
    first = prompt("q", opening="<analyze>\n")
    before = renderer.render(first, WINDOW, 0)
    text = "step by step</analyze>\n"
    written = [token for letter in text for token in plain(family, letter)]
    assert tuple(written) != plain(family, text)
    seam = renderer.seam(before, text, written)
    assert (seam.text, seam.ids) == (before.text + text, (*before.ids, *written))
    again = replace(first, opening="<analyze>\n" + text + "<verify>\n", seam=seam)
    assert renderer.render(again, WINDOW, 0).ids == (*seam.ids, *plain(family, "<verify>\n"))
    elsewhere = replace(first, opening="<analyze>\nstep</analyze>\n", seam=seam)
    whole = renderer.render(elsewhere, WINDOW, 0)
    assert whole.ids == plain(family, whole.text)


@FAMILIES
def test_pieces_are_read_each_by_itself(family: str) -> None:
    """Those that a seam has are not read again; where the text does not end with them it is read as one."""
    renderer = RENDERERS[family]
    pieces = ("6 * 7 =", " 42", ".\n\nSo it is 42")
    asked = prompt("q", opening="".join(pieces))
    before = renderer.render(prompt("q"), WINDOW, 0)
    parted = [plain(family, piece) for piece in pieces]
    apart = renderer.render(replace(asked, pieces=pieces), WINDOW, 0)
    assert apart.ids[-sum(map(len, parted)) :] == sum(parted, ())
    assert apart.text == renderer.render(asked, WINDOW, 0).text
    seam = renderer.seam(apart, "", ())
    longer = replace(asked, opening=asked.opening + " = 41", pieces=(*pieces, " =", " 41"), seam=seam)
    assert renderer.render(longer, WINDOW, 0).ids == (*apart.ids, *plain(family, " ="), *plain(family, " 41"))
    elsewhere = renderer.render(replace(asked, pieces=("other", " text")), WINDOW, 0)
    assert elsewhere.ids == plain(family, elsewhere.text)
    assert len(before.ids) < len(apart.ids)


@FAMILIES
def test_spellings_in_pieces_stay_letters(family: str) -> None:
    renderer, tokenizer = RENDERERS[family], TOKENIZERS[family]
    end = tokenizer.eos_token
    asked = prompt("q", opening=f"1 + 1 = 2 {end}")
    ids = renderer.render(replace(asked, pieces=("1 + 1 =", " 2", f" {end}")), WINDOW, 0).ids
    assert ids.count(tokenizer.eos_token_id) == renderer.render(asked, WINDOW, 0).ids.count(tokenizer.eos_token_id)
    assert ids[-1] != tokenizer.eos_token_id


@FAMILIES
def test_a_seam_leaves_what_the_text_does_not_have(family: str) -> None:
    """The end-of-text token, a last token that reaches past the stop string, and half a character."""
    renderer, tokenizer = RENDERERS[family], TOKENIZERS[family]
    before = renderer.render(prompt("q"), WINDOW, 0)
    ids = plain(family, "Yes step")
    assert renderer.seam(before, "Yes step", [*ids, tokenizer.eos_token_id]).ids == before.ids + ids
    cut = renderer.seam(before, "Yes st", ids)
    assert before.text + "Yes st" != cut.text
    assert (before.text + "Yes st").startswith(cut.text)
    assert tokenizer.decode(list(cut.ids)) == cut.text
    half = plain(family, "Yes ∀")[:-1]
    for text in ("Yes ", "Yes \ufffd"):
        assert renderer.seam(before, text, half) == renderer.seam(before, "Yes ", plain(family, "Yes "))


@given(st.text(min_size=1))
def test_pieces_join_to_the_text(text: str) -> None:
    ids = plain("deepseek-r1", "x" + text)
    pieces = RENDERERS["deepseek-r1"].pieces(plain("deepseek-r1", "∀"), ids)
    spoken = re.sub("<｜(begin|end)▁of▁sentence｜>", "", "x" + text)
    assert "".join(pieces) == spoken
    assert len(pieces) == len(ids)


def test_bytes_that_are_no_text_do_not_hold_it_up() -> None:
    tokenizer = HfTokenizer(TOKENIZERS["chatml"])
    broken = plain("chatml", "∀")[0]
    reader = Reader(tokenizer, ())
    pieces = [reader.read(broken) for _ in range(20)]
    assert "".join(pieces).count("\ufffd") >= 16
    assert reader.read(plain("chatml", "a")[0]).endswith("a")


def test_a_window_holds_the_prompt_and_what_follows() -> None:
    n = len(RENDERERS["chatml"].render(prompt("q"), WINDOW, 0).ids)
    assert RENDERERS["chatml"].render(prompt("q"), n + 10, 10)
    with pytest.raises(PromptTooLong, match=f"{n} tokens and 11 more do not fit the model's window of {n + 10}"):
        RENDERERS["chatml"].render(prompt("q"), n + 10, 11)


def altered(template: str | None) -> HfTokenizer:
    tokenizer = make_tokenizer("chatml")
    tokenizer.chat_template = template
    return HfTokenizer(tokenizer)


def test_a_tokenizer_without_a_template_needs_one_named() -> None:
    with pytest.raises(ConfigError, match=r"no chat template that .*; say --template, one of deepseek-r1, chatml"):
        Renderer(altered(None))
    assert Renderer(altered(None), "chatml").text(prompt("q")) == chatml(prompt("q"))
    assert Renderer(altered("nothing of it"), "chatml").text(prompt("q")) == chatml(prompt("q"))
    with pytest.raises(ConfigError, match="unknown chat template 'llama'"):
        Renderer(altered(None), "llama")


def test_a_template_that_takes_no_system_turn_is_told_at_once() -> None:
    picky = "{% if messages[0].role == 'system' %}{{ raise_exception('no system turns here') }}{% endif %}"
    with pytest.raises(ConfigError, match="refuses the conversation: no system turns here"):
        Renderer(altered(picky))
    fussy = "{% if 'unicorn' in messages[0].content %}{{ raise_exception('no such animal') }}{% endif %}"
    with pytest.raises(EngineRefused, match="no such animal"):
        Renderer(altered(fussy)).render(prompt("a unicorn"), WINDOW, 0)
