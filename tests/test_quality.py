"""Which attempts are kept: every reason by an attempt that has it, and no other attempt by any."""

import random
import time
from dataclasses import replace

import pytest

from genprm.errors import ConfigError
from genprm.synth.decontamination import Evaluation, Known
from genprm.synth.near_duplicates import NearDuplicates, signature
from genprm.synth.quality import REASONS, QualityOptions, assess
from genprm.synth.text_stats import Hashes, codes, distinct_share, longest_loop, ngrams, overlap, text_digest, tokens
from genprm.synth.types import Attempt, Grade
from genprm.types import NO_ERROR, Problem, Solution
from tests.conftest import SharedData

GOOD = (
    "Natalia sold clips to 48 of her friends in April.",
    "In May she sold half as many: 48 / 2 = 24 clips.",
    "Altogether she sold 48 + 24 = 72 clips, so the answer is 72.",
)
PROBLEM = "Natalia sold clips to 48 of her friends in April, and then half as many in May. How many altogether?"


def attempt(
    *steps: str, id: str = "p/0", problem: str = "p", text: str = PROBLEM, grade: Grade = "right", answer: str = "72"
) -> Attempt:
    return Attempt(Solution(Problem(text, "72"), steps, id), problem, grade, answer)


def reason_of(*steps: str, options: QualityOptions | None = None, grade: Grade = "right") -> str | None:
    return assess([attempt(*steps, grade=grade)], options).findings[0].reason


def test_a_good_solution_is_kept() -> None:
    assessment = assess([attempt(*GOOD)])
    assert assessment.kept == (0,)
    assert tuple(assessment.dropped) == REASONS
    assert not any(assessment.dropped.values())


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ((), "too_few_steps"),
        (GOOD[:1] * 65, "too_many_steps"),
        (("1 + 1 = 2",), "too_short"),
        (("word 7 " * 3000,), "too_long"),
        ((*GOOD, " \n "), "empty_step"),
        ((*GOOD, "."), "short_step"),
        (("x = 1 and " * 700, *GOOD), "long_step"),
        ((*GOOD, "It is 72\x1b[31m."), "not_text"),
        ((*GOOD, "It is \ufffd 72."), "not_text"),
        ((*GOOD, "As an AI language model, I get 72."), "boilerplate"),
        (("I'm sorry, but I cannot help with that request about 48 clips.",), "boilerplate"),
        ((*GOOD, "72<|im_end|>"), "boilerplate"),
        ((*GOOD, "```python\nprint(72)"), "open_fence"),
        (("Let us think about what Natalia did.", "She sold some clips to friends."), "no_mathematics"),
        ((GOOD[0], GOOD[1], "So that is what she sold, and we are done."), None),
        ((GOOD[0], GOOD[0].upper(), GOOD[1], GOOD[1] + "."), "repeated_steps"),
        (("The answer is 72 clips. " * 40,), "repeated_pattern"),
    ],
)
def test_each_reason(steps: tuple[str, ...], reason: str | None) -> None:
    assert reason_of(*steps) == reason


def test_a_lone_surrogate_is_no_text() -> None:
    assert reason_of(*GOOD, "It is \ud800 72.") == "not_text"


def test_what_looks_like_a_fault_and_is_none() -> None:
    assert reason_of("We are sorry for the 3 dogs: they cannot eat.", "3 - 3 = 0, the answer is 0.") is None
    assert reason_of("2 * 2 * 2 * 2 * 2 * 2 * 2 * 2 * 2 * 2 is a power of two.", "It is 2^10 = 1024.") is None
    assert reason_of("```python\nprint(72)\n```", "```output\n72\n```", "The answer is 72.") is None
    assert reason_of("Ответ: сорок восемь и 24.", "Итого 72 — это ответ.") is None


def test_no_answer_is_what_the_grader_says_or_what_the_last_step_lacks() -> None:
    assert reason_of(*GOOD, grade="no_answer") == "no_answer"
    assert reason_of(*GOOD, grade="cut_off") == "no_answer"
    without = replace(attempt(GOOD[0], GOOD[1], "So that is it, and we are done."), answer=None)
    assert assess([without]).findings[0].reason == "no_answer"


