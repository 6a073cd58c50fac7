"""A critic over labelled rows, resumable: each critique goes into a run folder, and what a report needs of it is kept.

What that is says ``read``, so that no more than it stays in memory. One folder may hold critiques by several protocols.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TypeVar

from genprm.critic import Critic
from genprm.progress import progress
from genprm.runs import Run, key
from genprm.types import Critique, Solution

T = TypeVar("T")
Name = tuple[str, str]
"""What names a critique within a run: its protocol with its options, and its solution."""


async def judge_all(
    what: str,
    solutions: Sequence[Solution],
    critic: Critic,
    run: Run,
    read: Callable[[Critique], T],
    done: Mapping[Name, T] | None = None,
) -> list[T]:
    """Judge what is not ``done`` (by default what the run holds), and show progress under the name ``what``.

    What ``read`` makes of all critiques, in the order of ``solutions``. Every solution needs a label.
    """
    items = dict(finished(run, read) if done is None else done)
    names = [(critic.method.protocol, key(solution)) for solution in solutions]
    waiting = [solution for name, solution in zip(names, solutions, strict=True) if name not in items]
    n_done = len(solutions) - len(waiting)
    if n_done:
        print(f"going on in {run.folder}: {n_done} of {len(solutions)} rows are judged", file=sys.stderr)
    with progress(what, len(solutions), n_done) as tick:
        async with aclosing(critic.critique_many(waiting)) as critiques:
            async for critique in critiques:
                run.append(critique)
                items[_name(critique)] = read(critique)
                tick()
    return [items[name] for name in names]


def finished(run: Run, read: Callable[[Critique], T], *, retry_failed: bool = False) -> dict[Name, T]:
    """What the run holds already, by name; without what failed, where that is to be judged again."""
    items: dict[Name, T] = {}
    for critique in run.read(Critique):
        if retry_failed and critique.failed:
            items.pop(_name(critique), None)
        else:
            items[_name(critique)] = read(critique)
    return items


def _name(critique: Critique) -> Name:
    return critique.method.protocol, key(critique.solution)
