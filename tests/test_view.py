"""Saved runs: the index, the answers of the local server, and the report as one file."""

import asyncio
import base64
import hashlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from genprm import records
from genprm.api import open_critic
from genprm.cli import main
from genprm.errors import InputError
from genprm.sandbox.result import Result
from genprm.synth.types import Attempt, Estimate, Kept, Labelled, StepLabel, Taught, Valued
from genprm.synth.world import examples
from genprm.types import Check, Critique, Message, Method, Problem, Rationale, Solution, StepCritique, Votes
from genprm.viewing.answers import PAGE, Desk
from genprm.viewing.folders import open_run
from genprm.viewing.index import Index
from genprm.viewing.queries import COMPARED
from genprm.viewing.report import Chosen, pages
from genprm.viewing.server import Server
from genprm.viewing.sheets import sheet

ROOT = Path(__file__).parents[1]
TAG = '<img src=x onerror="hit()"></style></details><script>hit()</script>'
METHOD = Method("scripted", "genprm", n=2)


def critique(
    id_: str, label: int | None, named: int | None, *, text: str = "so", votes: tuple[int, int] = (2, 0)
) -> Critique:
    """Of two steps; ``named`` None: the engine failed."""
    check = Check(f"print({text!r})", Result("ok", stdout=f"{text}\n"))
    steps = []
    for at in (0, 1):
        right = named is None or at != named
        rationales = tuple(Rationale(i, "ok", text, text, (check,), right, 0.9 if right else 0.1) for i in (0, 1))
        steps.append(StepCritique(at, Votes(*votes), 0.9 if right else 0.1, right, rationales))
    solution = Solution(Problem(text), (text, text), id_, label, "split")
    if named is None:
        return Critique(solution, METHOD, "engine_error", error=text)
    return Critique(solution, METHOD, "ok", named, tuple(steps))


HOSTILE = (critique(TAG, 0, 0, text=TAG), critique("b", 0, None, text=TAG), {"id": TAG, TAG: TAG})