def test_bounds_are_inclusive() -> None:
    assert reason_of(*GOOD, options=QualityOptions(most_steps=3, least_steps=3)) is None
    assert reason_of(*GOOD, options=QualityOptions(most_steps=2)) == "too_many_steps"
    size = sum(map(len, GOOD))
    assert reason_of(*GOOD, options=QualityOptions(most_chars=size, least_chars=size)) is None
    assert reason_of(*GOOD, options=QualityOptions(most_chars=size - 1)) == "too_long"
    assert reason_of(*GOOD, options=QualityOptions(least_chars=size + 1)) == "too_short"


def test_the_first_reason_counts_and_one_alone() -> None:
    found = assess([attempt("", "As an AI\x00", "```")])
    assert found.findings[0].reason == "too_short"
    assert sum(found.dropped.values()) == 1


def test_near_duplicates_keep_the_first_and_name_it() -> None:
    longer = tuple(f"{step} This follows from what the problem says about clips." for step in GOOD)
    nearly = (*longer[:2], longer[2] + " Good.")
    found = assess(
        [
            attempt(*longer, id="p/0"),
            attempt(*map(str.upper, longer), id="p/1"),
            attempt(*nearly, id="p/2"),
            attempt(*longer, id="q/0", problem="q"),
            attempt("May: half of 48 is 24.", "Sum: 72 clips, which is the answer.", id="p/3"),
        ]
    )
    assert [f.reason for f in found.findings] == [
        None, "near_duplicate", "near_duplicate", "near_duplicate_elsewhere", None,
    ]  # fmt: skip
    assert [f.detail for f in found.findings] == ["", "p/0", "p/0", "p/0", ""]


def test_across_problems_only_where_asked_and_its_own_problem_first() -> None:
    rows = [attempt(*GOOD, id="p/0"), attempt(*GOOD, id="q/0", problem="q"), attempt(*GOOD, id="q/1", problem="q")]
    found = assess(rows, QualityOptions(across=False)).findings
    assert [(f.reason, f.detail) for f in found] == [(None, ""), (None, ""), ("near_duplicate", "q/0")]


def test_other_signs_are_another_solution() -> None:
    plus = tuple(f"{a} + {a + 1} = {2 * a + 1}" for a in range(12))
    minus = tuple(step.replace("+", "-") for step in plus)
    assert assess([attempt(*plus, id="p/0"), attempt(*minus, id="p/1")]).kept == (0, 1)


def test_a_threshold_that_banding_cannot_keep_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"0\.7"):
        QualityOptions(near=0.5)


def test_contaminated_problems_lose_all_their_attempts() -> None:
    evaluation = Evaluation([Known("eval.jsonl:7", PROBLEM)])
    rows = [attempt(*GOOD, id="p/0"), attempt(*GOOD[::-1], id="p/1"), attempt(*GOOD, id="q/0", text="Add 48 and 24.")]
    found = assess(rows, evaluation=evaluation)
    assert [f.reason for f in found.findings] == ["contaminated", "contaminated", None]
    assert "eval.jsonl:7" in found.findings[0].detail


def test_diversity_tells_copies_from_other_solutions() -> None:
    options = QualityOptions(near=1.0)
    alike = [attempt(*GOOD, f"Check number {n}: 72.", id=f"p/{n}", problem="p") for n in range(4)]
    other = [attempt(*_random_steps(n), id=f"q/{n}", problem="q", answer=str(n), grade="wrong") for n in range(4)]
    found = assess(alike + other, options).diversity
    assert (found["p"].distance or 0) < 0.4 < 0.9 < (found["q"].distance or 0)
    assert (found["p"].distinct_2 or 1) < 0.5 < (found["q"].distinct_2 or 0)
    assert (found["p"].answers, found["q"].answers, found["p"].right, found["q"].right) == (1, 4, 4, 0)
    assert assess([attempt(*GOOD)]).diversity["p"].distance is None


