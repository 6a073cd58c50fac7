"""Many calls in flight, of which none is left behind."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def cancelled(tasks: "Iterable[asyncio.Future[Any]]") -> None:
    """Cancel, and wait until all of them have given back what they held."""
    for task in (tasks := list(tasks)):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def together(work: Iterable[Awaitable[T]]) -> list[T]:
    """All at once. Where one fails, or this is cancelled, none is left behind."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await cancelled(tasks)


async def in_order(work: Iterable[Awaitable[T]]) -> AsyncGenerator[T, None]:
    """All at once, their results in the order of ``work``."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        for task in tasks:
            yield await task
    finally:
        await cancelled(tasks)


async def as_they_end(work: Iterable[Awaitable[T]]) -> AsyncGenerator[T, None]:
    """All at once, their results as they come."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        for task in asyncio.as_completed(tasks):
            yield await task
    finally:
        await cancelled(tasks)
