"""The bench and the soak measure what they say, and can fail."""

import argparse
import asyncio
import json
import random

import pytest

from genprm.sandbox import Sandbox
from genprm.sandbox.trials import bench, soak
from genprm.sandbox.trials.baseline import PlainPython, Run
from genprm.sandbox.trials.checks import SOLUTIONS, CheckedSolution, checked_solutions
from genprm.sandbox.trials.figures import Figure, quantile, table
from genprm.sandbox.trials.measure import cores
from genprm.sandbox.trials.outputs import Outputs, said
from tests.rooms import room


def options(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**{"quick": True, "json": True, "soak": None, "kill": False, "seed": 0} | given)


async def plainly(solutions: tuple[CheckedSolution, ...]) -> list[Run]:
    plain = await PlainPython.start(solutions)
    try:
        again = await plain.run_all()
    finally:
        await plain.close()
    assert [printed for _, printed in plain.first] == [printed for _, printed in again]
    return again


def test_ten_solutions_of_three_checks() -> None:
    assert [len(solution.checks) for solution in SOLUTIONS] == [3] * 10
    assert len({solution.name for solution in SOLUTIONS}) == 10


@pytest.mark.slow
def test_checks_print_in_the_sandbox_what_they_print_in_plain_python() -> None:
    async def main(sandbox: Sandbox) -> None:
        solutions, left_out = checked_solutions()
        outputs = Outputs(solutions, await plainly(solutions))
        for solution in solutions:
            async with sandbox.session() as session:
                for step, code in enumerate(solution.checks):
                    result = await session.run(code)
                    assert result.stdout
                    outputs.compare("here", solution, step, said(result))
        assert outputs.different == []
        assert outputs.compared == 30 - 3 * len(left_out)
        if left_out:
            pytest.skip(f"left out: {', '.join(f'{s.name} ({s.needs})' for s in left_out)}")

    room().run(main)


def test_a_different_output_is_found() -> None:
    solution = CheckedSolution("one", ("print(1)", "print(2)"))
    outputs = Outputs([solution], [(0.1, "1\n"), (0.1, "2\n")])
    outputs.compare("here", solution, 1, "2\n")
    outputs.compare_replayed("here", solution, 1, "1\n2\n")
    assert outputs.different == []
    outputs.compare("here", solution, 0, "2\n")
    assert outputs.different == [{"where": "here, one 1", "got": "2\n", "expected": "1\n"}]
    outputs.compare_replayed("here", solution, 1, "2\n")
    assert (len(outputs.different), outputs.compared) == (2, 4)


def test_figures_say_whether_their_bar_is_met() -> None:
    figures = [
        Figure("quick", 0.1, "ms", at_most=0.1),
        Figure("slow", 0.2, "ms", at_most=0.1),
        Figure("many", 180, "checks/s", at_least=180),
        Figure("few", 179.9, "checks/s", at_least=180),
        Figure("unknown", None, "MB", at_most=10),
        Figure("plain", 3.0),
    ]
    assert [figure.met for figure in figures] == [True, False, True, False, None, None]
    assert [line.split("  ")[-1].strip() for line in table(figures).splitlines()[:4]] == ["met", "NOT met"] * 2


def test_quantiles_are_values_that_were_measured() -> None:
    assert [quantile([3.0, 1.0, 2.0], q) for q in (0, 0.5, 0.99, 1)] == [1.0, 2.0, 3.0, 3.0]


def test_one_planned_check_in_twenty_is_hostile() -> None:
    planned = soak.paths(SOLUTIONS, 2000, random.Random(1))
    assert planned == soak.paths(SOLUTIONS, 2000, random.Random(1))
    total = sum(path.checks for path in planned)
    assert 2000 <= total < 2010
    assert 0.04 < sum(path.hostile is not None for path in planned) / total < 0.06
    assert any(path.forked_at for path in planned)


@pytest.mark.slow
def test_bench_has_all_figures(capsys: pytest.CaptureFixture[str]) -> None:
    code = asyncio.run(bench.command(options()))
    record = json.loads(capsys.readouterr().out)
    assert (code, record["outputs"]["different"]) == (0, [])
    assert record["outputs"]["compared"] > 1000
    assert [figure["name"] for figure in record["figures"] if figure["value"] is None] == []
    barred = {figure["name"] for figure in record["figures"] if figure["bar"]}
    assert len(barred) == (12 if cores() > 1 else 11)
    assert all(figure["value"] > 0 for figure in record["figures"])


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_soak_finds_nothing_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(bench.command(options(soak=600, kill=True)))
    record = json.loads(capsys.readouterr().out)
    figures = {figure["name"]: figure["value"] for figure in record["figures"]}
    unmet = {figure["name"] for figure in record["figures"] if figure["met"] is False}
    assert record["wrong"] == []
    # What a busy machine may miss in so short a soak.
    assert unmet <= {"wait for a core, longest", "growth of the host", "growth of the sandbox at rest"}
    assert figures["honest checks"] + figures["hostile checks"] >= 600
    assert figures["hostile checks"] >= 20
    assert figures["kills of the warm process"] >= 1
    assert (figures["processes left"], figures["descriptors left"]) == (0, 0)


@pytest.mark.slow
def test_soak_finds_a_wrong_output() -> None:
    solution = SOLUTIONS[0]

    async def main() -> soak.Soak:
        seconds_and_printed = await plainly((solution,))
        run = soak.Soak([solution], Outputs([solution], [*seconds_and_printed[:2], (0.0, "something else")]))
        await run.run(30)
        return run

    run = asyncio.run(main())
    assert not run.clean
    assert run.tally.honest // 3 <= len(run.tally.wrong) <= run.tally.honest // 2
    assert {text.split(":")[0] for text in run.tally.wrong} == {"soak, orchard 3"}