def test_coverage() -> None:
    rows = [
        replace(a, solution=replace(a.solution, first_error=first))
        for n, first in enumerate([NO_ERROR, 0, 1, 2])
        for a in [attempt(*_random_steps(n, 3), id=f"p/{n}", grade="wrong" if first >= 0 else "right", answer=str(n))]
    ]
    covered = assess(rows).coverage
    assert covered.both == 1.0
    assert {name: n for name, n in covered.error_positions.bins.items() if n} == {
        "0.0-0.1": 1, "0.3-0.4": 1, "0.6-0.7": 1,
    }  # fmt: skip
    assert covered.lengths.bins["3-4"] == 4
    assert covered.difficulty.bins["0.25-0.5"] == 1
    assert covered.answers.bins["4+"] == 1
    assert covered.lengths.evenness == 0
    nothing = assess([]).coverage
    assert (nothing.both, nothing.lengths.evenness) == (None, None)


def test_the_same_in_every_process() -> None:
    """Figures that were written down: hashes may depend on neither process nor machine."""
    assert text_digest("Natalia sold 48 clips!") == text_digest(" natalia  SOLD 48 clips")
    assert int(signature(_shingles("one two three four five six"))[0]) == FIRST_HASH


FIRST_HASH = 766324408


@pytest.mark.parametrize("changed", [0, 2, 6, 20, 60])
def test_signatures_estimate_and_the_index_decides_exactly(changed: int) -> None:
    rng = random.Random(changed)
    text = [str(rng.randrange(10**6)) for _ in range(200)]
    other = [*text[: 200 - changed], *(f"x{n}" for n in range(changed))]
    one, two = _shingles(" ".join(text)), _shingles(" ".join(other))
    exact = len(set(one.tolist()) & set(two.tolist())) / len(set(one.tolist()) | set(two.tolist()))
    assert overlap(one, two) == exact
    assert abs((signature(one) == signature(two)).mean() - exact) < 0.18
    index = NearDuplicates(0.8)
    index.add(one, signature(one))
    assert list(index.like(two, signature(two))) == ([0] if exact >= 0.8 else [])


def test_loops() -> None:
    said = codes(tokens("so we add one and then " * 9))
    assert longest_loop(said, 4) == 54
    assert longest_loop(codes(tokens(" ".join(map(str, range(100))))), 4) == 0
    assert longest_loop(codes([]), 4) == 0
    assert longest_loop(codes(tokens("a b a b a b")), 4) == 0


def test_distinct_shares() -> None:
    assert distinct_share(["a.", "A", "b", "…"]) == 0.75
    assert distinct_share([]) == 1.0


def test_a_text_without_words_and_a_hostile_one_come_to_an_end() -> None:
    assert assess([attempt("…" * 50), attempt("½²³" * 30)]).dropped["no_mathematics"] == 1
    began = time.process_time()
    hostile = ["as an " * 20_000, "i'm sorry " * 10_000, "`" * 60_000, "1 " * 30_000, "\u0301" * 20_000]
    options = QualityOptions(most_chars=10**7, most_step_chars=10**7)
    assess([attempt(text + " 72") for text in hostile], options)
    assert time.process_time() - began < 5


def test_real_solutions(shared_data: SharedData) -> None:
    """Human solutions: hardly any may be dropped for what it is by itself."""
    from genprm.rows import read_rows

    rows = read_rows(shared_data("math/train.jsonl"))[:400]
    found = assess(
        attempt(str(row.values["solution"]), id=str(n), problem=str(n), text=str(row.values["problem"]))
        for n, row in enumerate(rows)
    )
    assert len(found.kept) > 390


@pytest.mark.slow
def test_twenty_thousand_within_a_minute() -> None:
    rows = [attempt(*_random_steps(n, 8), id=f"{n // 8}/{n}", problem=str(n // 8)) for n in range(18_000)]
    rows += [replace(row, solution=replace(row.solution, id=f"copy {n}")) for n, row in enumerate(rows[:2_000])]
    began = time.process_time()
    found = assess(rows)
    assert time.process_time() - began < 60
    assert found.dropped["near_duplicate"] == 2_000
    assert len(found.kept) == 18_000


def _random_steps(seed: int, steps: int = 4) -> tuple[str, ...]:
    rng = random.Random(seed)
    said = [" ".join(rng.choices(_WORDS, k=24)) for _ in range(steps)]
    return tuple(f"{text} gives {rng.randrange(1000)}" for text in said)


_WORDS = [f"w{n}" for n in range(800)]


def _shingles(text: str) -> Hashes:
    import numpy as np

    return np.unique(ngrams(codes(tokens(text)), 5))
