"""The tree of checks, in the real sandbox."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from genprm.checks import CheckTree
from genprm.sandbox import Sandbox
from tests.rooms import room

T = TypeVar("T")


def run(work: Callable[[CheckTree, Sandbox], Awaitable[T]]) -> T:
    async def main(sandbox: Sandbox) -> T:
        tree = CheckTree(sandbox)
        try:
            return await work(tree, sandbox)
        finally:
            await tree.close()

    return room().run(main, policy="off")


def n_run(sandbox: Sandbox) -> int:
    return sum(sandbox.stats.checks.values())


def test_the_same_code_in_the_same_state_runs_once() -> None:
    async def work(tree: CheckTree, sandbox: Sandbox) -> None:
        places = [tree.start() for _ in range(5)]
        first = await asyncio.gather(*(place.run("x = 41\nprint(x)") for place in places))
        assert [result.stdout for result, _ in first] == ["41\n"] * 5
        assert sorted(reused for _, reused in first) == [False, True, True, True, True]
        second = await asyncio.gather(*(place.run("x += 1\nprint(x)") for place in places))
        assert [result.stdout for result, _ in second] == ["42\n"] * 5
        assert n_run(sandbox) == 2

    run(work)


@pytest.mark.slow
def test_the_same_code_in_another_state_runs_again() -> None:
    async def work(tree: CheckTree, sandbox: Sandbox) -> None:
        one, two = tree.start(), tree.start()
        await one.run("x = 1")
        await two.run("x = 2")
        assert [(await place.run("print(x)"))[0].stdout for place in (one, two)] == ["1\n", "2\n"]
        assert n_run(sandbox) == 4

    run(work)


def test_where_two_part_neither_sees_the_other() -> None:
    async def work(tree: CheckTree, sandbox: Sandbox) -> None:
        places = [tree.start() for _ in range(3)]
        for place in places:
            await place.run("log = ['shared']")
        for n, place in enumerate(places):
            await place.run(f"log.append({n})")
        seen = [(await place.run("print(log)"))[0] for place in places]
        assert [result.stdout for result in seen] == [f"['shared', {n}]\n" for n in range(3)]

    run(work)


@pytest.mark.slow
def test_one_that_comes_late_to_a_state_that_has_moved_on_finds_it_all_the_same() -> None:
    async def work(tree: CheckTree, sandbox: Sandbox) -> None:
        early, late = tree.start(), tree.start()
        await early.run("x = 5")
        await early.run("x *= 2")
        assert (await late.run("x = 5"))[1]
        result, reused = await late.run("print(x + 1)")
        assert (result.stdout, reused) == ("6\n", False)

    run(work)


@pytest.mark.slow
def test_a_fork_goes_on_from_what_was_run() -> None:
    async def work(tree: CheckTree, sandbox: Sandbox) -> None:
        first = tree.start()
        await first.run("x = 1")
        forks = [tree.at(first.state) for _ in range(3)]
        for n, place in enumerate(forks):
            assert (await place.run(f"x += {n}\nprint(x)"))[0].stdout == f"{n + 1}\n"
        assert (await first.run("print(x)"))[0].stdout == "1\n"

    run(work)


@pytest.mark.slow
def test_who_is_cancelled_does_not_take_the_result_from_the_others() -> None:
    async def work(tree: CheckTree, sandbox: Sandbox) -> None:
        one, two = tree.start(), tree.start()
        slow = "import time\ntime.sleep(0.3)\nprint('done')"
        first = asyncio.create_task(one.run(slow))
        second = asyncio.create_task(two.run(slow))
        await asyncio.sleep(0.1)
        first.cancel()
        assert (await second)[0].stdout == "done\n"
        assert first.cancelled()

    run(work)


@pytest.mark.slow
def test_failures_are_shared_too_and_the_state_before_them_stays() -> None:
    async def work(tree: CheckTree, sandbox: Sandbox) -> None:
        one, two = tree.start(), tree.start()
        for place in (one, two):
            await place.run("x = 7")
            result, _ = await place.run("1 / 0")
            assert (result.status, result.error) == ("error", "ZeroDivisionError: division by zero")
        assert (await two.run("print(x)"))[0].stdout == "7\n"
        assert n_run(sandbox) == 3

    run(work)


def test_those_who_part_in_the_same_moment_all_keep_what_was_run() -> None:
    """Only the last one takes the process itself; had the first taken it, the others would have to run it all again."""

    async def work(tree: CheckTree, sandbox: Sandbox) -> None:
        places = [tree.start() for _ in range(4)]
        for place in places:
            await place.run("x = 8")
        parted = await asyncio.gather(*(place.run(f"print(x + {n})") for n, place in enumerate(places)))
        assert [result.stdout for result, _ in parted] == ["8\n", "9\n", "10\n", "11\n"]
        assert all(not {"replayed", "state_lost"} & set(result.flags) for result, _ in parted)

    run(work)


def test_a_place_that_is_left_gives_its_process_back_and_can_be_come_back_to() -> None:
    async def work(tree: CheckTree, sandbox: Sandbox) -> None:
        place = tree.start()
        await place.run("x = 3")
        state = place.state
        place.leave()
        assert state.session is None
        assert (await tree.at(state).run("print(x)"))[0].stdout == "3\n"

    run(work)
