"""What people have is read; what cannot be read is named by file, line and field."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genprm.errors import InputError, MissingExtra
from genprm.inputs import read_solutions
from genprm.rows import read_hub
from genprm.types import NO_ERROR, Problem, Solution

ROW: dict[str, Any] = {
    "id": "gsm8k-7",
    "generator": "a model",
    "problem": "1 + 1?",
    "steps": ["One.", "Two."],
    "final_answer_correct": True,
    "label": -1,
}
SOLUTION = Solution(Problem("1 + 1?"), ("One.", "Two."), "gsm8k-7", NO_ERROR, "rows", "a model")


def row(**fields: object) -> dict[str, object]:
    """The good row with some fields changed; None takes one away."""
    return {name: value for name, value in {**ROW, **fields}.items() if value is not None}


def lines(*rows: object) -> str:
    return "".join(json.dumps(each) + "\n" for each in rows)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], str]:
    def to(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return to


Write = Callable[[str, str | bytes], str]


# --- files of rows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", lines(ROW)),
        ("rows.JSONL", "\n" + lines(ROW) + "\n \n"),
        ("rows.jsonl", "\ufeff" + lines(ROW).replace("\n", "\r\n")),
        ("rows.json", json.dumps([ROW], indent=2)),
        ("rows.json", json.dumps(ROW, indent=2)),
        ("rows.json", json.dumps({"data": [ROW]})),
        ("rows.json", lines(ROW)),
        ("rows", json.dumps(ROW)),
    ],
)
def test_rows_are_read_from_every_form(write: Write, name: str, content: str) -> None:
    assert read_solutions(write(name, content)) == [SOLUTION]


def test_an_object_per_line_is_read_from_json_too(write: Write) -> None:
    source = write("rows.json", lines(row(id="a"), row(id="b")))
    assert [solution.id for solution in read_solutions(source)] == ["a", "b"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"label": 1}, {"first_error": 1}),
        ({"label": None}, {"first_error": None}),
        ({"id": None}, {"id": "rows-0"}),
        ({"id": 3}, {"id": "3"}),
        ({"generator": None}, {"generator": ""}),
        ({"problem": None, "question": "2?"}, {"problem": Problem("2?")}),
        ({"steps": None, "solution": "One.\n\nTwo."}, {}),
        ({"steps": None, "response": "Step 1: a\nStep 2: b"}, {"steps": ("Step 1: a", "Step 2: b")}),
        ({"steps": None, "completion": "a"}, {"steps": ("a",)}),
        ({"steps": ["One.", "Two."], "solution": "other"}, {}),
        ({"steps": ["a", ""]}, {"steps": ("a", "")}),
        ({"steps": ["line\u2028separator", "\x00 😀"]}, {"steps": ("line\u2028separator", "\x00 😀")}),
        ({"extra": {"deep": [1]}}, {}),
    ],
)
def test_fields(write: Write, fields: dict[str, object], expected: dict[str, object]) -> None:
    [solution] = read_solutions(write("rows.jsonl", json.dumps(row(**fields), ensure_ascii=False)))
    for name in Solution.__dataclass_fields__:
        assert getattr(solution, name) == expected.get(name, getattr(SOLUTION, name))


@pytest.mark.parametrize(
    ("bad", "field", "words"),
    [
        (row(problem=None), "problem", "no text of the problem"),
        (row(problem="  "), "problem", "no text of the problem"),
        (row(problem=7), "problem", "must be text, not the number 7"),
        (row(problem=None, question=["a"]), "question", "must be text, not a list"),
        (row(steps=None), "steps", "the row has id, generator, problem"),
        (row(steps=[]), "steps", "no step"),
        (row(steps=["", " "]), "steps", "no step"),
        (row(steps="One."), "steps", "must be a list, not text ('One.')"),
        (row(steps=["a", "b", "c", 4]), "steps[3]", "must be text"),
        (row(steps=["a", None]), "steps[1]", "must be text, not null"),
        (row(steps=None, response=""), "steps", "no step"),
        (row(steps=None, response={}), "response", "must be text, not an object"),
        (row(label=2), "label", "between -1 and 1 for 2 steps, not 2"),
        (row(label=-2), "label", "not -2"),
        (row(label=True), "label", "must be a whole number, not true"),
        (row(label=1.0), "label", "must be a whole number, not the number 1.0"),
        (row(label="1"), "label", "must be a whole number, not text ('1')"),
        (row(id=3.5), "id", "must be text"),
        (row(id="first"), "id", "'first' is the id of"),
        (row(generator=3), "generator", "must be text"),
        (row(final_answer_correct=1), "final_answer_correct", "must be true or false"),
        ("text", "", "must be an object with named fields, not text"),
        ([ROW], "", "not a list"),
        (None, "", "not null"),
    ],
)
def test_a_bad_row_is_named(write: Write, bad: object, field: str, words: str) -> None:
    # line 3, for the blank line counts; index 1 in a list
    jsonl, listed = (
        write("a.jsonl", lines(row(id="first")) + "\n" + lines(bad)),
        write("b.json", json.dumps([row(id="first"), bad])),
    )
    for source, place in ((jsonl, ":3"), (listed, "[1]")):
        with pytest.raises(InputError) as caught:
            read_solutions(source)
        assert caught.value.where == source + place
        assert caught.value.field == field
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "place", "words"),
    [
        ("a.jsonl", lines(ROW) * 16 + "{'id': 1}\n", ":17", "is not JSON: object keys must be strings at column 2"),
        ("a.jsonl", lines(ROW) + '{"id": "x", "ste', ":2", "is not JSON: it breaks off before its end"),
        ("a.jsonl", '{"problem": "é" "x"}', ":1", "at column 17"),
        ("a.jsonl", json.dumps(ROW, indent=1), ":1", "breaks off"),
        ("a.jsonl", lines(ROW) + "[" * 100_000, ":2", "nested too deeply"),
        ("a.jsonl", '{"label": 1e999}', ":1", "is not JSON: Number out of range"),
        ("a.jsonl", '{"problem": "\\ud800"}', ":1", "is not JSON"),
        ("a.json", '[\n{"id": "é" 1}\n]', ":2", "at column 12"),
        ("a.json", '[\n{"id": 1},\n', ":2", "breaks off"),
        ("a.json", lines(ROW) + "{", ":2", "breaks off"),
        ("a.json", "[]", "", "holds no rows"),
        ("a.json", '{"data": []}', "", "holds no rows"),
        ("a.json", "7", "", "must be an object"),
        ("a.jsonl", lines(ROW).encode() + b'{"problem": "\xff"}', "", "is not UTF-8 text: byte 0xff in line 2"),
        ("a.json", json.dumps(ROW).encode("utf-16"), "", "is not UTF-8"),
        ("a.jsonl", "", "", "is empty"),
        ("a.jsonl", "\ufeff \n\n", "", "is empty"),
        ("a.md", "", "", "is empty"),
        ("a.parquet", "no", "", "is not a Parquet file"),
        ("a.csv", "id,steps", "", "the extension '.csv' is not known; known are .json, .jsonl, .parquet, .txt"),
    ],
)
def test_a_broken_file_is_named(write: Write, name: str, content: str | bytes, place: str, words: str) -> None:
    source = write(name, content)
    with pytest.raises(InputError) as caught:
        read_solutions(source)
    assert caught.value.where == source + place
    assert words in str(caught.value)


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.Table.from_pylist([ROW]), path)
    assert read_solutions(path) == [SOLUTION]
    parquet.write_table(pyarrow.Table.from_pylist([ROW, row(id="b", label=5)]), path)
    with pytest.raises(InputError, match="label: must lie between") as caught:
        read_solutions(path)
    assert caught.value.where == f"{path}[1]"
    parquet.write_table(pyarrow.Table.from_pylist([ROW]).slice(0, 0), path)
    with pytest.raises(InputError, match="holds no rows"):
        read_solutions(path)


@pytest.mark.parametrize(("package", "source"), [("pyarrow", "a.parquet"), ("datasets", "Qwen/ProcessBench")])
def test_a_missing_extra_is_named(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, source: str
) -> None:
    write("a.parquet", "PAR1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"needs {package}: pip install 'genprm\[data\]'"):
        read_solutions(source)


# --- folders, splits -----------------------------------------------------------------------------------------------


def test_a_folder_is_its_splits(write: Write, tmp_path: Path) -> None:
    write("math.json", json.dumps([row(id=None), row(id=None)]))
    write("gsm8k.jsonl", lines(ROW))
    write("README.md", "# About")
    write(".hidden.jsonl", "no")
    found = read_solutions(tmp_path)
    assert [(s.source, s.id) for s in found] == [("gsm8k", "gsm8k-7"), ("math", "math-0"), ("math", "math-1")]
    assert [s.id for s in read_solutions(tmp_path, split="math")] == ["math-0", "math-1"]
    assert len(read_solutions(tmp_path, split="math, gsm8k")) == 3
    with pytest.raises(InputError, match="there is no split 'omni', only gsm8k, math"):
        read_solutions(tmp_path, split="omni")


def test_a_file_is_its_own_only_split(write: Write) -> None:
    source = write("gsm8k.jsonl", lines(ROW))
    assert read_solutions(source, split="gsm8k")
    with pytest.raises(InputError, match="only gsm8k"):
        read_solutions(source, split="math")


def test_ids_differ_within_a_split(write: Write, tmp_path: Path) -> None:
    write("a.jsonl", lines(ROW))
    write("b.jsonl", lines(row(id="x"), ROW))
    assert [(s.source, s.id) for s in read_solutions(tmp_path)] == [("a", "gsm8k-7"), ("b", "x"), ("b", "gsm8k-7")]
    write("b.jsonl", lines(ROW, row(id="x"), ROW))
    with pytest.raises(InputError, match=r"b.jsonl:3, field id: 'gsm8k-7' is the id of .*b.jsonl:1 already"):
        read_solutions(tmp_path)


def test_labels_are_asked_for_by_line(write: Write) -> None:
    path = write("a.jsonl", lines(ROW, {**row(id="x"), "label": None}))
    assert [s.first_error is None for s in read_solutions(path)] == [False, True]
    with pytest.raises(InputError, match=r"a.jsonl:2, field label: there is no label"):
        read_solutions(path, labelled=True)


def test_a_text_given_for_a_path() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_solutions("the solution itself, not a file " * 200)


def test_folders_without_use(write: Write, tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    with pytest.raises(InputError, match=r"holds no .json, .jsonl, .parquet file"):
        read_solutions(tmp_path / "c")
    (tmp_path / "c" / "x.jsonl").mkdir()
    with pytest.raises(InputError, match="is a folder, not a file"):
        read_solutions(tmp_path / "c")
    write("d/x.json", "[]")
    write("d/x.jsonl", "")
    with pytest.raises(InputError, match=r"two files for the split 'x': x.json, x.jsonl"):
        read_solutions(tmp_path / "d")


# --- texts, stdin --------------------------------------------------------------------------------------------------


def test_a_text_is_one_solution(write: Write) -> None:
    [solution] = read_solutions(write("mine.md", "# Problem\n1 + 1?\n\n# Solution\nOne.\n\nTwo."))
    assert solution == Solution(Problem("1 + 1?"), ("One.", "Two."), id="mine", source="mine")


def test_the_problem_can_be_given_apart(write: Write) -> None:
    [text] = read_solutions(write("a.txt", "**Solution:** One.\n\nTwo."), problem="1 + 1?")
    [rows] = read_solutions(write("b.jsonl", lines(row(problem=None))), problem="1 + 1?")
    assert text.steps == rows.steps == ("One.", "Two.")
    assert text.problem == rows.problem == Problem("1 + 1?")
    with pytest.raises(InputError, match="a problem of its own"):
        read_solutions(write("c.jsonl", lines(ROW)), problem="1 + 1?")
    with pytest.raises(InputError, match="a problem of its own"):
        read_solutions(write("d.md", "Problem: 2?\n\nSolution: One."), problem="1 + 1?")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Problem: What?", "a problem but no solution"),
        ("What?\nBecause.", "a problem but no solution"),
        ("Solution: Because.", "there is no problem"),
        ("# Problem\n\n# Solution\nx", "there is no problem"),
    ],
)
def test_half_a_text_is_refused(write: Write, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_solutions(write("a.txt", text))


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (lines(row(id="a"), row(id="b")), ["a", "b"]),
        ("\ufeff\n" + json.dumps([row(id=None)]), ["stdin-0"]),
        ("1 + 1?\n\nOne.\n\nTwo.", ["stdin"]),
    ],
)
def test_stdin(monkeypatch: pytest.MonkeyPatch, text: str, ids: list[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    found = read_solutions("-")
    assert [solution.id for solution in found] == ids
    assert all(solution.steps == ("One.", "Two.") and solution.source == "stdin" for solution in found)


@pytest.mark.parametrize(
    ("text", "where"),
    [("", "stdin"), ('{"id"', "stdin:1"), (lines(row(id="a"), row(id=[1])), "stdin:2"), ("[]", "stdin")],
)
def test_bad_stdin_is_named(monkeypatch: pytest.MonkeyPatch, text: str, where: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    with pytest.raises(InputError) as caught:
        read_solutions("-")
    assert caught.value.where == where


# --- the hub -------------------------------------------------------------------------------------------------------


@pytest.fixture
def dataset(write: Write, tmp_path: Path) -> Path:
    """A local folder that ``datasets.load_dataset`` takes for a dataset of two splits."""
    pytest.importorskip("datasets")
    write("set/train.jsonl", lines(ROW))
    write("set/test.jsonl", lines(row(id="b", label=1), row(id="c")))
    return tmp_path / "set"


@pytest.mark.slow
def test_a_dataset_is_read_with_all_its_splits(dataset: Path) -> None:
    parts = read_hub(str(dataset))
    assert {name: [each.values["id"] for each in rows] for name, rows in parts.items()} == {
        "train": ["gsm8k-7"],
        "test": ["b", "c"],
    }
    assert parts["test"][1].where == f"{dataset}:test[1]"
    assert list(read_hub(str(dataset), "test")) == ["test"]
    with pytest.raises(InputError, match="omni"):
        read_hub(str(dataset), "omni")


def test_a_dataset_becomes_solutions(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    load = datasets.load_dataset
    asked = []

    def local(name: str, **options: object) -> object:
        asked.append(name)
        return load(str(dataset), **options)

    monkeypatch.setattr(datasets, "load_dataset", local)
    assert [s.id for s in read_solutions("Qwen/ProcessBench")] == ["gsm8k-7", "b", "c"]
    assert [(s.id, s.source, s.first_error) for s in read_solutions("Qwen/ProcessBench", split="test")] == [
        ("b", "test", 1),
        ("c", "test", NO_ERROR),
    ]
    assert asked == ["Qwen/ProcessBench"] * 2


def test_what_exists_is_never_taken_for_a_dataset(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("Qwen/rows.jsonl", lines(ROW))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert read_solutions("Qwen/rows.jsonl") == [SOLUTION]
    assert read_solutions("Qwen") == [SOLUTION]


@pytest.mark.parametrize(
    "source", ["nowhere.jsonl", "folder/nowhere.jsonl", "nowhere", "/no/where", "a/b/c", "https://x/y"]
)
def test_what_is_neither_file_nor_dataset(source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match="there is no such file or folder"):
        read_solutions(source)


def test_no_source_is_not_the_current_folder() -> None:
    with pytest.raises(InputError, match="there is no source"):
        read_solutions("")


def test_a_dataset_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def fail(name: str) -> None:
        raise ConnectionError(f"Couldn't reach '{name}'\nand a long story")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(
        InputError, match=r"no file or folder here, and no dataset that .* gives: Couldn't reach 'no/where'$"
    ):
        read_solutions("no/where")


# --- the house -----------------------------------------------------------------------------------------------------


def test_the_import_is_light() -> None:
    code = "import sys, genprm.inputs; print([m for m in ('rich', 'datasets', 'pyarrow', 'sympy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_processbench_is_read(shared_data: Callable[[str], Path]) -> None:
    found = read_solutions(shared_data("processbench"))
    assert len({solution.id for solution in found}) == len(found)
    assert {solution.source for solution in found} == {"gsm8k", "math", "olympiadbench", "omnimath"}
    assert all(solution.first_error is not None and solution.generator for solution in found)