def write(folder: Path, *lines: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.jsonl").write_bytes(b"".join(records.to_json(line) + b"\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Judged by the symbolic engine, with checks that ran."""
    return judged_by("symbolic", tmp_path_factory.mktemp("run") / "symbolic")


def judged_by(engine: str, folder: Path) -> Path:
    async def judged() -> list[Critique]:
        async with open_critic(engine, n=2) as critic:
            solutions = [made.solution for made in examples("test", 12, difficulty=1)]
            return [each async for each in critic.critique_many(solutions)]

    write(folder, *sorted(asyncio.run(judged()), key=lambda made: made.solution.id))
    (folder / "run.json").write_bytes(records.to_json({"config": {"engine": engine, "protocol": "genprm", "n": 2}}))
    return folder


def read(folder: Path) -> Index:
    index = open_run(folder).parts[0].index
    index.read()
    return index


# --- the index -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_rows_are_found_again_by_their_offset(run: Path) -> None:
    index = read(run)
    lines = (run / "results.jsonl").read_bytes().splitlines(keepends=True)
    assert [index.row(row) for row in range(len(index.rows))] == lines
    for row, line in enumerate(lines):
        made = records.from_json(line, Critique)
        facets = dict(index.facets(row))
        assert index.rows[row].id == made.solution.id
        assert facets["against the label"] == ("right" if made.first_error == made.solution.first_error else "wrong")
        named = made.first_error is not None and made.first_error >= 0
        assert ("kind of error" in facets) == named


def test_a_torn_line_is_said_and_read_once_it_is_whole(tmp_path: Path) -> None:
    folder = write(tmp_path / "r", critique("a", 0, 0))
    path = folder / "results.jsonl"
    whole = records.to_json(critique("b", 0, 1)) + b"\n"
    path.write_bytes(path.read_bytes() + whole[:40])
    index = read(folder)
    assert (len(index.rows), index.torn, index.n_broken) == (1, True, 0)
    path.write_bytes(path.read_bytes() + whole[40:] + b"{nonsense\n[1, 2]\n\n")
    index.read()
    assert ([row.id for row in index.rows], index.torn) == (["a", "b", ""], False)
    assert (index.n_broken, index.broken) == (1, [3])


def test_the_last_line_of_an_item_counts(tmp_path: Path) -> None:
    index = read(write(tmp_path / "r", critique("a", 0, None), critique("b", 0, 0), critique("a", 0, 0)))
    assert [(row.id, row.state) for row in index.rows] == [("a", "right"), ("b", "right")]
    assert index.record(0)["first_error"] == 0


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    folder = write(tmp_path / "r", critique("a", 0, 0), critique("b", 0, 0))
    index = read(folder)
    write(folder, critique("c", 0, 1))
    index.read()
    assert [row.id for row in index.rows] == ["c"]
    write(tmp_path / "new", *(critique(name, 0, 0) for name in "defg"))
    (tmp_path / "new" / "results.jsonl").replace(folder / "results.jsonl")  # larger, and another file
    index.refresh()
    while len(index.rows) != 4 or not index.settled:
        time.sleep(0.01)
    assert [row.id for row in index.rows] == ["d", "e", "f", "g"]
    (folder / "results.jsonl").unlink()
    with pytest.raises(InputError, match="cannot be read any more"):
        index.row(0)


@pytest.mark.parametrize(
    "line",
    [
        b'{"solution":1,"method":2,"outcome":3}',
        b'{"versions":7,"problem":{},"outcome":"ok"}',
        b'{"attempt":{},"labeler":"x","steps":[1]}',
        b'{"attempt":null,"teacher":"x","rationales":[{}]}',
        b'{"key":"k","record":null,"error":"broke"}',
        b'{"candidates":[1],"problem":{},"outcome":"finished","steps":1}',
        b'[{"values":null}]',
        b'"text"',
        b"17",
        b"[" * 5000 + b"]" * 5000,
        b'{"id":"\xff"}',
        b'{"solution":{"id":"a"},"method":{"protocol":"p"},"outcome":"ok","steps":[{"votes":{}}]}',
    ],
)
def test_what_only_looks_like_a_record_breaks_nothing(tmp_path: Path, line: bytes) -> None:
    folder = write(tmp_path / "r", critique("a", 0, 0))
    with (folder / "results.jsonl").open("ab") as file:
        file.write(line + b"\n")
    desk = Desk([open_run(folder)])
    read(folder)
    desk.runs[0].parts[0].index.read()
    found = desk.rows(0, {}, "", 0)
    assert found["total"] + found["broken"]["n"] == 2
    for number in range(found["total"]):
        assert desk.row(0, number)["sides"][0]["blocks"]
    assert b"</html>" in b"".join(pages(open_run(folder), Chosen()))


# --- folders -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["view", "report"])
def test_a_foreign_folder_is_refused_in_a_sentence(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("x")
    for path, said in (
        (tmp_path, "holds no results.jsonl"),
        (tmp_path / "none", "there is no such folder"),
        (tmp_path / "notes.txt", "no .jsonl file"),
    ):
        assert main([command, str(path)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
        assert str(path) in line
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.txt"]


def synthesis(folder: Path) -> Path:
    """Two stages as the pipeline writes them, and one of bare findings."""
    solution = Solution(Problem("1 + 1?", "2"), ("1 + 1 = 3.", "So \\boxed{3}."), "p/0")
    attempt = Attempt(solution, "p", "wrong", "3")
    half = Estimate(2, 4, 0.15, 0.85)
    valued = Valued(attempt, half, (half, None), "scripted fixed:4")
    labelled = Labelled(attempt, "hard", (StepLabel(False, 0.5, 0.9), StepLabel(None)))
    rationale = Rationale(0, "ok", "t", "an analysis", verdict=False, p_yes=0.2)
    lines = {
        "1-solutions": {"problem": solution.problem, "kinds": "wrong", "attempts": [attempt], "draws": 1},
        "2-values": [valued],
        "3-labels": labelled,
        "5-rationales": Taught(attempt, "teacher", "ok", (rationale,)),
        "6-consensus": Kept("p/0", False, (True,), "disagree"),
    }
    for stage, record in lines.items():
        key = "p" if stage[0] in "12" else "p/0"
        write(folder / stage, {"key": key, "record": record, "error": ""})
    return folder


def test_every_stage_of_a_synthesis_has_its_form(tmp_path: Path) -> None:
    viewed = open_run(synthesis(tmp_path / "s"))
    for part in viewed.parts:
        part.index.read()
    desk = Desk([viewed])
    names = ["1-solutions", "2-values", "3-labels", "5-rationales", "6-consensus"]
    assert [part.name for part in viewed.parts] == names
    shown = [desk.row(at, 0)["sides"][0]["blocks"] for at in range(5)]
    assert [[block["type"] for block in blocks] for blocks in shown[:4]] == [["solution"] * n for n in (2, 2, 1, 1)]
    assert shown[1][1]["steps"][0]["note"] == "value 0.50 (2 of 4; 0.15 to 0.85)"
    assert [step["state"] for step in shown[2][0]["steps"]] == [False, None]
    assert shown[3][0]["steps"][0]["rationales"][0]["analysis"] == "an analysis"
    assert ["reason", "disagree"] in shown[4][0]["fields"]
    assert [each["name"] for each in desk.row(2, 0)["elsewhere"]] == [name for name in names if name != "3-labels"]
    assert desk.rows(4, {"kept": frozenset(["no"])}, "", 0)["total"] == 1
    text = b"".join(pages(viewed, Chosen())).decode()
    assert all(said in text for said in ("value 0.50", "an analysis", "disagree", "1 + 1 = 3."))


def test_an_export_is_shown_as_conversations(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from genprm.synth.dataset_rows import Row
    from genprm.synth.export import export

    labels, rows = (StepLabel(True), StepLabel(False)), []
    for n in range(300):
        attempt = Attempt(Solution(Problem(f"{n} + 1?"), ("one", "two"), f"p{n}/0"), f"p{n}", "wrong")
        said = Message("assistant", f"It is p{n}")
        rows.append(Row(attempt.solution.id, (said,), attempt, labelled=Labelled(attempt, "x", labels)))
    folder = synthesis(tmp_path / "s")
    write(folder / "7-export")
    made = export(rows, folder / "7-export" / "dataset").folder
    viewed = open_run(folder)
    for part in viewed.parts:
        part.index.read()
    desk, at = Desk([viewed]), len(viewed.parts) - 1
    index = viewed.parts[at].index
    assert (index.progress, index.settled, index.n_broken, len(index.rows)) == (1, True, 0, 300)
    assert [index.record(row)["id"] for row in (299, 0, 150)] == [index.rows[row].id for row in (299, 0, 150)]
    number = desk.find(at, "p0/0")
    assert number is not None
    row = desk.row(at, number)
    about, conversation, _ = row["sides"][0]["blocks"]
    assert (about["problem"], [step["state"] for step in about["steps"]]) == ("0 + 1?", [True, False])
    assert conversation["fields"] == [["assistant", "It is p0"]]
    assert desk.rows(at, {}, "it is p17", 0)["total"] == 11  # p17 and p170 to p179
    splits = desk.rows(at, {}, "", 0)["counts"]["split"]
    assert (splits.keys(), sum(splits.values())) == ({"train", "validation", "test"}, 300)
    alone = open_run(made)
    assert b"It is p" in b"".join(pages(alone, Chosen()))
    next(made.glob("data/*.parquet")).write_bytes(b"no Parquet")
    with pytest.raises(InputError, match="is not a Parquet file"):
        open_run(made)


def test_a_refinement_is_shown_as_changes() -> None:
    def version(turn: int, steps: list[str], base: int | None, review: dict[str, Any] | None) -> dict[str, Any]:
        return {"turn": turn, "state": "ok", "solution": {"steps": steps}, "base": base, "review": review}

    said = {"accepted": False, "first_error": 1, "score": 0.1, "rewards": [0.9, 0.1], "feedback": "Step 2 is off"}
    record = {
        "id": "a",
        "problem": {"text": "p"},
        "outcome": "turns",
        "versions": [version(0, ["x", "y"], None, said), version(1, ["x", "z"], 0, None)],
    }
    context, first, second = sheet({"arm": "critic", "refinement": record})
    assert context["fields"] == [["arm", "critic"]]
    assert ([step["state"] for step in first["steps"]], first["feedback"]) == ([True, False], "Step 2 is off")
    assert (second["type"], second["before"], second["after"]) == ("change", ["x", "y"], ["x", "z"])


def test_a_search_run_is_shown_with_its_scores(tmp_path: Path) -> None:
    (tmp_path / "script.jsonl").write_text(json.dumps({"text": "Half of it is 3.\n\nSo it is $\\boxed{6}$."}) + "\n")
    rows = [{"id": f"for {answer}", "problem": f"Find {answer}.", "answer": answer} for answer in ("6", "7")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    policy = f"scripted:{tmp_path / 'script.jsonl'}"
    options = ["--policy", policy, "--scorer", "completions:2", "--algorithm", "best-of-n"]
    assert main(["search", str(tmp_path / "rows.jsonl"), *options, "--run", str(tmp_path / "run")]) == 0
    desk = Desk([open_run(tmp_path / "run")])
    index = read(tmp_path / "run")
    desk.runs[0].parts[0].index.read()
    assert sorted((row.id, row.state) for row in index.rows) == [("for 6", "right"), ("for 7", "wrong")]
    number = desk.find(0, "for 6")
    assert number is not None
    chosen, *_, how = desk.row(0, number)["sides"][0]["blocks"]
    assert (chosen["type"], chosen["title"], chosen["problem"]) == ("solution", "Chosen", "Find 6.")
    assert chosen["steps"][-1]["note"].startswith("q 1.00")
    assert how["title"] == "How"
    assert b"Half of it is 3." in b"".join(pages(open_run(tmp_path / "run"), Chosen()))


def test_lines_of_one_problem_are_told_apart(tmp_path: Path) -> None:
    """Of a ranking its candidates and what each scorer says; of provers the states."""
    ranked: list[Any] = [
        {"id": "a", "scorer": name, "candidates": [], "scores": []} for name in ("", "critic:x", "prm:y")
    ]
    states: list[Any] = [{"id": "b", "number": number, "steps": [], "proposals": []} for number in (0, 1)]
    index = read(write(tmp_path / "r", *ranked, *states, states[1]))
    assert [row.id for row in index.rows] == ["a", "a", "a", "b", "b"]


# --- filters, search, two runs -------------------------------------------------------------------------------------


def desk_of(*folders: Path) -> Desk:
    desk = Desk([open_run(folder) for folder in folders])
    for viewed in desk.runs:
        viewed.parts[0].index.read()
    return desk


def mixed(folder: Path) -> Path:
    return write(
        folder,
        critique("a", 0, 0),
        critique("b", 0, 1, votes=(1, 1)),
        critique("c", -1, -1),
        critique("d", 1, None, text="out of ORDER \u00c4"),
        critique("e", None, 1),
    )


def test_filters_and_their_counts(tmp_path: Path) -> None:
    desk = desk_of(mixed(tmp_path / "r"))

    def ids(text: str = "", **wanted: str) -> list[str]:
        names = {"label": "against the label", "votes": "votes", "trouble": "trouble", "outcome": "outcome"}
        facets = {names[name]: frozenset(value.split("|")) for name, value in wanted.items()}
        return [item["sides"][0]["id"] for item in desk.rows(0, facets, text, 0)["items"]]

    assert ids() == ["a", "b", "c", "d", "e"]
    assert ids(label="wrong") == ["b"]
    assert ids(label="right|failed") == ["a", "c", "d"]
    assert ids(label="no label") == ["e"]
    assert ids(votes="divided") == ["b"]
    assert ids(trouble="row engine_error") == ids(outcome="engine_error") == ["d"]
    assert ids(label="right", votes="divided") == []
    assert ids("order") == ids("ORDER") == ids("\u00e4") == ["d"]
    assert ids("so") == ids("print('so')") == ["a", "b", "c", "e"]
    assert ids("rationales") == ids("scripted") == []  # the name of a field, a setting
    assert ids("so", label="wrong") == ["b"]
    counts = desk.rows(0, {"against the label": frozenset(["right"])}, "", 0)["counts"]
    assert counts["against the label"] == {"right": 2, "failed": 1, "no label": 1, "wrong": 1}  # what one could choose
    assert counts["outcome"] == {"ok": 2}


def test_pieces_of_a_long_list(tmp_path: Path) -> None:
    desk = desk_of(write(tmp_path / "r", *(critique(f"{n}", 0, 0) for n in range(PAGE + 5))))
    first, second = desk.rows(0, {}, "", 0), desk.rows(0, {}, "", PAGE)
    assert ([len(piece["items"]) for piece in (first, second)], first["total"]) == ([PAGE, 5], PAGE + 5)
    assert [item["number"] for item in second["items"]] == list(range(PAGE, PAGE + 5))
    assert (desk.find(0, "64"), desk.find(0, "split/3"), desk.find(0, "65"), desk.find(0, "x")) == (64, 3, 64, None)


def test_two_runs_differ_first(tmp_path: Path) -> None:
    said = {"a": (0, 0), "b": (0, 1), "c": (0, 1), "d": (0, 0), "e": (-1, 1)}
    others = {"x": (0, 0), "c": (0, 0), "b": (0, 1), "a": (0, 1), "e": (-1, 0)}
    one = write(tmp_path / "1", *(critique(name, *pair) for name, pair in said.items()))
    two = write(tmp_path / "2", *(critique(name, *pair) for name, pair in others.items()))
    desk = desk_of(one, two)
    found = desk.rows(0, {}, "", 0)
    sides = [tuple(side["id"] if side else None for side in item["sides"]) for item in found["items"]]
    assert sides == [("a", "a"), ("c", "c"), ("e", "e"), ("b", "b"), ("d", None), (None, "x")]
    assert found["counts"][COMPARED] == {
        "both differ from the label": 1,
        "only in the first": 1,
        "only in the second": 1,
        "only the first is right": 1,
        "only the second is right": 1,
        "same": 1,
    }
    left, right = desk.row(0, 0)["sides"]
    assert (left["blocks"][0]["critique"]["first_error"], right["blocks"][0]["critique"]["first_error"]) == (0, 1)
    assert desk.row(0, 5)["sides"][0] is None
    assert desk.find(0, "x") == 5


# --- the server ----------------------------------------------------------------------------------------------------


@contextmanager
def serving(desk: Desk) -> Iterator[Server]:
    server = Server(desk)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def get(server: Server, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_the_page_and_its_files_are_served_under_a_strict_policy(run: Path) -> None:
    with serving(desk_of(run)) as server:
        assert server.server_address[0] == "127.0.0.1"
        for path in ("/", "/page/view.js", "/page/common.js", "/page/common.css", "/page/view.css", "/api/about"):
            status, headers, body = get(server, path)
            assert (status, bool(body)) == (200, True)
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
        assert get(server, "/", Host="evil.example")[0] == 421
        page = get(server, "/")[2].decode()
        assert not re.search(r'(?:src|href)="(?:https?:|//)', page)


def test_the_command_serves_until_it_is_told_to_stop(run: Path) -> None:
    command = [sys.executable, "-m", "genprm", "view", str(run)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        url = process.stdout.readline().split()[-1]
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            assert main(["view", str(run), "--port", str(port)]) == 2  # it is taken
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        process.kill()
        process.wait()


def test_questions_that_make_no_sense(run: Path) -> None:
    asked = {
        "/api/row?number=999": 404,
        "/api/row?number=-1": 404,
        "/api/row?number=x": 400,
        "/api/row?part=7&number=0": 404,
        "/api/rows?part=99999999999999999999": 404,
        "/api/nothing": 404,
        "/page/../server.py": 404,
        "/page/%2e%2e/server.py": 404,
        "/picture/0/0/..%2f..%2fetc%2fpasswd": 404,
        "/picture/0": 400,
        "/picture/9/0/x.png": 400,
        "/results.jsonl": 404,
    }
    with serving(desk_of(run)) as server:
        for path, status in asked.items():
            assert get(server, path)[0] == status, path
        assert get(server, "/api/rows?text=%ff%00&f.outcome=ok&f.=&start=-3")[0] == 200


def test_hostile_text_comes_as_data(tmp_path: Path) -> None:
    folder = write(tmp_path / "r", *HOSTILE)
    with serving(desk_of(folder)) as server:
        status, headers, body = get(server, "/api/row?number=0")
        assert (status, headers["content-type"]) == (200, "application/json")
        assert json.loads(body)["sides"][0]["blocks"][0]["critique"]["solution"]["problem"]["text"] == TAG


# --- the report ----------------------------------------------------------------------------------------------------


class Outline(HTMLParser):
    """Tags, and what is open at the end; addresses that would be asked for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs)
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" not in self.open[-1:] and "style" not in self.open[-1:]:
            self.said.append(data)


