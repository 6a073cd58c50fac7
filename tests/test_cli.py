"""The command line as its users meet it: real processes, exit codes, what stands on the screen."""

import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from genprm import records
from genprm.cli import main
from genprm.types import Critique
from tests.server import completion, models, serving

ROOT = Path(__file__).parents[1]
SYMBOLIC = ("--engine", "symbolic")
BAKERY = (str(ROOT / "examples" / "bakery.md"), *SYMBOLIC)
VERDICT = "Seen.\n</verify>\n<output>\n**Judgement**: $\\boxed{%s}$\n</output>\n"
ROWS = [
    {
        "id": f"row-{n}",
        "problem": f"Problem {n}",
        "steps": ["fine", "odd" if n % 3 else "fine"],
        "label": 1 if n % 3 else -1,
    }
    for n in range(30)
]


def genprm(
    *args: str, stdin: str | None = None, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "genprm", *args],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(**env),
        timeout=100,
        check=False,
    )


def here(capsys: pytest.CaptureFixture[str], *args: str) -> subprocess.CompletedProcess[str]:
    """The same in this process: the first of a kind goes the whole way, the others need no interpreter of their own."""
    code = main(args)
    said = capsys.readouterr()
    return subprocess.CompletedProcess(args, code, said.out, said.err)


def environment(**env: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **env}


def interruptible() -> None:
    """A suite that runs in the background of a shell has inherited that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def script(tmp_path: Path) -> str:
    """An engine that finds fault with every step that says "odd"."""
    rules: list[dict[str, Any]] = [
        {"when": "odd", "texts": ["The step is odd.\n</analyze>\n"]},
        {"text": "The step is fine.\n</analyze>\n"},
    ]
    path = tmp_path / "script.jsonl"
    path.write_text("\n".join(json.dumps(rule) for rule in rules))
    return f"scripted:{path}"


@pytest.fixture
def direct(tmp_path: Path) -> list[str]:
    """Options for a critic that gives its verdict at once, slowly enough to be killed in the middle."""
    rules = [{"when": "odd", "text": "{No}$\n</output>\n", "p_yes": 0.1}, {"text": "{Yes}$\n</output>\n", "p_yes": 0.9}]
    for rule in rules:
        rule["delay_s"] = 0.05
    path = tmp_path / "direct.jsonl"
    path.write_text("\n".join(json.dumps(rule) for rule in rules))
    return [
        "--engine",
        f"scripted:{path}",
        "--option",
        "analyze=false",
        "--option",
        "verify=false",
        "--concurrency",
        "2",
    ]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for split, part in (("one", ROWS[:20]), ("two", ROWS[20:])):
        (folder / f"{split}.jsonl").write_text("\n".join(json.dumps(row) for row in part))
    return folder


# --- critique ------------------------------------------------------------------------------------------------------


def test_the_first_example_names_the_wrong_step_and_proves_it() -> None:
    done = genprm("critique", *BAKERY)
    assert done.returncode == 0, done.stderr
    assert "First error: step 3." in done.stdout
    assert "Step 3  ✗ wrong" in done.stdout
    assert "60" in done.stdout.partition("Output (ok")[2]
    assert "engine symbolic · protocol genprm" in done.stdout
    assert "\x1b" not in done.stdout  # plain in a pipe
    assert not [line for line in done.stdout.splitlines() if line != line.rstrip()]


@pytest.mark.slow
def test_a_right_solution_has_no_error() -> None:
    done = genprm("critique", str(ROOT / "examples" / "quadratic.md"), *SYMBOLIC)
    assert "No error found." in done.stdout


@pytest.mark.slow
def test_standard_input_and_json() -> None:
    done = genprm(
        "critique",
        "-",
        "--json",
        "--problem",
        "What is 3 * 4 + 2?",
        *SYMBOLIC,
        stdin="Step 1: 3 * 4 = 13\nStep 2: so 15",
    )
    assert done.returncode == 0, done.stderr
    critique = records.from_json(done.stdout, Critique)
    assert critique.first_error == 0
    assert critique.solution.steps == ("Step 1: 3 * 4 = 13", "Step 2: so 15")
    assert critique.method.engine == "symbolic"


@pytest.mark.slow
def test_colour_on_a_terminal(tmp_path: Path) -> None:
    done = genprm("critique", *BAKERY, FORCE_COLOR="1", COLUMNS="100")
    assert "\x1b[1;31m✗ wrong" in done.stdout


@pytest.mark.slow
def test_text_cannot_steer_the_terminal(tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.txt"
    hostile.write_text(
        "Problem: \x1b[2Jhello\x07\n\nSolution:\n\n2 + 2 = 5 \x1b]0;owned\x07 \u202eevil \x9b31m [bold]\n"
    )
    done = genprm("critique", str(hostile), "--full", *SYMBOLIC)
    assert done.returncode == 0, done.stderr
    assert not set("\x1b\x07\x9b\u202e") & set(done.stdout)
    assert "[bold]" in done.stdout


@pytest.mark.slow
def test_a_terminal_that_knows_no_unicode(tmp_path: Path) -> None:
    done = genprm("critique", *BAKERY, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "First error: step 3." in done.stdout


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_traceback() -> None:
    example = ROOT / "examples" / "bakery.md"
    for asked in (
        f"critique {example} --engine symbolic --full",
        f"critique {example} --engine symbolic --json",
        "schema",
        "doctor",
    ):
        command = f"set -o pipefail; {sys.executable} -m genprm {asked} | true"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), check=False)
        assert (done.returncode, done.stderr) == (141, ""), asked


@pytest.mark.slow
def test_a_run_of_critiques_goes_on(tmp_path: Path, rows: Path, direct: list[str]) -> None:
    run = str(tmp_path / "run")
    first = genprm("critique", str(rows / "two.jsonl"), "--json", "--run", run, *direct)
    again = genprm("critique", str(rows / "two.jsonl"), "--json", "--run", run, *direct)
    assert first.stdout == again.stdout
    assert len(first.stdout.splitlines()) == 10


@pytest.mark.slow
def test_an_engine_that_fails_while_running_is_shown_and_counted(tmp_path: Path) -> None:
    script = tmp_path / "broken.jsonl"
    script.write_text('{"error": "the lights went out"}')
    done = genprm("critique", *BAKERY, "--engine", f"scripted:{script}")
    assert done.returncode == 1
    assert "The first error is not known (engine error). the lights went out" in done.stdout


# --- eval ----------------------------------------------------------------------------------------------------------


def table(output: str) -> str:
    """The report without what differs between runs by nature: durations and the folder's name."""
    varying = ("time", "in the engine", "in checks", "waiting for either", "report:", "pictures:")
    return "\n".join(line for line in output.splitlines() if not any(word in line for word in varying))


