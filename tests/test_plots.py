"""The pictures of ``genprm eval world``: what is in them is what is in the report."""

from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

from genprm.eval.world_report import Trial, WorldReport, build_report
from genprm.eval.world_votes import to_judged
from genprm.types import Critique, Method
from tests.test_eval_world import METHOD, oracle, problems

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.slow  # matplotlib alone takes seconds to import

PNG = b"\x89PNG\r\n\x1a\n"


@cache
def report(n_arms: int = 2, n_votes: int = 4) -> WorldReport:
    method = Method("scripted", "genprm", n=n_votes, stopping="none")
    trials = {}
    for name, blind in list({"full": (), "no-run": ("slip",), "direct": ("slip", "unit")}.items())[:n_arms]:
        found = [oracle(example, blind=blind, n=n_votes) for example in problems()]
        trials[name] = Trial(
            [to_judged(Critique(o.solution, method, o.outcome, o.first_error, o.steps)) for o in found], method, name
        )
    return build_report(problems(), trials, {}, resamples=50)


def texts(path: Path) -> list[str]:
    return [
        "".join(each.itertext()).strip() for each in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")
    ]


@pytest.mark.parametrize("n_arms", [1, 2, 3])
def test_every_picture_in_two_formats(tmp_path: Path, n_arms: int) -> None:
    from genprm.eval import plots

    made = plots.save_all(report(n_arms), tmp_path)
    assert sorted(made) == sorted(tmp_path.iterdir())
    assert {path.name for path in made} == {f"{n}.{e}" for n in ("votes", "kinds", "confusion") for e in ("png", "svg")}
    for path in made:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(PNG)
    said = {path.stem: texts(path) for path in made if path.suffix == ".svg"}
    assert {"1", "2", "4", "F1 (%)", "mean of P(Yes)", "majority of verdicts"} <= set(said["votes"])
    assert ("no-run" in said["votes"]) == (n_arms > 1)
    kinds = {score.split: score.n_error for score in report().arms[0].kinds}
    assert {f"{kind} ({n})" for kind, n in kinds.items()} <= set(said["kinds"])
    assert str(report().arms[0].confusion[-1][-2]) in said["confusion"]
    assert "first error named" in said["confusion"]  # every one has a verdict, so there is no word of those without


def test_bars_and_lines_are_the_figures_of_the_report() -> None:
    from genprm.eval import plots

    arm = report(2).arms[1]
    (axes,) = plots.kinds(report(2)).axes
    names = [label.get_text().partition(" (")[0] for label in axes.get_yticklabels()]
    lengths = [bar.get_width() for bar in axes.containers[-1].patches]
    assert dict(zip(names, lengths, strict=True)) == pytest.approx(
        {score.split: 100 * (score.error_accuracy or 0) for score in arm.kinds}
    )
    panels = plots.votes(report(2)).axes
    drawn = [panel.containers[1].lines[0].get_ydata() for panel in panels]
    for found, rule in zip(drawn, ("mean", "majority"), strict=True):
        assert list(found) == pytest.approx([100 * (p.f1.value or 0) for p in arm.votes if p.rule == rule])
    styles = {(c.lines[0].get_linestyle(), c.lines[0].get_marker()) for c in panels[0].containers}
    assert len(styles) == 2  # told apart without colour


def test_a_flat_line_is_drawn_as_one() -> None:
    """Who has everything has it with any number of votes: no axis of hundredths of a point."""
    from genprm.eval import plots

    (low, high) = plots.votes(report(1)).axes[0].get_ylim()
    assert low == pytest.approx(95)
    assert high == pytest.approx(101)


def test_the_same_report_gives_the_same_file(tmp_path: Path) -> None:
    from genprm.eval import plots

    for name in ("a.svg", "b.svg"):
        plots.save(plots.votes(report(1)), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_problems_without_a_verdict_have_a_column_of_their_own() -> None:
    from genprm.eval import plots

    lost = [Critique(example.solution, METHOD, "engine_error") for example in problems()]
    lost[0] = oracle(problems()[0])
    of_lost = build_report(
        problems(), {"full": Trial([to_judged(each) for each in lost], METHOD, "how")}, {}, resamples=5
    )
    (axes,) = plots.confusion(of_lost).axes
    assert [label.get_text() for label in axes.get_xticklabels()][-2:] == ["none", "?"]
    assert "?: no verdict" in axes.get_xlabel()


def test_one_vote_has_no_picture_of_votes(tmp_path: Path) -> None:
    from genprm.eval import plots

    assert {path.stem for path in plots.save_all(report(1, 1), tmp_path)} == {"kinds", "confusion"}
