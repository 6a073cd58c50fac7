"""The world: its truth against an independent reckoning, its splits, its rationales through the real sandbox."""

import builtins
import functools
import json
import keyword
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from math import gcd, lcm
from pathlib import Path

import pytest

from genprm.answers import boxed
from genprm.cli import main
from genprm.inputs import read_solutions
from genprm.protocols.genprm import ABLATIONS, code_blocks, format_output
from genprm.protocols.policy import read_review
from genprm.runs import write_whole
from genprm.sandbox import Sandbox
from genprm.synth.command import ROWS
from genprm.synth.world import FIRST_KINDS, KINDS, SPLITS, Example, example, examples
from genprm.synth.world.faults import slipped
from genprm.synth.world.problems import WorldProblem, make_problem
from genprm.synth.world.relations import RELATIONS
from genprm.synth.world.revisions import review_rows, revise_rows
from genprm.synth.world.rows import critic_rows, policy_rows
from genprm.synth.world.solutions import revise, without_computation
from genprm.synth.world.teacher import MODES, conversation
from genprm.synth.world.truth import in_python
from genprm.synth.world.words import PEOPLE
from genprm.types import NO_ERROR
from tests.rooms import room
from tests.test_cli import environment, interruptible, until


@functools.cache
def many() -> list[Example]:
    """Examples of every kind; made when a test wants them, for every process of a suite reads this file."""
    return list(examples("valid", 132))


def reckoned(made: Example, forced: Mapping[int, int] | None = None) -> list[Fraction]:
    """The values of a problem's quantities, by exact fractions and from the numbers alone; those that are ``forced``
    are as it says."""
    values: list[Fraction] = []
    for place, quantity in enumerate(made.problem.quantities):
        names = dict(zip("ab", (values[at] for at in quantity.parents), strict=False))
        names |= {name: Fraction(number) for name, number in quantity.numbers.items()}
        whole = {"gcd": lambda a, b: gcd(int(a), int(b)), "lcm": lambda a, b: lcm(int(a), int(b))}
        value = Fraction(eval(quantity.relation.form.replace("//", "/"), whole | names))
        values.append(Fraction(forced[place]) if forced and place in forced else value)
    return values


def test_values_are_those_of_the_numbers_told() -> None:
    for made in many():
        assert [Fraction(quantity.value) for quantity in made.problem.quantities] == reckoned(made)
        for quantity in made.problem.quantities:
            assert quantity.told in made.problem.text
            for number in quantity.numbers.values():
                assert str(number) in quantity.told


def test_the_truth_of_every_step() -> None:
    """A step is right if its value is, and its own computation gives it; the label is the first that is not."""
    for made in many():
        values = reckoned(made)
        wrong = [at for at, step in enumerate(made.steps) if not step.truth.correct]
        assert made.solution.first_error == (wrong[0] if wrong else NO_ERROR)
        believed = {}
        for step in made.steps:
            believed[step.place] = step.claimed
            holds = not step.computation or eval(in_python(step.computation), {"gcd": gcd, "lcm": lcm}) == step.claimed
            assert step.truth.correct == (step.claimed == values[step.place] and holds), step
            assert (step.truth.kind == "") == step.truth.correct
            needed = {place for place in believed if place in made.problem.needed()}
            assert step.truth.reachable == all(believed[place] == values[place] for place in needed)
            assert str(step.claimed) in step.text
            assert step.computation in step.text


def test_the_answer_is_boxed_in_the_last_step_only() -> None:
    for made in many():
        boxed = [re.findall(r"\\boxed\{(-?\d+)\}", step.text) for step in made.steps]
        assert boxed[-1] == [str(made.steps[-1].claimed)]
        assert not any(boxed[:-1])
        right = made.steps[-1].claimed == made.problem.answer
        assert right == (not made.kind or made.form == "lucky")


def test_every_kind_of_fault_and_every_form_occurs() -> None:
    assert Counter(made.kind == "" for made in many()) == {True: 66, False: 66}
    kinds = Counter(made.kind for made in many() if made.kind)
    assert set(kinds) == set(FIRST_KINDS)
    assert set(kinds.values()) == {6}
    assert any(truth.kind == "carried" for made in many() for truth in made.truths)
    assert {made.form for made in many()} == {"plain", "detour", "lucky"}


