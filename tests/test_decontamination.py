"""What an evaluation set knows of a problem."""

import json
from pathlib import Path

import pytest

from genprm.errors import ConfigError, InputError
from genprm.synth.decontamination import Evaluation, Known, read_known
from tests.conftest import SharedData

LONG = "A baker has twelve trays and puts nine loaves on each of them before the oven is hot enough to bake."


def evaluation(*texts: str, n: int = 13, share: float = 0.0) -> Evaluation:
    return Evaluation([Known(f"eval.jsonl:{i}", text) for i, text in enumerate(texts, 1)], n, share)


def test_thirteen_words_in_a_row_are_a_hit_and_twelve_are_not() -> None:
    known = evaluation(LONG)
    words = LONG.split()
    thirteen = "Yesterday " + " ".join(words[2:15]) + " and so on, as nobody would have thought at all"
    hit = known.hit(thirteen)
    assert hit is not None
    assert hit.where == "eval.jsonl:1"
    assert hit.words == " ".join(words[2:15]).lower()
    assert known.hit("Yesterday " + " ".join(words[2:14]) + " and so on, as nobody would have thought at all") is None


def test_case_marks_and_forms_of_unicode_do_not_hide_a_copy() -> None:
    assert evaluation(LONG).hit("(" + LONG.upper().replace(" ", " — ") + ")") is not None
    assert evaluation("The ﬁrst x² is 4.").hit("the first x2 is 4") is not None


def test_short_problems_are_compared_whole() -> None:
    known = evaluation("What is 2 + 2?")
    assert known.hit("what is  2+2") is not None
    assert known.hit("What is 2 + 2 + 2?") is None
    assert known.hit("Tell me: what is 2 + 2?") is None
    assert known.hit("") is None
    assert known.hit("+ ?") is None


def test_a_share_may_be_asked_for() -> None:
    half = " ".join(LONG.split()[:15]) + " but this one goes on in another way and is much longer than that one is"
    hit = evaluation(LONG).hit(half)
    assert hit is not None
    assert 0 < hit.share < 0.3
    assert evaluation(LONG, share=0.3).hit(half) is None
    assert evaluation(LONG, share=1.0).hit(LONG) is not None


def test_the_first_problem_that_knows_it_is_named() -> None:
    hit = evaluation("Something else.", LONG, LONG).hit(LONG)
    assert hit is not None
    assert hit.where == "eval.jsonl:2"


def test_nothing_known_and_bounds() -> None:
    assert evaluation().hit(LONG) is None
    assert len(evaluation("?", "one word")) == 1
    with pytest.raises(ConfigError):
        evaluation(LONG, n=0)
    with pytest.raises(ConfigError):
        evaluation(LONG, share=1.5)


def test_files_folders_and_fields(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"question": LONG}) + "\n" + json.dumps({"problem": "x"}) + "\n")
    (tmp_path / "b.json").write_text(json.dumps([{"problem": "other", "task": "mine"}]))
    assert [known.text for known in read_known([tmp_path])] == [LONG, "x", "other"]
    assert [known.where for known in read_known([tmp_path / "a.jsonl"])][1].endswith("a.jsonl:2")
    assert [known.text for known in read_known([tmp_path / "b.json"], "task")] == ["mine"]


def test_what_is_wrong_with_a_file_is_told_by_line_and_field(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"problem": "x"}\n{"problem": 3}\n')
    with pytest.raises(InputError, match=r"a\.jsonl:2, field problem"):
        list(read_known([path]))
    path.write_text('{"problem": "x"}\n{"text": "y"}\n')
    with pytest.raises(InputError, match=r"a\.jsonl:2.*no text to compare"):
        list(read_known([path]))
    path.write_text('{"problem": "x"}\n{"prob')
    with pytest.raises(InputError, match=r"a\.jsonl:2"):
        list(read_known([path]))
    with pytest.raises(InputError, match="no such file"):
        list(read_known([tmp_path / "none.jsonl"]))


def test_real_sets(shared_data: SharedData) -> None:
    known = list(read_known([shared_data("processbench/math.jsonl")]))
    tests = Evaluation(known)
    assert all(tests.hit(problem.text) for problem in known)
    train = list(read_known([shared_data("math/train.jsonl")]))[:300]
    hits = sum(tests.hit(problem.text) is not None for problem in train)
    assert hits < 15