@pytest.mark.slow
def test_processbench(rows: Path, direct: list[str], tmp_path: Path) -> None:
    done = genprm("eval", "processbench", "--data", str(rows), *direct, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    report = json.loads((folder / "report.json").read_text())
    assert [split["score"]["f1"] for split in report["splits"]] == [1.0, 1.0]
    assert report["settings"]["engine"].startswith("scripted:")
    assert report["usage"]["calls"] == 60
    assert "judging 30/30" in done.stderr
    for word in ("one", "two", "mean", "100.0", "calls", "time", "protocol genprm analyze=False verify=False"):
        assert word in done.stdout
    assert json.loads((folder / "run.json").read_text())["versions"]["genprm"]


@pytest.mark.slow
def test_scores_by_nano_come_with_a_word_on_what_it_knows(direct: list[str], tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text(json.dumps(ROWS[0]))
    command = ["eval", "processbench", "--data", "data.jsonl", "--option", "max_tokens=8", "--run"]
    done = genprm(*command, "nano", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "nano knows the word problems of its small world alone" in done.stdout
    assert "nano knows" not in genprm(*command, "other", *direct, cwd=tmp_path).stdout


@pytest.mark.slow
def test_killed_in_the_middle_and_started_again(rows: Path, direct: list[str], tmp_path: Path) -> None:
    """SIGKILL, twice: the same table as an undisturbed run, and no row judged twice or lost."""
    command = ["eval", "processbench", "--data", str(rows), *direct, "--run"]
    calm = genprm(*command, str(tmp_path / "calm"))
    results = tmp_path / "killed" / "results.jsonl"
    for rows_done in (5, 15):
        process = subprocess.Popen(
            [sys.executable, "-m", "genprm", *command, str(results.parent)],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda n=rows_done: results.exists() and results.read_bytes().count(b"\n") >= n)
        process.kill()
        process.wait()
    with results.open("ab") as file:
        file.write(b'{"solution": {"problem": {"te')  # as a kill in the middle of a write would leave it
    done = genprm(*command, str(results.parent))
    assert done.returncode == 0, done.stderr
    assert "going on in" in done.stderr
    assert table(done.stdout) == table(calm.stdout)
    judged = Counter(json.loads(line)["solution"]["id"] for line in results.read_text().splitlines())
    assert judged == {row["id"]: 1 for row in ROWS}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_hand(rows: Path, direct: list[str], tmp_path: Path, how: signal.Signals) -> None:
    results = tmp_path / "run" / "results.jsonl"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "genprm",
            "eval",
            "processbench",
            "--data",
            str(rows),
            *direct,
            "--run",
            str(results.parent),
        ],
        env=environment(),
        preexec_fn=interruptible,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: results.exists() and results.read_bytes().count(b"\n") >= 3)
    process.send_signal(how)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "genprm: stopped; the same command goes on from here"
    assert "Traceback" not in said
    assert 3 <= len(results.read_text().splitlines()) < 30


def until(true: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


@pytest.mark.slow
def test_rows_that_the_engine_failed_on_are_judged_again_when_asked(rows: Path, tmp_path: Path) -> None:
    works = False

    def answer(path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        if path == "/models":
            return models("GenPRM-1.5B")
        if "Problem 7" in body["prompt"] and not works:
            return 400, {"error": {"message": "out of order"}}
        return completion("{Yes}$\n</output>\n")

    with serving(answer) as url:
        command = ["eval", "processbench", "--data", str(rows), "--engine", url, "--run", str(tmp_path / "run")]
        command += ["--option", "analyze=false", "--option", "verify=false"]
        first = genprm(*command)
        assert first.returncode == 1
        for said in ("row engine_error", "rationale engine_error", "1 rows failed"):
            assert said in first.stdout
        works = True
        assert "row engine_error" in genprm(*command).stdout
        healed = genprm(*command, "--retry-failed")
    assert healed.returncode == 0
    assert "engine_error" not in healed.stdout
    assert len((tmp_path / "run" / "results.jsonl").read_text().splitlines()) == 31


@pytest.mark.slow
@pytest.mark.parametrize("n_rows", [30, 1])
def test_a_server_that_goes_for_good_ends_the_run_which_then_goes_on(rows: Path, tmp_path: Path, n_rows: int) -> None:
    left = 10 if n_rows > 1 else 0
    patient = False

    def answer(path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        nonlocal left
        if path == "/models":
            return models("GenPRM-1.5B")
        if left == 0 and not patient:
            return 503, {"error": {"message": "closed for the day"}}
        left -= 1
        return completion("{Yes}$\n</output>\n")

    with serving(answer) as url:
        command = ["critique", str(rows), "--engine", url, "--run", str(tmp_path / "run"), "--concurrency", "4"]
        command += ["--option", "analyze=false", "--option", "verify=false", "--limit", str(n_rows)]
        command += ["--split", "one"] if n_rows == 1 else []
        first = genprm(*command, "--engine-option", "patience_s=1")
        assert first.returncode == 3
        assert "closed for the day" in first.stderr
        assert "the same command goes on from here" in first.stderr
        kept = [json.loads(line) for line in (tmp_path / "run" / "results.jsonl").read_text().splitlines()]
        assert all(critique["outcome"] == "ok" for critique in kept)
        assert len(kept) < n_rows
        patient = True
        again = genprm(*command, "--engine-option", "patience_s=60")  # how long one waits is not part of the recipe
    assert again.returncode == 0
    kept = [json.loads(line) for line in (tmp_path / "run" / "results.jsonl").read_text().splitlines()]
    assert len({critique["solution"]["id"] for critique in kept}) == len(kept) == n_rows
    assert again.stdout.count("No error found.") == n_rows


@pytest.mark.slow
def test_the_judge_end_to_end(rows: Path, tmp_path: Path) -> None:
    script = tmp_path / "judge.jsonl"
    script.write_text('{"texts": ["Step two is odd. \\\\boxed{1}", "All is well. \\\\boxed{-1}", "Hm."]}')
    judge = ["--protocol", "judge", "--engine", f"scripted:{script}", "-n", "9"]
    done = genprm("critique", str(rows / "one.jsonl"), "--id", "row-1", *judge)
    assert done.returncode == 0, done.stderr
    assert "protocol judge · 9 rationales a solution · majority of first-error indices" in done.stdout
    assert "Named: " in done.stdout
    assert "Step two is odd." in done.stdout or "All is well." in done.stdout
    assert_refused(genprm("critique", str(rows / "one.jsonl"), *judge, "--vote", "mean"), "votes by index")
    assert_refused(genprm("critique", str(rows / "one.jsonl"), *judge, "--threshold", "0.3"), "without a threshold")


def test_a_vote_over_indices_shows_what_was_named(
    tmp_path: Path, direct: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"id": "a", "problem": "p", "steps": ["fine", "odd", "fine"], "label": 1}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    done = here(capsys, "critique", str(tmp_path / "a.jsonl"), *direct, "-n", "3", "--vote", "index")
    assert "First error: step 2." in done.stdout
    assert "Named: step 2 ×3; 0 samples named none." in done.stdout
    assert "Label: step 2." in done.stdout


@pytest.mark.slow
def test_many_rows_are_judged_at_once_and_shown_in_order(rows: Path, tmp_path: Path) -> None:
    script = tmp_path / "slow.jsonl"
    script.write_text('{"text": "{Yes}$\\n</output>\\n", "delay_s": 0.5}')
    options = ["--engine", f"scripted:{script}", "--option", "analyze=false", "--option", "verify=false", "--json"]
    began = time.perf_counter()
    done = genprm("critique", str(rows), *options)
    assert time.perf_counter() - began < 20  # one after another: 30 s
    assert [json.loads(line)["solution"]["id"] for line in done.stdout.splitlines()] == [row["id"] for row in ROWS]


@pytest.mark.slow
def test_stopped_while_the_input_is_read() -> None:
    for how in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen(
            [sys.executable, "-m", "genprm", "critique", "-", *SYMBOLIC],
            env=environment(),
            preexec_fn=interruptible,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write("\n" * 1_000_000)  # more than a pipe holds: when it is written, it is being read
        process.stdin.flush()
        process.send_signal(how)
        _, said = process.communicate(timeout=30)
        assert process.returncode in (130, -signal.SIGTERM)
        assert "Traceback" not in said


def test_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = [{"id": "a", "label": 1, "n_steps": 2, "model": "m", "scores": [0.9, 0.2]}]
    scores += [{"id": "b", "label": -1, "n_steps": 1, "model": "m", "scores": [0.6]}]
    (tmp_path / "gsm8k.jsonl").write_text("\n".join(map(json.dumps, scores)))
    done = here(capsys, "eval", "scores", "--data", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "100.0" in done.stdout


# --- bad input -----------------------------------------------------------------------------------------------------

ROW = '{"id": "%d", "problem": "p", "steps": ["a", "b"], "label": 0}'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("\n".join([ROW % n for n in range(16)] + ['{"id": "17", "problem": ']), r"data.jsonl:17"),
        ('{"problem": "p", "label": 0}', "data.jsonl:1, field steps"),
        ('{"problem": "p", "steps": [], "label": 0}', "data.jsonl:1, field steps"),
        ('{"problem": "p", "steps": ["a"], "label": 1}', "data.jsonl:1, field label"),
        ('{"problem": "p", "steps": ["a"], "label": -2}', "data.jsonl:1, field label"),
        ('{"problem": "p", "steps": ["a", 7], "label": 0}', "data.jsonl:1, field steps[1]"),
        ('{"problem": "p", "steps": ["a"]}', "label"),
        ("", "data.jsonl"),
    ],
)
def test_rows_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, said: str) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text(content)
    assert_refused(here(capsys, "eval", "processbench", "--data", str(data), "--run", str(tmp_path / "run")), said)
    assert not (tmp_path / "run").exists()  # nothing half-written


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--engine", "gpt-9"], "unknown engine 'gpt-9'"),
        (["--engine", "http://127.0.0.1:9/v1"], "no answer from http://127.0.0.1:9/v1"),
        (["--engine", "http://[bad/v1"], "no answer from"),
        (["--engine", "scripted:/nowhere"], "/nowhere"),
        (["--protocol", "essay"], "unknown protocol 'essay'"),
        (["--option", "colour=red"], "colour"),
        (["--option", "colour"], "NAME=VALUE"),
        (["--option", "join=sideways"], "join"),
        (["--option", "max_calls=many"], "max_calls"),
        (["--model", "m"], "takes no --model"),
        (["-n", "0"], "at least one"),
        (["--limit", "0"], "--limit"),
        (["--id", "nobody"], "nobody"),
        (["--check-cpu", "-1"], "cpu"),
        (["--option", "max_tokens=0"], "max_tokens"),
        (["--option", "scope=step"], "scope"),
        (["--temperature", "nan"], "temperature"),
        (["--threshold", "1.5"], "threshold"),
        (["--vote", "index", "--stop-at-first-error"], "cannot stop"),
        (["--protocol", "judge", "--engine", "symbolic"], "symbolic"),
    ],
)
def test_options_that_do_not_fit(
    args: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text(ROW % 1)
    command = ("eval", "processbench", "--data", str(data), "--run", str(tmp_path / "run"))
    assert_refused(here(capsys, *command, *args), said)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("run", ["/dev/null/x", "/proc/x"])
@pytest.mark.slow
def test_a_run_that_cannot_be_kept(run: str, rows: Path) -> None:
    assert_refused(genprm("eval", "processbench", "--data", str(rows), "--run", run), run)


def test_the_critique_of_a_row_that_is_not_there(
    rows: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[]")))
    assert_refused(here(capsys, "critique", str(rows), "--id", "nobody"), "no row has the id nobody")
    assert_refused(here(capsys, "critique", "-"), "stdin: there are no rows")
    assert_refused(here(capsys, "eval", "scores", "--data", str(rows), "--threshold", "nan"), "threshold")


@pytest.mark.slow
def test_names_are_no_markup(tmp_path: Path) -> None:
    row = {"id": "[/x] [b]\x1b[2J", "problem": "p", "steps": ["1 + 1 = 3"], "label": 0}
    (tmp_path / "[red].jsonl").write_text(json.dumps(row))
    done = genprm("critique", str(tmp_path / "[red].jsonl"), *SYMBOLIC)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[red] · [/x] [b][2J · 1 step\n")
    done = genprm("eval", "processbench", "--data", str(tmp_path), "--run", str(tmp_path / "[/run]"), *SYMBOLIC)
    assert done.returncode == 0, done.stderr
    assert f"report: {tmp_path}/[/run]/report.json" in done.stdout


@pytest.mark.slow
def test_output_that_cannot_be_written() -> None:
    command = f"{sys.executable} -m genprm critique {ROOT / 'examples' / 'bakery.md'} --json > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text(ROW % 1)
    with serving(lambda *_: (401, {"error": {"message": "invalid key"}})) as url:
        done = here(
            capsys, "eval", "processbench", "--data", str(data), "--engine", url, "--run", str(tmp_path / "run")
        )
    assert_refused(done, "401: invalid key (the key is read from GENPRM_API_KEY or OPENAI_API_KEY)")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_server_end_to_end(tmp_path: Path) -> None:
    """Raw prompts to a server on loopback, P(Yes) from its log-probabilities."""
    logprobs = {
        "tokens": ["{", "No", "}"],
        "token_logprobs": [0, -0.2, 0],
        "top_logprobs": [{}, {"No": -0.2, "Yes": -1.7}, {}],
    }

    def answer(path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        if path == "/models":
            return models("GenPRM/GenPRM-7B")
        if body["prompt"].endswith("step by step: "):
            return completion("Hm.\n</analyze>\n")
        return completion("print(1)\n</verify>\n<output>\n**Judgement**: $\\boxed{No}$\n</output>\n", logprobs=logprobs)

    with serving(answer) as url:
        done = genprm("critique", str(ROOT / "examples" / "quadratic.md"), "--engine", url, "--json", "-n", "2")
    critique = records.from_json(done.stdout, Critique)
    assert critique.first_error == 0
    assert critique.steps[0].reward == pytest.approx(1 / (1 + 2.718281828**1.5))
    assert critique.usage.cached_tokens == 4 * critique.usage.calls


def assert_refused(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


# --- the rest ------------------------------------------------------------------------------------------------------


ALIKE = ("eval", "eval processbench", "eval scores", "doctor", "schema", "synth import", "synth check")


@pytest.mark.slow
def test_doctor() -> None:
    done = genprm("doctor")
    assert done.returncode == 0, done.stdout
    for word in ("genprm", "sandbox  ok", "symbolic", "landlock", "GPU"):
        assert word in done.stdout


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Critique" in json.loads(here(capsys, "schema").stdout)["$defs"]


@pytest.mark.parametrize(
    "command",
    [
        *("", "critique", "eval world", "train critic"),
        *(pytest.param(command, marks=pytest.mark.slow) for command in ALIKE),
    ],
)
def test_every_command_has_help_and_it_is_quick(command: str) -> None:
    began = children_s()
    done = genprm(*command.split(), "--help")
    took = children_s() - began
    assert done.returncode == 0
    assert "usage: genprm" in done.stdout
    assert took < 0.4, "seconds of processor time: other work on the machine is not what is measured"


def children_s() -> float:
    """Processor time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