def test_every_relation_occurs_in_problems() -> None:
    """In examples, which take a hundred times as long to make, too: that test is slow."""
    chance = random.Random(0)
    assert used(make_problem(chance, n % 5 + 1) for n in range(200)) == {relation.name for relation in RELATIONS}


@pytest.mark.slow
def test_every_relation_occurs_in_examples() -> None:
    assert used(made.problem for made in examples("valid", 330)) == {relation.name for relation in RELATIONS}


def used(problems: Iterable[WorldProblem]) -> set[str]:
    """The relations by which quantities follow from others."""
    return {quantity.relation.name for problem in problems for quantity in problem.quantities} - {"given"}


@pytest.mark.slow
def test_difficulty_is_depth_and_size() -> None:
    depth = {level: [] for level in (1, 3, 5)}  # type: dict[int, list[int]]
    for level, found in depth.items():
        found.extend(len(made.problem.needed()) for made in examples("valid", 12, difficulty=level))
    assert max(depth[1]) < 5 <= max(depth[3])
    assert sum(depth[1]) < sum(depth[3]) < sum(depth[5])


def moved_by(made: Example, place: int) -> set[int]:
    """The quantities that move when one is changed by itself, to values enough that no divisor hides them all."""
    values = [quantity.value for quantity in made.problem.quantities]
    changed = [values[place] + 1, values[place] + 30, *(values[place] * other for other in values if other > 1)]
    tried = [reckoned(made, {place: value}) for value in changed]
    return {at for at, value in enumerate(values) if any(found[at] != value for found in tried)}


def test_the_answer_moves_with_what_it_needs_and_with_nothing_else() -> None:
    n_hidden = 0
    for made in many():
        moved = {place: moved_by(made, place) for place in range(len(made.problem.quantities))}
        answering = {place for place, others in moved.items() if made.problem.asked in others}
        needed = made.problem.needed()
        assert answering <= needed
        for place in needed - answering:  # the answer is a difference, such as (a + b) - a, whose sides move alike
            sides = made.problem.quantities[made.problem.asked].parents
            assert len(sides) == 2
            assert moved[place] >= set(sides)
            n_hidden += 1
    assert n_hidden < 5


def test_a_wrong_reference_names_another_holder() -> None:
    seen = 0
    for made in many():
        for step in made.steps:
            if step.truth.kind == "reference":
                quantity = made.problem.quantities[step.place]
                because, text = quantity.relation.because, step.text.lower()
                assert quantity.text(because).lower() not in text
                held = {other.holder for other in made.problem.quantities}
                wrong = [{letter: holder} for letter in "AB" for holder in held - {quantity.words.get(letter)}]
                assert any(quantity.text(because, **named).lower() in text for named in wrong), step.text
                seen += 1
    assert seen == 6


def test_graphs_are_acyclic() -> None:
    for made in many():
        for place, quantity in enumerate(made.problem.quantities):
            assert all(parent < place for parent in quantity.parents)
        names = [quantity.variable for quantity in made.problem.quantities]
        assert len(set(names)) == len(names)
        assert all(name.isidentifier() for name in names)


@pytest.mark.slow
def test_an_index_gives_the_same_example_whatever_is_asked_beside_it() -> None:
    assert example("test", 3) == next(examples("test", 1, start=3)) == list(examples("test", 4))[3]
    assert example("test", 3) != example("valid", 3)


@pytest.mark.slow
def test_no_problem_stands_in_two_splits_or_twice() -> None:
    texts = {split: [made.solution.problem.text for made in examples(split, 600)] for split in SPLITS}
    for split, own in texts.items():
        others = {text for name, found in texts.items() if name != split for text in found}
        assert not others & set(own)
        assert len(set(own)) / len(own) > 0.99  # the easiest problems are few enough to meet twice
    told = {split: {_without_names(text) for text in found} for split, found in texts.items()}
    shared = len(told["train"] & told["test"]) / len(told["test"])
    assert shared < 0.02, "problems that differ in names and things alone"


