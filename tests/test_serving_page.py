"""The live page in a real browser: headless Chromium, from Debian's packages."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pages import Page, browser
from tests.service import NO, YES, process, script

TAG = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>'

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (shutil.which("chromium") and shutil.which("chromedriver")), reason="needs chromium"),
]


@pytest.fixture(scope="module")
def symbolic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with process("--engine", "symbolic", log=tmp_path_factory.mktemp("log") / "log") as (url, _):
        yield url


@pytest.fixture
def page(symbolic: str) -> Iterator[Page]:
    with browser(symbolic) as opened:
        yield opened


def test_the_example_shows_the_wrong_step_and_its_executed_check(page: Page) -> None:
    page.example(1)
    assert page.conclusion().startswith("First error: step 3.")
    (marked,) = page.run("return [...document.querySelectorAll('.is-first')].map((e) => e.id)")
    assert marked == "step-3"
    shown = "#step-3 .why[open] pre.output"
    assert "180" in page.run(f"return document.querySelector('{shown}').textContent")
    assert "60 * 3" in page.run("return document.querySelector('#step-3 pre.code').textContent")
    assert "4 no" in page.run("return document.querySelector('#step-3 .votes').textContent")
    assert page.run("return document.getElementById('status').textContent") == "First error: step 3."
    page.run("document.querySelector('.verdict a').click()")
    assert page.run("return location.hash") == "#step-3"
    assert page.quiet()
    page.size(1280, 1250)
    page.run("scrollTo({top: 0, behavior: 'instant'})")
    page.picture("serve-page")


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_needs_no_scrolling_sideways(page: Page, dark: bool) -> None:
    page.size(390, 844, dark)
    page.example(2)
    assert page.conclusion() == "No error found."
    assert page.run("return document.documentElement.scrollWidth") == 390
    small = "[...document.querySelectorAll('button, summary')].filter((e) => e.offsetHeight && e.offsetHeight < 22)"
    assert page.run(f"return ({small}).length") == 0
    page.run("document.querySelector('.critique').scrollIntoView({behavior: 'instant'})")
    page.picture(f"serve-phone-{'dark' if dark else 'light'}")
    assert page.quiet()


def test_formulas_are_drawn(page: Page) -> None:
    texts = {
        r"$\frac{1}{2} + \sqrt[3]{x}$": "mfrac mroot",
        r"$x^2_1$ and \(\sum_{i=1}^{n} i\)": "msubsup munderover",
        r"\[\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}\]": "mtable",
        r"$$\left(\frac{a}{b}\right) \ge \alpha$$": "mfrac",
        r"\boxed{42}": "mrow",
        "It costs $4 and then $5.": "",
        "\\$4 each": "",
        "$" + "{" * 500 + "$ and $\\frac$ and $}$ and $\\left($ \\begin{cases}": "",
        "$" + "\\frac{" * 300 + "$": "",
    }
    page.ask("p", "\n\n".join(texts))
    page.conclusion()
    for n, (text, wanted) in enumerate(texts.items(), 1):
        drawn = page.run(
            f"return [...document.querySelectorAll('#step-{n} .step-text math *')].map((e) => e.localName)"
        )
        assert set(wanted.split()) <= set(drawn), text
    money = page.run("return document.querySelector('#step-6 .step-text').textContent")
    assert money == "It costs $4 and then $5."
    assert page.quiet()


def test_hostile_and_endless_text_stays_in_its_place(page: Page) -> None:
    """Nothing is wider than a phone, formulas of any depth are drawn, and text runs as its own letters do."""
    texts = [
        "$" + "x^2+" * 150 + "1$",
        "$$" + " + ".join(rf"\frac{{{n}}}{{{n}}}" for n in range(60)) + "$$",
        "Donaudampfschiff" * 60,
        "`" + "0123456789" * 60 + "`",
        "$$" + r"\sqrt" * 600 + "x$$",
        "$$" + "{^" * 600 + "x$$",
        "\u05e9\u05dc\u05d5\u05dd 3 + 4 = 7 $x$",
        "a\u2028b",
        r"\[" * 6000,
    ]
    page.size(390, 844)
    page.run("document.getElementById('n').value = 1")
    page.ask("\u062d\u0633\u0627\u0628", "\n\n".join(f"Step {n}: {text}" for n, text in enumerate(texts, 1)))
    page.wait("document.querySelector('.conclusion:not(.waiting), .notice')", 60)
    assert page.run("return document.querySelectorAll('.step').length") == len(texts)
    assert page.run("return document.documentElement.scrollWidth") == 390
    deep = """
        let most = 0;
        for (let node of document.querySelectorAll('math *')) {
          let depth = 0;
          for (; node.localName !== 'math'; node = node.parentNode) depth += 1;
          most = Math.max(most, depth);
        }
        return most;
    """
    assert page.run(deep) < 300
    ways = "return [...document.querySelectorAll('.step-text p')].map((e) => getComputedStyle(e).direction)"
    assert page.run(ways)[6] == "rtl"
    assert page.run("return getComputedStyle(document.getElementById('problem')).direction") == "rtl"
    assert page.quiet()


def test_script_in_every_field_is_shown_and_not_run(tmp_path: Path) -> None:
    rules: list[dict[str, Any]] = [
        {"when": "[Code Output]", "text": f"{TAG}\n</verify>\n<output>\n**Judgement**: $\\boxed{NO['text']}"},
        {"when": "```python", "text": f"print({TAG!r})\n```\n"},
        {"text": f"{TAG} ${TAG}$ `{TAG}` \\text{{{TAG}}}\n</analyze>\n"},
    ]
    with process("--engine", script(tmp_path, *rules), log=tmp_path / "log") as (url, _), browser(url) as page:
        page.ask(TAG, f"Step 1: {TAG} $\\text{{{TAG}}}$\n\nStep 2: `{TAG}`")
        assert page.conclusion() == "First error: step 1."
        for part in (".problem", "#step-1 .step-text", "#step-1 .analysis", "#step-1 pre.code", "#step-1 pre.output"):
            assert "onerror" in page.run("return document.querySelector(arguments[0]).textContent", part), part
        assert page.run("return document.querySelectorAll('img, #result script').length") == 0
        assert page.run("return window.hit") is None
        assert page.quiet()


def test_disagreement_failure_and_cancelling_are_shown(tmp_path: Path) -> None:
    texts = [YES["text"], NO["text"]]
    rules: list[dict[str, Any]] = [
        {"when": "broken", "error": "out of order"},
        {"when": "slow", "delay_s": 60, **YES},
        {"texts": texts},
    ]
    options = ["--option", "analyze=false", "--option", "verify=false", "--stopping", "none"]
    with (
        process("--engine", script(tmp_path, *rules), *options, log=tmp_path / "log") as (url, _),
        browser(url) as page,
    ):
        page.run("document.getElementById('n').value = 8")
        page.ask("p", "Step 1: so\n\nStep 2: so")
        page.conclusion()
        split = page.run("return document.querySelector('.disagree summary').textContent")
        assert "rationales disagree" in split
        page.ask("p", "Step 1: broken")
        page.wait("document.querySelector('.conclusion.unknown')")
        assert "out of order" in page.conclusion()
        page.ask("p", "Step 1: slow")
        page.wait("document.querySelector('.step.waiting')")
        page.run("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))")
        page.wait("document.querySelector('.conclusion.unknown')")
        assert "Cancelled" in page.conclusion()


def test_everything_is_reached_by_keyboard_and_has_a_name(page: Page) -> None:
    page.example(1)
    page.conclusion()
    from selenium.webdriver.common.keys import Keys

    seen = []
    for _ in range(40):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        seen.append(page.run("const e = document.activeElement; return e.id || e.className || e.localName"))
    assert {"problem", "solution", "n", "stop", "go", "chip"} <= set(seen)
    assert {"summary", "code", "output"} <= set(seen)
    nameless = page.run(
        "return [...document.querySelectorAll('input, textarea, button')]"
        ".filter((e) => !(e.labels?.length || e.textContent.trim())).length"
    )
    assert nameless == 0


def test_a_revision_is_shown_as_a_difference(page: Page) -> None:
    code = """
        const done = arguments[0];
        import("/page/common.js").then(({ diff, renderDiff }) => {
          const pairs = diff(["a", "b", "c"], ["a", "x", "c", "d"]);
          done([pairs, renderDiff(["a", "b"], ["a", "x"]).textContent, diff([], []).length]);
        });
    """
    pairs, text, none = page.driver.execute_async_script(code)
    assert pairs == [["same", "a"], ["gone", "b"], ["come", "x"], ["same", "c"], ["come", "d"]]
    assert ("removed: b" in text, "added: x" in text, none) == (True, True, 0)


def test_a_fault_has_its_kind_and_what_to_do(page: Page) -> None:
    page.example(1)
    page.conclusion()
    said = page.run("return document.querySelector('#step-3 .fault').textContent")
    assert said.startswith("calculation severity 0.")
    assert "Compute again" in said
    assert page.run("return document.querySelectorAll('#step-2 .fault').length") == 0


def test_a_refinement_of_the_shipped_models(tmp_path: Path) -> None:
    """What is shown holds whatever the models make of it: versions, their verdicts, and which one is chosen."""
    options = ("--engine", "nano", "--policy", "nano:policy", "--seed", "1")
    with process(*options, log=tmp_path / "log") as (url, _), browser(url) as page:
        page.wait("document.querySelectorAll('.chip').length > 2 && !document.getElementById('refine').hidden")
        page.run("document.querySelectorAll('.chip')[0].click()")
        page.press("refine")
        page.wait("document.querySelector('.version.waiting .judged.right')", 120)  # judged while it is looked at
        page.wait("document.querySelector('.conclusion:not(.waiting)')", 120)
        first = page.run("return document.querySelector('#version-0').innerText")
        assert "step 4 is wrong" in first
        assert "What the policy is told" in first
        signs = page.run("return [...document.querySelectorAll('#version-1 .sign')].map((e) => e.textContent)")
        assert {"−", "+", ""} == set(signs)
        assert page.run("return document.querySelectorAll('.version.chosen').length") == 1
        assert page.run("return document.querySelectorAll('#version-0 li.gone, #version-0 li.come').length") == 0
        page.run("document.querySelector('#version-1 .whole > summary').click()")
        page.wait("document.querySelector('#version-1-step-1 .votes')")
        page.run("document.querySelector('#version-1 .whole > summary').click()")
        assert page.quiet()
        page.size(1280, min(page.run("return document.documentElement.scrollHeight"), 1800))
        page.run("scrollTo({top: 0, behavior: 'instant'})")
        page.picture("serve-refine")
        page.size(390, 844)
        assert page.run("return document.documentElement.scrollWidth") == 390


def test_text_of_a_policy_is_shown_and_not_run_and_it_may_begin_from_nothing(tmp_path: Path) -> None:
    policy = tmp_path / "policy.jsonl"
    rules = [{"when": "odd", "text": f"{TAG} good \\boxed{{2}}"}, {"text": f"odd {TAG} \\boxed{{1}}"}]
    policy.write_text("\n".join(map(json.dumps, rules)))
    options = ("--option", "analyze=false", "--option", "verify=false", "--policy", f"scripted:{policy}")
    engine = script(tmp_path, {"when": "odd", **NO}, YES)
    with process("--engine", engine, *options, log=tmp_path / "log") as (url, _), browser(url) as page:
        page.wait("!document.getElementById('refine').hidden")
        page.run("document.getElementById('problem').value = arguments[0]", TAG)
        page.press("refine")
        assert page.conclusion() == "Accepted after 1 revision.Answer: 2"
        assert "onerror" in page.run("return document.querySelector('#version-1 .come').textContent")
        titles = "[...document.querySelectorAll('.version-head')].map((e) => e.innerText.replace(/\\s+/g, ' '))"
        assert page.run(f"return {titles}") == [
            "Start step 1 is wrong score 0.10",
            "Revision 1 no error found score 1.00 Chosen",
        ]
        assert page.run("return document.getElementById('status').textContent") == "Accepted after 1 revision."
        assert page.run("return document.querySelectorAll('img, #result script').length") == 0
        assert page.run("return window.hit") is None
        assert page.quiet()
        page.run("document.getElementById('turns').value = 99")
        page.press("refine")
        assert page.run("return document.querySelectorAll('.version').length") == 2  # the browser refuses it


def test_without_a_policy_there_is_nothing_to_refine_with(page: Page) -> None:
    page.wait("document.getElementById('version').textContent")
    assert page.run("return ['refine', 'refine-field'].every((id) => document.getElementById(id).hidden)")


def test_a_key_is_asked_for_where_one_is_needed(tmp_path: Path) -> None:
    from genprm.serving.keys import new_key

    keys = str(tmp_path / "keys")
    key = new_key(keys, "anna")
    with process("--engine", "symbolic", "--keys", keys, log=tmp_path / "log") as (url, _), browser(url) as page:
        page.wait("!document.getElementById('key-field').hidden")
        page.ask("p", "1 + 1 = 3")
        assert page.conclusion().startswith("A key is needed")
        page.run("document.getElementById('key').value = arguments[0]", key)
        page.ask("p", "1 + 1 = 3")
        page.wait("document.querySelector('.conclusion.wrong')")
