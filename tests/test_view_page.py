"""Saved runs in a real browser: headless Chromium, from Debian's packages."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.pages import Page, browser
from tests.test_view import HOSTILE, critique, desk_of, judged_by, run, serving, synthesis, write

__all__ = ["run"]  # a fixture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (shutil.which("chromium") and shutil.which("chromedriver")), reason="needs chromium"),
]


@contextmanager
def page_of(*folders: Path) -> Iterator[Page]:
    with serving(desk_of(*folders)) as server, browser(server.url + "/") as page:
        page.wait("document.querySelector('#list a')")
        yield page


def ids(page: Page) -> Any:
    return page.run("return [...document.querySelectorAll('#list .briefs')].map((e) => e.textContent)")


def chip(page: Page, text: str) -> None:
    found = "[...document.querySelectorAll('#facets .chip')].find((e) => e.textContent.startsWith(arguments[0]))"
    page.run(f"{found}.click()", text)


def key(page: Page, name: str, where: str = "document.body") -> None:
    event = "new KeyboardEvent('keydown', {key: arguments[0], bubbles: true})"
    page.run(f"{where}.dispatchEvent({event})", name)


def test_a_run_is_opened_filtered_searched_and_jumped_through(run: Path) -> None:
    with page_of(run) as page:
        assert page.run("return document.querySelectorAll('#list a').length") == 12
        assert page.run("return document.getElementById('count').textContent") == "12 rows"
        chip(page, "step")
        page.wait("document.querySelectorAll('#list a').length < 12")
        assert all(brief.startswith("step") for brief in ids(page))
        page.run("document.querySelector('#list a').click()")
        page.wait("document.querySelector('.is-first')")
        assert page.run("return document.querySelector('#detail .is-first pre.output') !== null")
        chosen = page.run("return document.querySelector('.where h2').textContent")
        page.driver.refresh()  # the address says it all
        page.wait("document.querySelector('.is-first')")
        assert page.run("return document.querySelector('.where h2').textContent") == chosen
        assert page.run("return document.querySelector('[aria-pressed=true]') !== null")
        chip(page, "step")
        page.wait("document.querySelectorAll('#list a').length === 12")
        page.size(1280, 1150)
        page.picture("view-run")
        first = json.loads((run / "results.jsonl").read_bytes().splitlines()[0])["solution"]["id"]
        for what, said in (("12", "Row 12"), (first, "Row 1")):
            page.run("document.getElementById('jump').value = arguments[0]", what)
            key(page, "Enter", "document.getElementById('jump')")
            page.wait(f"document.querySelector('.where h2')?.textContent === '{said}'")
        page.run("document.getElementById('text').value = 'no such words'")
        page.run("document.getElementById('text').dispatchEvent(new Event('input'))")
        page.wait("document.getElementById('count').textContent === '0 rows'")
        assert page.quiet()


def test_keys_go_from_row_to_row(run: Path) -> None:
    with page_of(run) as page:
        for name, said in (("j", "Row 1"), ("j", "Row 2"), ("ArrowDown", "Row 3"), ("k", "Row 2")):
            key(page, name)
            page.wait(f"document.querySelector('.where h2')?.textContent === '{said}'")
        assert page.run("return document.querySelector('#list [aria-current] .number').textContent") == "2"
        page.driver.back()
        page.wait("document.querySelector('.where h2').textContent === 'Row 3'")
        assert page.quiet()


def test_two_runs_stand_side_by_side(run: Path, tmp_path: Path) -> None:
    other = judged_by("nano", tmp_path / "nano")
    with page_of(run, other) as page:
        page.size(1500, 1150)
        chip(page, "only the second is right")
        page.wait("document.querySelector('#list a')")
        assert any(label in ids(page)[0] for label in ("no error, label", "step"))
        page.run("document.querySelector('#list a').click()")
        page.wait("document.querySelectorAll('.side .conclusion').length === 2")
        one, two = page.run("return [...document.querySelectorAll('.side .conclusion')].map((e) => e.textContent)")
        assert one != two
        assert page.run("return document.documentElement.scrollWidth") <= 1500
        page.picture("view-two")
        assert page.quiet()


def test_stages_of_a_synthesis_lead_to_one_another(tmp_path: Path) -> None:
    with page_of(synthesis(tmp_path / "s")) as page:
        page.run("document.querySelectorAll('#parts button')[2].click()")
        page.wait("document.querySelector('#parts button:nth-child(3)[aria-current]')")
        page.run("document.querySelector('#list a').click()")
        page.wait("document.querySelector('.where a')")
        assert "unsure" in page.run("return document.querySelector('#detail .steps').textContent")
        page.run("[...document.querySelectorAll('.where a')].find((e) => e.textContent === '5 rationales').click()")
        page.wait("document.querySelector('#detail .rationale')")
        assert page.quiet()


def test_script_in_every_field_is_shown_and_not_run(tmp_path: Path) -> None:
    with page_of(write(tmp_path / "r", *HOSTILE)) as page:
        for number in (1, 2, 3):
            page.run(f"location.hash = '#row={number}'")
            page.wait(f"document.querySelector('.where h2')?.textContent === 'Row {number}'")
            assert "onerror" in page.run("return document.getElementById('detail').textContent")
        assert page.run("return document.querySelectorAll('#detail img, #list img').length") == 0
        assert page.quiet()


def test_a_phone_needs_no_scrolling_sideways(run: Path) -> None:
    with page_of(run) as page:
        page.size(390, 844, dark=True)
        page.run("document.querySelector('#list a').click()")
        page.wait("document.querySelector('#detail .conclusion')")
        assert page.run("return document.documentElement.scrollWidth") == 390
        page.run("document.getElementById('detail').scrollIntoView({behavior: 'instant'})")
        page.picture("view-phone")
        assert page.quiet()


def test_a_report_draws_its_formulas_and_asks_for_nothing(run: Path, tmp_path: Path) -> None:
    from genprm.viewing.folders import open_run
    from genprm.viewing.report import Chosen, pages

    lines = [critique("formula", 0, 0, text="Half is $\\frac{1}{2}$."), *HOSTILE]
    path = tmp_path / "report.html"
    path.write_bytes(b"".join(pages(open_run(write(tmp_path / "r", *lines)), Chosen())))
    with browser(path.as_uri() + "#row-1") as page:
        page.url = path.as_uri()
        page.wait("document.querySelector('#row-1[open] mfrac')")
        assert page.run("return document.querySelectorAll('main img').length") == 0
        assert page.quiet()