def _without_names(text: str) -> str:
    return re.sub(r"[A-Z][a-z]+", "N", text)


async def _outputs(chains: list[list[str]], sandbox: Sandbox) -> list[list[str]]:
    """Of all checks of each chain, one after the other."""
    outputs = []
    for chain in chains:
        async with sandbox.session() as session:
            results = [await session.run(code) for text in chain for code in code_blocks(text)[0]]
            outputs.append([format_output(result) for result in results])
    return outputs


def said_to_print(text: str) -> list[str]:
    return re.findall(r"\[Code Output\]\n\n```\n(.*)\n```\n", text)


def test_variables_of_checks_are_names_that_python_leaves_free() -> None:
    taken = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "gcd", "lcm"}
    words = {word for made in many() for quantity in made.problem.quantities for word in [quantity.variable]}
    assert all(word.isidentifier() and word not in taken for word in words | {name.lower() for name in PEOPLE})


def test_rationales_print_in_the_sandbox_what_they_say_they_print() -> None:
    chains = []
    for made in many()[:30]:
        turns = conversation(made.problem, made.steps)
        chains.append([turn["content"] for turn in turns if turn["role"] == "assistant"])
        for text, truth in zip(chains[-1], made.truths, strict=True):
            assert text.endswith(f"$\\boxed{{{'Yes' if truth.correct else 'No'}}}$\n</output>\n")
    shown = [[output for text in chain for output in said_to_print(text)] for chain in chains]
    assert room().run(functools.partial(_outputs, chains)) == shown


