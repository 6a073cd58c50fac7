"""The pictures beside the reports of processbench, scores, policy and bench: what is in them is what was measured."""

import argparse
import asyncio
from importlib.util import find_spec
from pathlib import Path

import pytest

from genprm.errors import ConfigError
from genprm.eval.bench.report import Report, Row
from genprm.eval.drawing import picture, pictures, require_plots
from genprm.eval.metrics import Interval, confusion
from genprm.eval.policy import BOOTSTRAP, PolicyReport, Share
from genprm.eval.processbench import to_item
from genprm.eval.report import Item
from genprm.eval.scores import ScoredSolution, evaluate_scores, f1_at, read_scores
from genprm.types import NO_ERROR, Critique, Method, Problem, Rationale, Solution, StepCritique, Votes
from tests.conftest import SharedData

if find_spec("matplotlib") is None:
    pytest.skip("the extra plot is not installed", allow_module_level=True)
SLOW = pytest.mark.slow  # matplotlib alone takes seconds to import


def item(
    label: int, named: int | None, rewards: tuple[float | None, ...] = (), split: str = "a", name: str = ""
) -> Item:
    return Item(split, label, named, name=name, rewards=rewards)


ITEMS = [
    item(1, 1, (0.9, 0.1, 0.2), name="1"),
    item(1, NO_ERROR, (0.8, 0.7), name="2"),
    item(NO_ERROR, NO_ERROR, (0.9, 0.9), name="3"),
    item(0, None, (None,), name="4"),
    item(2, 2, split="b"),
]


def test_confusion_counts_what_was_named_for_which() -> None:
    counts = confusion([(each.label, each.prediction) for each in ITEMS[:4]], 2)
    assert counts == ((0, 0, 0, 1), (0, 1, 1, 0), (0, 0, 1, 0))


def test_only_rewards_of_probabilities_are_believed() -> None:
    def step(p_yes: float | None, verdict: bool | None = True) -> StepCritique:
        return StepCritique(0, Votes(1), 0.75, True, (Rationale(0, "ok", verdict=verdict, p_yes=p_yes),))

    solution = Solution(Problem("p"), ("s",) * 3, "i", NO_ERROR, "split")
    steps = (step(0.75), step(None), step(None, None))
    found = to_item(Critique(solution, Method("e", "genprm"), "ok", NO_ERROR, steps))
    assert (found.rewards, found.name) == ((0.75, None, None), "split/i")


@SLOW
def test_positions_have_a_panel_a_split() -> None:
    from genprm.eval import figure_plots

    figure = figure_plots.positions(ITEMS)
    assert figure
    a, b = figure.axes
    assert (a.get_title(), b.get_title()) == ("a", "b")
    assert [label.get_text() for label in a.get_xticklabels()] == ["1", "2", "none", "?"]
    assert [label.get_text() for label in b.get_xticklabels()] == ["1", "2", "3", "none"]
    assert figure_plots.positions([]) is None


@SLOW
def test_rewards_are_held_against_the_steps_that_a_label_tells_of() -> None:
    from genprm.eval import figure_plots

    figure = figure_plots.rewards(ITEMS)
    assert figure
    (axes,) = figure.axes  # the split b has no rewards
    (points,) = [line for line in axes.lines if line.get_linestyle() == "-"]
    xs, ys = points.get_xdata(), points.get_ydata()
    assert dict(zip(map(float, xs), map(float, ys), strict=True)) == pytest.approx({10: 0, 70: 0, 80: 100, 90: 100})
    assert figure_plots.rewards(ITEMS[3:]) is None


@SLOW
def test_scores_are_drawn_over_thresholds(tmp_path: Path) -> None:
    from genprm.eval import figure_plots

    def scored(label: int, *scores: float, model: str = "m") -> ScoredSolution:
        return ScoredSolution("s", f"{label}{scores}", model, label, len(scores), scores)

    solutions = [scored(0, 0.3, 0.9), scored(-1, 0.6, 0.8), scored(0, 0.9, 0.9, model="k"), scored(-1, 1, 1, model="k")]
    assert [f1_at(solutions[:2], at) for at in (0.3, 0.31, 0.6, 0.61)] == [0.0, 1.0, 1.0, 0.0]
    assert f1_at(solutions[:1], 0.5) is None
    assert f1_at([], 0.5) is None
    axes = figure_plots.thresholds(solutions, 0.5).axes[0]
    assert [line.get_label() for line in axes.lines[:2]] == ["k", "m"]
    assert axes.lines[1].get_ydata()[20] == 100
    said = picture(str(tmp_path / "f1.svg"), lambda plots: plots.thresholds(solutions, 0.5))
    assert (tmp_path / "f1.svg").exists()
    assert "f1.svg" in said


@SLOW
def test_f1_at_a_threshold_is_that_of_the_table(shared_data: SharedData) -> None:
    path = shared_data("prm_scores")
    solutions = read_scores(path)
    for score in evaluate_scores(path, 0.5):
        own = [each for each in solutions if each.model == score.model]
        assert f1_at(own, 0.5) == pytest.approx(score.mean.f1)


@SLOW
def test_a_run_gets_png_and_svg_of_what_there_is_to_draw(tmp_path: Path) -> None:
    said = pictures(tmp_path, lambda plots: {"confusion": plots.positions(ITEMS), "reliability": plots.rewards([])})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["confusion.png", "confusion.svg"]
    assert str(tmp_path / "confusion.png") in said
    assert "reliability" not in said
    assert "nothing to draw" in pictures(tmp_path, lambda plots: {"x": None})


@SLOW
def test_difficulties_and_throughput_are_bars() -> None:
    from genprm.eval import figure_plots

    shares = {"1": Share(10, 0.8, Interval(0.6, 0.9)), "2": Share(5, 0.4, None)}
    report = PolicyReport(shares["1"], None, shares, 0, 0, 9.0, BOOTSTRAP, {})
    figure = figure_plots.difficulties(report)
    assert figure
    assert [bar.get_height() for bar in figure.axes[0].patches] == pytest.approx([80, 40])
    bench = Report("t", ("at once", "one by one", "none"), (Row("steps a second", (12.5, 0.25, None)),))
    figure = figure_plots.throughput(bench)
    assert figure
    assert [bar.get_width() for bar in figure.axes[0].patches] == [12.5, 0.25]
    assert figure_plots.throughput(Report("t", (), ())) is None


def test_a_picture_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    from genprm.eval.bench.command import command

    for path, said in ((tmp_path / "x.gif", "--plot writes"), (tmp_path / "no" / "x.png", "no such folder")):
        with pytest.raises(ConfigError, match=said):
            require_plots(str(path))
        with pytest.raises(ConfigError, match=said):
            asyncio.run(command(argparse.Namespace(part="scale", plot=str(path))))