def report_of(folder: Path, **chosen: Any) -> str:
    return b"".join(pages(open_run(folder), Chosen(**chosen))).decode()


def test_a_report_is_one_file_that_needs_nothing(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "report.html"
    assert main(["report", str(run), "-o", str(path)]) == 0
    assert str(path) in capsys.readouterr().out
    outline = Outline(path.read_text())
    assert outline.open == []
    assert all(address.startswith("data:") for address in outline.addresses)
    assert outline.tags.count("script") == 1
    text = " ".join(outline.said)
    for line in (run / "results.jsonl").read_text().splitlines():
        assert " ".join(json.loads(line)["solution"]["steps"][0].split()[:3]) in text
    assert "28 * 5" in text or "print" in text  # code of checks is there without a script


def test_the_policy_of_a_report_lets_through_its_own_script_and_style_alone(run: Path) -> None:
    text = report_of(run)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    for tag, pattern in (("script", r'<script type="module">(.*)</script>'), ("style", r"<style>(.*)</style>")):
        inner = re.search(pattern, text, re.DOTALL)
        assert inner
        digest = base64.b64encode(hashlib.sha256(inner[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    assert "import " not in re.sub(r"/\*.*?\*/|//.*", "", text[text.index('<script type="module">') :])


def test_hostile_text_stays_text_in_a_report(tmp_path: Path) -> None:
    folder = write(tmp_path / TAG.replace("/", ""), *HOSTILE)
    (folder / "run.json").write_text(json.dumps({"config": {"engine": TAG, TAG: TAG}, "began": TAG}))
    (folder / "report.json").write_text(json.dumps({TAG: TAG}))
    outline = Outline(report_of(folder))
    assert (outline.open, outline.tags.count("script"), outline.tags.count("img")) == ([], 1, 0)
    assert TAG in "".join(outline.said)


def test_a_report_is_bounded(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "r")

    def rows(**chosen: Any) -> list[int]:
        return [int(found) for found in re.findall(r'id="row-(\d+)"', report_of(folder, **chosen))]

    assert rows() == [1, 2, 3, 4, 5]
    assert rows(rows=2) == [1, 2]
    assert rows(only="wrong") == [2, 4]
    assert rows(only="disagree") == [2]
    assert rows(only="failed") == [4]
    assert rows(size=7000) == [1, 2]
    assert "would make this file too large" in report_of(folder, size=7000)
    long = write(tmp_path / "long", critique("a", 0, 0, text="x" * 100_000))
    assert len(report_of(long)) < 300_000
    assert "more characters" in report_of(long)
    assert report_of(folder, rationales=1).count("Rationale 2") == 0


def test_figures_of_a_run_are_tables(run: Path, tmp_path: Path) -> None:
    from genprm.eval.processbench import to_item
    from genprm.eval.report import build_report

    items = [to_item(records.from_json(line, Critique)) for line in (run / "results.jsonl").read_bytes().splitlines()]
    folder = write(tmp_path / "r", critique("a", 0, 0))
    (folder / "report.json").write_bytes(records.to_json(build_report(items, {}, resamples=50)))
    text = report_of(folder)
    assert '<table class="figures">' in text
    assert "correct acc" in text
    (folder / "report.json").write_text("{torn")
    assert "</html>" in report_of(folder)


# --- large runs ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ten_thousand_rows_open_at_once_and_memory_stays_flat(run: Path, tmp_path: Path) -> None:
    import resource

    lines = (run / "results.jsonl").read_bytes().splitlines(keepends=True)
    folder = tmp_path / "large"
    folder.mkdir()
    with (folder / "results.jsonl").open("wb") as file:
        for n in range(10_000):
            file.write(lines[n % len(lines)].replace(b'"id":"world', f'"id":"{n}'.encode(), 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    desk = Desk([open_run(folder)])
    own, cpu = time.thread_time(), time.process_time()
    desk.refresh()
    assert desk.about()["runs"][0]["parts"][0]["name"] == "results"
    time.sleep(0.5)
    assert desk.rows(0, {}, "", 0)["items"]  # the page has rows while the others are read
    assert time.thread_time() - own < 0.5
    index = desk.runs[0].parts[0].index
    while not index.done:
        time.sleep(0.01)
    assert time.process_time() - cpu < 4
    assert len(index.rows) == 10_000
    for number in range(0, 10_000, 50):
        desk.row(0, number)
    assert desk.rows(0, {}, "no such words", 0)["total"] == 0
    while not index.settled:
        time.sleep(0.05)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # KiB