def test_rationales_that_overlook_a_quantity_fail_and_mend_themselves() -> None:
    """They come to the same as those that overlook none, by a check more."""
    chains, n_failed = [], 0
    for made in many()[:30]:
        plain, mended = (
            [turn["content"] for turn in conversation(made.problem, made.steps, overlook=overlook)[2::2]]
            for overlook in (None, lambda needed: needed[len(needed) // 2])
        )
        for one, other in zip(plain, mended, strict=True):
            if one == other:
                continue
            n_failed += 1
            first, last = code_blocks(other)[0]
            name = re.findall(r"name '(\w+)' is not defined", other)[0]
            assert f"\n{name} is known.\n" in other.partition("</analyze>")[0]
            assert f"\n{name} = " not in f"\n{first}"
            assert code_blocks(one)[0] == [last]
            assert one.partition("[Code Output]")[2] == other.rpartition("[Code Output]")[2]
            quotes = [sorted(re.findall(r"^> (.*)$", text, re.MULTILINE)) for text in (one, other)]
            assert quotes[0] == quotes[1]
        chains.append(mended)
    assert n_failed > 10
    shown = [[output for text in chain for output in said_to_print(text)] for chain in chains]
    assert room().run(functools.partial(_outputs, chains)) == shown


@pytest.mark.slow
def test_only_rows_to_train_on_overlook_anything() -> None:
    kinds = {"train": 0, "valid": 0}
    for split in ("train", "valid"):
        for row in critic_rows(split, 40):
            kinds[split] += any("NameError" in message["content"] for message in row["messages"])
    assert kinds["train"] > 1
    assert not kinds["valid"]


def test_rationales_quote_the_problem_before_they_speak_of_the_paragraph() -> None:
    for made in many()[:60]:
        for turn in conversation(made.problem, made.steps)[2::2]:
            quotes, said, _ = turn["content"].partition("The paragraph says")
            assert said
            assert all(quote in made.problem.text for quote in re.findall(r"^> (.*)$", quotes, re.MULTILINE))


def test_rationales_say_of_all_that_a_quantity_follows_from_whether_it_is_known() -> None:
    n_known = n_needed = 0
    for made in many()[:60]:
        assigned: set[str] = set()
        for turn in conversation(made.problem, made.steps)[2::2]:
            analysis, _, check = turn["content"].partition("</analyze>")
            for variable, formula in re.findall(r"^(\w+) = (.*)$", analysis, re.MULTILINE):
                used = set(re.findall(r"[a-z]\w+", formula)) - {"gcd", "lcm"}
                known = {name for name in used if f"\n{name} is known." in analysis}
                assert known <= assigned | set(re.findall(r"^(\w+) = ", check, re.MULTILINE))
                assert used - known <= set(re.findall(r"^(\w+) = ", analysis, re.MULTILINE))
                n_known, n_needed = n_known + len(known), n_needed + len(used - known)
                assert variable not in assigned
            assigned |= set(re.findall(r"^(\w+) = ", check, re.MULTILINE))
            assert analysis.count("We need ") == len(re.findall(r"^> ", analysis, re.MULTILINE)) - ("\n> " in analysis)
    assert min(n_known, n_needed) > 20


def test_modes_are_the_ablations_of_the_protocol() -> None:
    assert MODES.keys() == ABLATIONS.keys()
    made = many()[1]
    texts = {mode: conversation(made.problem, made.steps, mode)[-1]["content"] for mode in MODES}
    assert "[Code Output]" in texts["full"]
    assert "```python" in texts["no-run"]
    assert "[Code Output]" not in texts["no-run"]
    assert "</analyze>" in texts["analysis"]
    assert "```" not in texts["analysis"]
    assert texts["direct"].startswith("<output>")


def test_a_revision_keeps_the_good_prefix_and_is_right() -> None:
    for made in [made for made in many() if made.kind][:60]:
        first = made.solution.first_error or 0
        better = revise(random.Random(0), made.problem, made.steps, first)
        assert tuple(better[:first]) == made.steps[:first]
        assert all(step.truth.correct for step in better)
        assert better[-1].claimed == made.problem.answer
        assert better[-1].text.count("\\boxed") == 1


def test_a_slip_is_always_a_slip() -> None:
    rng = random.Random(0)
    for value in [1, 2, 7, 10, 100, 999, 12345] * 30:
        assert slipped(rng, value) != value
        assert slipped(rng, value) > 0


def test_a_step_without_its_computation_is_as_right_or_wrong() -> None:
    rng = random.Random(0)
    n_terse = Counter[str]()
    for made in many():
        for step in made.steps:
            terse = without_computation(rng, made.problem, step)
            n_terse[step.truth.kind] += terse != step
            assert (terse.place, terse.claimed, terse.truth) == (step.place, step.claimed, step.truth)
            assert ("\\boxed" in terse.text) == ("\\boxed" in step.text)
            assert f"{step.claimed}" in terse.text
            if terse != step:
                assert "=" not in terse.text
                assert made.problem.quantities[step.place].value == step.claimed or not step.truth.correct
    assert not n_terse["written"], "its value is right: without the computation nothing is wrong"
    assert min(n_terse[kind] for kind in ("", "slip", "operation", "misread", "carried")) > 3


def test_no_sentence_of_a_problem_begins_with_a_figure() -> None:
    for made in many():
        assert not any(quantity.told[0].isdigit() for quantity in made.problem.quantities)


@pytest.mark.slow
def test_rows_to_train_on_are_harder_than_the_examples() -> None:
    train, valid = list(critic_rows("train", 200)), list(critic_rows("valid", 200))
    shares = [sum(row["difficulty"] > 3 for row in rows) / 200 for rows in (train, valid)]
    dropped = [sum(row["kind"] == "dropped" for row in rows) for rows in (train, valid)]
    assert dropped[0] > dropped[1] + 8
    assert shares[0] > shares[1] + 0.1
    assert [row["id"] for row in valid] == [f"world-valid-{n}" for n in range(200)]
    steps = [[m["content"] for row in rows for m in row["messages"] if m["role"] == "user"] for rows in (train, valid)]
    bare = [sum("=" not in step for step in each) / len(each) for each in steps]
    assert bare[0] > bare[1] + 0.05
    assert len({row["id"] for row in train}) == 200


def test_rows_for_training() -> None:
    rows = [*critic_rows("valid", 10), *policy_rows("valid", 10)]
    for row in rows:
        roles = [message["role"] for message in row["messages"]]
        assert roles[-1] == "assistant"
        assert 1 <= row["difficulty"] <= 5
    assert Counter(row["mode"] for row in rows[10:]) == {"solve": 5, "revise": 5}
    revised = rows[11]["messages"]
    assert revised[2]["content"].startswith("Paragraph ")
    assert "Output:" in revised[2]["content"]


def test_the_command_writes_rows_that_the_program_reads(tmp_path: Path) -> None:
    file = tmp_path / "world.jsonl"
    assert main(["synth", "world", "test", "-n", "6", "-o", str(file)]) == 0
    read = read_solutions(str(file))
    assert [solution.first_error for solution in read] == [made.solution.first_error for made in examples("test", 6)]
    assert json.loads(file.read_text().splitlines()[1])["kind"] in KINDS


def test_the_command_prints_where_no_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synth", "world", "train", "-n", "2", "--rows", "critic", "--start", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_command_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert main(["synth", "world", "test", "-n", "2", "-o", str(tmp_path / "file" / "below.jsonl")]) == 2
    assert main(["synth", "world", "test", "-n", "-1"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_rows_that_end_in_an_error_leave_the_file_as_it_was(tmp_path: Path) -> None:
    def rows() -> Iterator[bytes]:
        yield b"one\n"
        yield b"two\n" * 100_000  # more than any buffer holds
        assert len(list(tmp_path.iterdir())) == 2
        raise ValueError("the third row")

    path = tmp_path / "rows.jsonl"
    assert write_whole(path, [b"old\n", b"rows\n"]) == 2
    with pytest.raises(ValueError, match="the third row"):
        write_whole(path, rows())
    assert [each.name for each in tmp_path.iterdir()] == ["rows.jsonl"]
    assert path.read_bytes() == b"old\nrows\n"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_the_command_can_be_stopped(tmp_path: Path, how: signal.Signals) -> None:
    command = ["synth", "world", "train", "-n", "10000000", "-o", str(tmp_path / "rows.jsonl")]
    process = subprocess.Popen(
        [sys.executable, "-m", "genprm", *command],
        env=environment(),
        preexec_fn=interruptible,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: any(path.stat().st_size for path in tmp_path.iterdir()))
        process.send_signal(how)
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert said == "genprm: stopped\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("option", "table"), [("SPLIT", SPLITS), ("--rows", tuple(ROWS))])
def test_choices_of_the_command_are_those_of_its_tables(
    option: str, table: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["nothing"] if option == "SPLIT" else ["test", "--rows", "nothing"]
    with pytest.raises(SystemExit, match="2"):
        main(["synth", "world", *args])
    said = capsys.readouterr().err
    assert option in said
    assert f"(choose from {', '.join(map(repr, table))})" in said


def test_rows_of_revisions_and_reviews() -> None:
    revised, reviewed = list(revise_rows("valid", 16)), list(review_rows("valid", 16))
    assert revised == [*revise_rows("valid", 8), *revise_rows("valid", 8, 8)]
    for row in revised:
        _, attempt, critique, answer = (message["content"] for message in row["messages"])
        named = int(critique.split()[1]) - 1
        assert critique.startswith(f"Paragraph {named + 1} is wrong")
        steps, better = attempt.split("\n\n"), answer.split("\n\n")
        assert better[:named] == steps[:named], "what was right stays"
        assert better[named] != steps[named]
        assert row["kind"]
    assert {"Check:" in row["messages"][2]["content"] for row in revised} == {True, False}
    assert any("It should be" in row["messages"][2]["content"] for row in revised)
    for index, row in enumerate(reviewed):
        said = row["messages"][-1]["content"]
        n_steps = row["messages"][1]["content"].count("\n\n") + 1
        found = read_review(said, n_steps)
        assert found is not None
        assert (found == NO_ERROR) == (index % 2 == 0)
    assert not {row["id"] for row in revised} & {row["id"] for row in reviewed}


def test_a_revision_ends_in_the_right_answer() -> None:
    for row in revise_rows("valid", 8):
        index = int(row["id"].rsplit("-", 1)[1])
        answers = {str(example("valid", index, level, kind="").problem.answer) for level in (None, 4, 5)}
        assert boxed(row["messages"][-1]["content"]) in answers
