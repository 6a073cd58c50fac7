"""``genprm eval world``: what votes are worth, what a report says, and the command as its users meet it."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import pytest
from rich.console import Console

from genprm import records, voting
from genprm.cli import main
from genprm.eval.metrics import score_split
from genprm.eval.world_report import Trial, WorldReport, build_report
from genprm.eval.world_show import render_report
from genprm.eval.world_votes import PASS_1, RULES, first_error, hits, sizes, subsets, to_judged
from genprm.synth.world import Example, examples
from genprm.types import NO_ERROR, Critique, Method, Rationale, Usage
from tests.test_cli import environment, genprm, interruptible, until

METHOD = Method("scripted", "genprm", n=4, stopping="none")


@cache
def problems() -> tuple[Example, ...]:
    return tuple(examples("test", 44))


# --- critics of fewer votes ----------------------------------------------------------------------------------------


def rationale(random: Random, sample: int) -> Rationale:
    verdict = random.choices([True, False, None], [5, 2, 5])[0]
    given = verdict is not None and random.random() < 0.9
    p_yes = min(max(random.gauss(0.7 if verdict else 0.3, 0.3), 0), 1) if given else None
    return Rationale(sample, "ok" if verdict is not None else "no_verdict", verdict=verdict, p_yes=p_yes)


def critique(example: Example, seed: int, method: Method = METHOD) -> Critique:
    """As the critic would put it together, of rationales by chance."""
    random, steps = Random(seed), []
    for step in range(len(example.solution.steps)):
        sampled = [rationale(random, sample) for sample in range(method.n)]
        steps.append(voting.judge_step(step, sampled, method.vote, method.threshold))
    found, outcome = voting.first_error(steps, len(steps), method.vote)
    return Critique(example.solution, method, outcome, found, tuple(steps))


def critiques(method: Method = METHOD) -> list[Critique]:
    return [critique(example, seed, method) for seed, example in enumerate(problems())]


@pytest.mark.parametrize("vote", RULES)
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_a_critic_of_some_votes_is_that_of_the_voting_rules(vote: Any, threshold: float) -> None:
    for found in critiques():
        values = to_judged(found).values[vote]
        for samples in subsets(4, 1) + subsets(4, 2) + subsets(4, 4):
            steps = [
                voting.judge_step(step.step, [step.rationales[i] for i in samples], vote, threshold)
                for step in found.steps
            ]
            assert first_error(values, samples, threshold) == voting.first_error(steps, len(steps), vote)[0]


def test_all_votes_are_the_critic_itself() -> None:
    for vote in RULES:
        method = Method("scripted", "genprm", n=4, stopping="none", vote=vote)
        judged = [to_judged(found) for found in critiques(method)]
        (found,) = hits(judged, 4, 0.5)[vote, 4]
        assert found == [each.item.prediction == each.item.label for each in judged]
        assert {each.item.prediction is None for each in judged} == {True, False}  # both kinds are among them


def test_pass_1_is_the_mean_over_the_single_chains() -> None:
    """A chain names the step of its own first No, or none; where it lacks a verdict before that, it misses."""
    found = critiques()
    named = [[chain_index([step.rationales[i] for step in each.steps]) for each in found] for i in range(4)]
    labels = [example.solution.first_error for example in problems()]
    f1 = [score_split(zip(labels, each, strict=True)).f1 for each in named]  # type: ignore[arg-type]
    arm = report_of({"full": found}).arms[0]
    assert arm.pass_1 is not None
    assert arm.pass_1.value == pytest.approx(sum(map(float, f1)) / 4)  # type: ignore[arg-type]
    assert arm.pass_1 == next(point.f1 for point in arm.votes if (point.rule, point.n) == PASS_1)


def chain_index(rationales: Sequence[Rationale]) -> int | None:
    for step, each in enumerate(rationales):
        if each.verdict is not True:
            return None if each.verdict is None else step
    return NO_ERROR


def test_sizes() -> None:
    assert sizes(1) == [1]
    assert sizes(6) == [1, 2, 4, 6]
    assert sizes(16) == [1, 2, 4, 8, 16]


@pytest.mark.parametrize("n", [1, 5, 8, 16])
def test_subsets_use_every_sample_alike(n: int) -> None:
    for size in sizes(n):
        found = subsets(n, size)
        assert all(len(set(each)) == size for each in found)
        assert len(found) == (n // size) * (size if size < n else 1)
        per_order = n // size
        for at in range(0, len(found), per_order):  # the parts of one order have nothing in common
            assert max(Counter(chain.from_iterable(found[at : at + per_order])).values()) == 1
        assert found == subsets(n, size)
        if n == 16:
            assert set(Counter(chain.from_iterable(found)).values()) == {size if size < n else 1}


def test_other_seeds_give_other_subsets() -> None:
    assert subsets(16, 8, seed=1) != subsets(16, 8, seed=2)


def test_what_never_got_a_verdict_is_no_hit() -> None:
    assert first_error((), (0, 1), 0.5) is None
    assert first_error(((1.0, 1.0), (None, None)), (0, 1), 0.5) is None
    assert first_error(((0.0, 1.0), (None, None)), (0,), 0.5) == 0
    failed = Critique(problems()[0].solution, METHOD, "failed", error="ValueError: it broke")
    judged = to_judged(failed)
    assert judged.values == {}
    assert judged.item.failures == {"row failed": 1}
    assert all(column == [False] for columns in hits([judged], 4, 0.5).values() for column in columns)


# --- the report ----------------------------------------------------------------------------------------------------


def report_of(arms: dict[str, list[Critique]], resamples: int = 200) -> WorldReport:
    trials = {
        name: Trial([to_judged(each) for each in found], found[0].method, f"how {name}") for name, found in arms.items()
    }
    return build_report(problems(), trials, {"engine": "scripted"}, resamples=resamples)


def oracle(example: Example, *, blind: Sequence[str] = (), n: int = 4) -> Critique:
    """Knows the truth but for some kinds of errors, which all its samples let pass."""
    steps = []
    for at, truth in enumerate(example.truths):
        yes = truth.correct or truth.kind in blind
        sampled = [Rationale(i, "ok", verdict=yes, p_yes=0.9 if yes else 0.2) for i in range(n)]
        steps.append(voting.judge_step(at, sampled, "mean", 0.5))
    found, outcome = voting.first_error(steps, len(steps), "mean")
    usage = Usage(1000, 0, 300, 12, n * len(steps))
    return Critique(example.solution, METHOD, outcome, found, tuple(steps), usage=usage, seconds=2.0)


def test_who_knows_the_truth_has_it_all() -> None:
    report = report_of({"full": [oracle(example) for example in problems()]})
    (arm,) = report.arms
    score = arm.whole.score
    assert (score.f1, score.missing, score.n_error, score.n_correct) == (1.0, 0, 22, 22)
    assert all(each.error_accuracy == 1 for each in arm.kinds)
    assert [point.f1.value for point in arm.votes] == [1.0] * 6
    assert all(sum(row) == row[at] for at, row in enumerate(arm.confusion))
    assert report.differences == ()


def test_by_kind_form_and_difficulty_every_problem_counts_once() -> None:
    blind = sorted({example.kind for example in problems()} - {""})[:3]
    (arm,) = report_of({"full": [oracle(example, blind=blind) for example in problems()]}).arms
    assert {each.split: each.error_accuracy for each in arm.kinds} == {
        kind: 0.0 if kind in blind else 1.0 for kind in {example.kind for example in problems()} - {""}
    }
    assert {each.split: each.n_error for each in arm.kinds} == Counter(e.kind for e in problems() if e.kind)
    for groups, of in ((arm.forms, "form"), (arm.difficulties, "difficulty")):
        assert {g.split: g.n for g in groups} == Counter(str(getattr(example, of)) for example in problems())
        assert sum(g.error_hits for g in groups) == arm.whole.score.error_hits
        assert sum(g.correct_hits for g in groups) == arm.whole.score.correct_hits == 22
    assert sum(map(sum, arm.confusion)) == 44


def test_the_confusion_says_what_was_named_for_what() -> None:
    found = [oracle(example) for example in problems()]
    wrong = next(i for i, example in enumerate(problems()) if example.solution.first_error == 1)
    labels = Counter(example.solution.first_error for example in problems())
    found[wrong] = Critique(found[wrong].solution, METHOD, "engine_error", None)
    found[0] = Critique(found[0].solution, METHOD, "ok", 2, found[0].steps)  # which is right
    (arm,) = report_of({"full": found}).arms
    assert len(arm.confusion[0]) == len(arm.confusion) + 1
    assert arm.confusion[1][1] == labels[1] - 1
    assert arm.confusion[1][-1] == 1
    assert arm.confusion[-1][2] == 1
    assert arm.confusion[-1][-2] == labels[NO_ERROR] - 1


def test_arms_are_compared_on_the_same_problems() -> None:
    full, blind = [oracle(e) for e in problems()], [oracle(e, blind=("slip", "operation")) for e in problems()]
    report = report_of({"full": full, "no-run": blind, "direct": blind})
    found = {(each.name, each.against, each.measure): each.difference for each in report.differences}
    assert list(found) == [
        (one, other, measure)
        for one, other in (("full", "no-run"), ("full", "direct"), ("no-run", "direct"))
        for measure in ("Pass@1", "all votes")
    ]
    f1 = report.arms[1].whole.score.f1
    assert f1 is not None
    assert 0 < f1 < 1
    assert found["full", "no-run", "all votes"].value == pytest.approx(1 - f1)
    assert found["full", "no-run", "Pass@1"].value == pytest.approx(1 - f1)
    nothing = found["no-run", "direct", "Pass@1"]
    assert nothing.value == 0
    assert nothing.interval is not None
    assert (nothing.interval.low, nothing.interval.high) == (0, 0)


def test_votes_that_disagree_gain_from_each_other() -> None:
    """Chains that are right three times out of four, each for itself: seven of them hardly ever miss."""
    random, found = Random(3), []
    method = Method("scripted", "genprm", n=7, stopping="none")
    for example in problems():
        steps = []
        for at, truth in enumerate(example.truths):
            said = [truth.correct if random.random() < 0.75 else not truth.correct for _ in range(7)]
            sampled = [Rationale(i, "ok", verdict=yes, p_yes=float(yes)) for i, yes in enumerate(said)]
            steps.append(voting.judge_step(at, sampled, "mean", 0.5))
        first, outcome = voting.first_error(steps, len(steps), "mean")
        found.append(Critique(example.solution, method, outcome, first, tuple(steps)))
    (arm,) = report_of({"full": found}).arms
    points = {(point.rule, point.n): point for point in arm.votes}
    assert sorted({n for _, n in points}) == [1, 2, 4, 7]
    most = points["majority", 7]
    assert arm.pass_1 is not None
    assert most.f1.value is not None
    assert arm.pass_1.value is not None
    assert most.gain.value == pytest.approx(most.f1.value - arm.pass_1.value)
    assert most.gain.interval is not None
    assert most.gain.interval.low > 0.1
    assert points["mean", 7].f1 == most.f1  # P(Yes) is 0 or 1 here
    assert points["majority", 1].gain.value == 0


@pytest.mark.parametrize("method", [Method("s", "genprm", n=4, stopping="exact"), Method("s", "judge", vote="index")])
def test_without_all_votes_nothing_is_said_of_votes(method: Method) -> None:
    found = [Critique(o.solution, method, o.outcome, o.first_error) for o in map(oracle, problems())]
    report = report_of({"full": found, "no-run": found})
    assert [(arm.votes, arm.pass_1) for arm in report.arms] == [((), None)] * 2
    assert report.arms[0].whole.score.f1 == 1
    assert [each.measure for each in report.differences] == ["all votes"]
    assert "Maj@" not in printed(report)


@pytest.mark.parametrize(
    "method",
    [
        Method("s", "genprm", n=4, stopping="none", stop_at_first_error=True),
        Method("s", "genprm", n=4, stopping="none", context="first"),
    ],
)
def test_samples_that_hold_no_smaller_critics_are_not_taken_for_them(method: Method) -> None:
    found = []
    for o in map(oracle, problems()):
        stopped = method.stop_at_first_error and o.first_error not in (None, NO_ERROR)
        steps = o.steps[: (o.first_error or 0) + 1] if stopped else o.steps
        found.append(Critique(o.solution, method, o.outcome, o.first_error, steps))
    (arm,) = report_of({"full": found}).arms
    assert arm.whole.score.f1 == 1
    assert (arm.votes, arm.pass_1) == ((), None)


def test_costs_are_per_problem() -> None:
    (arm,) = report_of({"full": [oracle(example) for example in problems()]}).arms
    n_steps = sum(len(example.solution.steps) for example in problems())
    assert arm.means.completion_tokens == 300
    assert arm.means.seconds == 2
    assert arm.means.rationales == pytest.approx(4 * n_steps / 44)
    assert arm.means.completion_tokens_per_rationale == pytest.approx(300 * 44 / (4 * n_steps))


def test_json_and_back() -> None:
    report = report_of({"full": critiques(), "direct": critiques()}, resamples=50)
    assert records.from_json(records.to_json(report), WorldReport) == report


def printed(report: WorldReport, width: int = 80) -> str:
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        console.print(render_report(report))
    return capture.get()


@pytest.mark.parametrize("width", [40, 80])
def test_the_tables_hide_nothing(width: int) -> None:
    found = [oracle(example, blind=("slip",)) for example in problems()]
    text = printed(report_of(dict.fromkeys(("full", "no-run", "analysis", "direct"), found)), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width


def test_the_tables() -> None:
    found = [oracle(example, blind=("slip",)) for example in problems()]
    lines = [" ".join(line.split()) for line in printed(report_of({"full": found}), 100).splitlines()]
    slips = sum(example.kind == "slip" for example in problems())
    assert f"slip {slips} 0.0 0.0–0.0" in lines
    assert f"full 44 0 {100 * (22 - slips) / 22:.1f}" in lines[2]
    assert any(line.startswith("Maj@4, majority of verdicts") and line.endswith("0.0 0.0 to 0.0") for line in lines)
    assert "completion tokens a problem 300.0" in lines
    assert "full: how full" in lines


def test_no_problems_of_one_class() -> None:
    right = [example for example in problems() if not example.kind][:1]
    trial = Trial([to_judged(oracle(right[0]))], METHOD, "how")
    report = build_report(right, {"full": trial}, {}, resamples=10)
    assert report.arms[0].pass_1 is not None
    assert report.arms[0].pass_1.value is None
    assert "n/a" in printed(report)


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def engine(tmp_path: Path) -> list[str]:
    """A critic that gives verdicts at once, and not always the same ones."""
    yes, no = "{Yes}$\n</output>\n", "{No}$\n</output>\n"
    rules = [
        {"when": "So the answer", "texts": [yes, no, no], "p_yes": 0.4},
        {"texts": [yes, yes, yes, yes, no], "p_yes": 0.9},
    ]
    path = tmp_path / "verdicts.jsonl"
    path.write_text("\n".join(json.dumps(rule | {"delay_s": 0.02}) for rule in rules))
    return ["--engine", f"scripted:{path}", "--ablation", "direct", "--concurrency", "8"]


def world(*args: str) -> list[str]:
    return ["eval", "world", *args]


@pytest.mark.slow
def test_the_symbolic_engine_from_end_to_end(tmp_path: Path) -> None:
    """Without weights: it finds slips of the pen, nothing else, and needs its code run for that."""
    folder = tmp_path / "run"
    asked = ["-n", "1", "--problems", "110", "--run", str(folder), "--ablation", "full", "no-run"]
    done = genprm(*world(*asked, "--engine", "symbolic"))
    assert done.returncode == 0, done.stderr
    report = records.from_json((folder / "report.json").read_bytes(), WorldReport)
    full, no_run = report.arms
    assert full.whole.failures == {}
    assert full.whole.score.correct_accuracy == 1
    assert (full.whole.score.f1 or 0) > 0.1
    assert no_run.whole.score.f1 == 0
    slips = next(each for each in full.kinds if each.split == "slip")
    assert (slips.error_accuracy or 0) >= 0.5
    assert report.differences[-1].difference.interval is not None
    assert report.differences[-1].difference.interval.low > 0
    assert report.settings["split"] == "test"
    assert "protocol genprm execute=False" in no_run.how
    assert "full - no-run" in done.stdout


@pytest.mark.slow
def test_an_ablation_that_is_asked_for_later_is_judged_alone(tmp_path: Path, engine: list[str]) -> None:
    folder = tmp_path / "run"
    command = world("-n", "2", "--problems", "8", "--run", str(folder), *engine)
    assert genprm(*command).returncode == 0
    assert len((folder / "results.jsonl").read_text().splitlines()) == 8
    done = genprm(*command, "--ablation", "direct", "analysis")
    assert done.returncode == 0, done.stderr
    assert "8 of 8 rows are judged" in done.stderr
    kept = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert Counter(each["method"]["protocol"] for each in kept) == {
        "genprm analyze=False verify=False": 8,
        "genprm verify=False": 8,
    }
    assert [arm.name for arm in records.from_json((folder / "report.json").read_bytes(), WorldReport).arms] == [
        "direct",
        "analysis",
    ]


@pytest.mark.slow
def test_killed_in_the_middle_and_started_again(tmp_path: Path, engine: list[str]) -> None:
    """SIGKILL, in the first ablation and in the second: the figures of an undisturbed run, no problem judged twice."""
    command = world("--problems", "24", *engine, "-n", "4", "--ablation", "direct", "analysis", "--run")
    calm = tmp_path / "calm"
    assert genprm(*command, str(calm)).returncode == 0
    results = tmp_path / "killed" / "results.jsonl"
    for rows_done in (6, 30):
        process = subprocess.Popen(
            [sys.executable, "-m", "genprm", *command, str(results.parent)],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda n=rows_done: results.exists() and results.read_bytes().count(b"\n") >= n)
        process.kill()
        process.wait()
    assert not (results.parent / "report.json").exists()
    with results.open("ab") as file:
        file.write(b'{"solution": {"problem": {"te')  # as a kill in the middle of a write would leave it
    done = genprm(*command, str(results.parent))
    assert done.returncode == 0, done.stderr
    assert "24 of 24 rows are judged" in done.stderr
    assert figures(results.parent) == figures(calm)
    kept = [json.loads(line) for line in results.read_text().splitlines()]
    judged = Counter((each["method"]["protocol"], each["solution"]["id"]) for each in kept)
    assert set(judged.values()) == {1}
    assert len(judged) == 48


def figures(folder: Path) -> list[Any]:
    """What does not hang on the clock."""
    report = records.from_json((folder / "report.json").read_bytes(), WorldReport)
    arms = [(arm.whole.score, arm.kinds, arm.forms, arm.difficulties, arm.confusion, arm.votes) for arm in report.arms]
    assert 0 < (arms[0][0].f1 or 0) < 1
    return [arms, report.differences]


@pytest.mark.slow
def test_stopped_by_hand(tmp_path: Path, engine: list[str]) -> None:
    results = tmp_path / "run" / "results.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "genprm", *world(*engine, "--problems", "60", "--run", str(results.parent))],
        env=environment(),
        preexec_fn=interruptible,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: results.exists() and results.read_bytes().count(b"\n") >= 3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "genprm: stopped; the same command goes on from here"
    assert "Traceback" not in said
    assert not (results.parent / "report.json").exists()


@pytest.mark.slow
def test_an_engine_that_fails_is_counted_and_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "failing.jsonl"
    path.write_text(json.dumps({"error": "out of order"}))
    folder = tmp_path / "run"
    command = world("--engine", f"scripted:{path}", "--ablation", "direct", "-n", "2", "--problems", "4")
    done = genprm(*command, "--run", str(folder))
    assert done.returncode == 1, done.stderr
    assert "4 rows failed; the same command with --retry-failed judges them again" in done.stdout
    (arm,) = records.from_json((folder / "report.json").read_bytes(), WorldReport).arms
    assert (arm.whole.score.f1, arm.whole.score.missing, arm.whole.failures["row engine_error"]) == (0, 4, 4)
    assert arm.pass_1 is not None
    assert arm.pass_1.value == 0
    genprm(*command, "--run", str(folder), "--retry-failed")
    assert len((folder / "results.jsonl").read_text().splitlines()) == 8


@pytest.mark.slow
def test_without_matplotlib_there_are_the_figures_all_the_same(tmp_path: Path, engine: list[str]) -> None:
    folder = tmp_path / "run"
    command = world(*engine, "--problems", "4", "-n", "2", "--run", str(folder))
    code = "import sys; sys.modules['matplotlib'] = None; from genprm.cli import main; sys.exit(main(sys.argv[1:]))"
    run = [sys.executable, "-c", code, *command]
    done = subprocess.run(run, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "no pictures: pip install 'genprm[plot]'" in done.stdout
    assert {path.name for path in folder.iterdir()} == {".lock", "run.json", "results.jsonl", "report.json"}
    run += ["--plot", str(tmp_path / "votes.png")]
    asked = subprocess.run(run, env=environment(), capture_output=True, text=True, check=False)
    assert asked.returncode == 2
    assert asked.stderr == "genprm: --plot needs matplotlib: pip install 'genprm[plot]'\n"
    again = genprm(*command, "--plot", str(tmp_path / "votes.svg"))
    assert again.returncode == 0, again.stderr
    assert "4 of 4 rows are judged" in again.stderr
    assert "mean of P(Yes)" in (tmp_path / "votes.svg").read_text()
    assert {path.suffix for path in folder.glob("[cvk]*.*")} == {".png", ".svg"}


@pytest.mark.slow
def test_a_picture_without_figures_is_not_written(tmp_path: Path, engine: list[str]) -> None:
    picture = tmp_path / "votes.png"
    command = world(*engine, "--problems", "1", "-n", "2", "--run", str(tmp_path / "run"), "--plot", str(picture))
    done = genprm(*command)  # a single problem has a right solution: there is no F1
    assert done.returncode == 0, done.stderr
    assert f"not {picture}: there are no figures over votes" in done.stdout
    assert not picture.exists()


PLOTTED = ["--plot", "v.svg", "--engine", "scripted:{script}", "--option", "verify=false"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--problems", "0"], "--problems needs a number above 0"),
        (["--plot", "votes.jpg"], "--plot writes .png, .svg, .pdf, by the end of the file's name, not 'votes.jpg'"),
        (["--plot", "/nowhere/votes.png"], "--plot /nowhere/votes.png: there is no such folder"),
        (["--engine", "nothing"], "unknown engine 'nothing'"),
        (
            ["--protocol", "judge", "--vote", "index", "--ablation", "direct", "--engine", "scripted:{script}"],
            "protocol judge has no option",
        ),
        (["--option", "nonsense=1"], "protocol genprm has no option 'nonsense'"),
        ([*PLOTTED, "-n", "1"], "--plot draws F1 over votes"),
        ([*PLOTTED, "--stopping", "exact"], "--stopping none"),
        ([*PLOTTED, "--context", "first"], "--context first"),
        (["--plot", "v.svg", "--engine", "scripted:{script}", "--protocol", "judge"], "--protocol judge"),
        (["--option", "execute=false", "--ablation", "full", "no-run"], "--ablation no-run sets execute itself"),
        (["--option", "verify", "--ablation", "direct"], "an option is given as NAME=VALUE, not as 'verify'"),
    ],
)
def test_options_that_do_not_fit(
    args: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "script.jsonl"
    script.write_text('{"text": "{Yes}"}')
    args = [arg.replace("{script}", str(script)) for arg in args]
    assert main(world("--problems", "2", *args)) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("args", [["--difficulty", "6"], ["--ablation", "nothing"], ["--split", "train"]])
def test_choices_that_there_are_not(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(world(*args))
    assert "invalid choice" in capsys.readouterr().err
