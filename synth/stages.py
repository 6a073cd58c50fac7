"""One stage: items in, records out, kept as they end, in the order of the items at last."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from genprm import records
from genprm.errors import ConfigError, EngineLost, MissingExtra, WriteError
from genprm.flight import cancelled
from genprm.progress import progress
from genprm.runs import Run
from genprm.synth.ledger import Recorded

Item = TypeVar("Item")
Record = TypeVar("Record")
_ENDS_ALL = (EngineLost, WriteError, ConfigError, MissingExtra)
"""What no other item would fare better with."""
_TURNS = 4
"""Of the loop, in which an item that was just begun gets as far as its first calls."""


@dataclass(frozen=True, slots=True)
class Done(Generic[Record]):
    """A line of a stage's ``results.jsonl``: the record of an item, or why there is none."""

    key: str
    record: Record | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Prices:
    """Of a million tokens, in any currency."""

    price_in: float = 0.0
    price_out: float = 0.0

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        return (prompt_tokens * self.price_in + completion_tokens * self.price_out) / 1e6


async def run_stage(
    what: str,
    items: Sequence[Item],
    work: Callable[[Item], Awaitable[Record]],
    run: Run,
    type_: type[Record],
    *,
    key: Callable[[Item], str],
    engine: Recorded | None = None,
    prices: Prices = Prices(),
    at_once: int = 256,
    retry_failed: bool = False,
) -> list[Done[Record]]:
    """The records of all items, in their order; what ``run`` holds is not worked on again.

    Items are begun while ``engine`` has room for calls, and no more than ``at_once``. One that breaks is recorded with
    its error and ends nothing. When all are done the lines of the file stand in the order of the items.

    Raises:
        EngineLost, WriteError, ConfigError, MissingExtra: no item can be worked on. What is done is kept.
    """
    kept = run.read(Done[type_])  # type: ignore[valid-type]
    done = {line.key: line for line in kept if not (retry_failed and line.error)}
    before = list(done)
    waiting = [item for item in items if key(item) not in done]
    n_done = len(items) - len(waiting)
    if n_done and waiting:
        print(f"going on in {run.folder}: {n_done} of {len(items)} are done", file=sys.stderr)
    with progress(what, len(items), n_done) as tick:
        async with aclosing(_worked(waiting, work, key, engine, at_once)) as ended:
            async for line in ended:
                run.append(line)
                done[line.key] = line
                tick(_note(engine, prices) if engine else "")
    ordered = [done[key(item)] for item in items]
    if [line.key for line in ordered] != before:
        run.rewrite(ordered)
    return ordered


def records_in(folder: Path, type_: type[Record]) -> list[Record]:
    """The records of a stage that is done, without those of items that failed."""
    lines: Iterator[Done[Record]] = records.read_lines(folder / "results.jsonl", Done[type_])  # type: ignore[valid-type]
    return [line.record for line in lines if line.record is not None]


def costs(engine: Recorded, prices: Prices) -> dict[str, float]:
    """What a ledger holds, for a report; ``tokens_per_s`` is of this process, and 0 where it generated nothing."""
    total = engine.total
    return {
        "calls": total.asked,
        "refused": total.failures["EngineRefused"],
        "prompt_tokens": total.prompt_tokens,
        "cached_tokens": total.cached_tokens,
        "completion_tokens": total.completion_tokens,
        "engine_s": round(total.engine_s, 3),
        "tokens_per_s": round(engine.tokens_per_s, 3),
        "money": round(prices.cost(total.prompt_tokens, total.completion_tokens), 6),
    }


def _note(engine: Recorded, prices: Prices) -> str:
    """What a stage has cost so far, in words."""
    total = engine.total
    money = prices.cost(total.prompt_tokens, total.completion_tokens)
    paid = f" · {money:.2f} paid" if prices != Prices() else ""
    return f"{total.asked} calls · {total.completion_tokens} tokens · {engine.tokens_per_s:.0f} tokens/s{paid}"


async def _worked(
    items: Sequence[Item],
    work: Callable[[Item], Awaitable[Record]],
    key: Callable[[Item], str],
    engine: Recorded | None,
    at_once: int,
) -> AsyncGenerator[Done[Record], None]:
    """Lines in the order in which they end."""
    waiting = iter(items)
    running: set[asyncio.Task[Done[Record]]] = set()
    changed = engine.changed if engine else asyncio.Event()
    exhausted = False
    try:
        while running or not exhausted:
            changed.clear()
            while not exhausted and len(running) < at_once and (not running or engine is None or engine.has_room):
                item = next(waiting, None)
                if item is None:
                    exhausted = True
                    break
                running.add(task := asyncio.create_task(_line(key(item), work, item)))
                task.add_done_callback(lambda _: changed.set())
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
            for task in [task for task in running if task.done()]:
                running.discard(task)
                line = task.result()
                if engine and engine.broken:  # which some who ask take for a failure of the item
                    raise engine.broken
                yield line
            if running and not changed.is_set():
                await changed.wait()
    finally:
        await cancelled(running)


async def _line(name: str, work: Callable[[Item], Awaitable[Record]], item: Item) -> Done[Record]:
    try:
        return Done(name, await work(item))
    except _ENDS_ALL:
        raise
    except Exception as error:  # recorded like any other failure, and the stage goes on
        return Done(name, None, f"{type(error).__name__}: {error}")
