"""The ledger of calls: nothing is asked twice, nothing is lost, and what is handed on does not hang on chance."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from genprm.engines.scripted import Rule, ScriptedEngine
from genprm.errors import EngineRefused, EngineUnavailable, InputError, PromptTooLong, WriteError
from genprm.synth.ledger import Recorded
from genprm.types import Completion, Message, Prompt, Sampling, Usage
from tests.full_disk import room_for

SAMPLING = Sampling(seed=1)


def prompt(text: str) -> Prompt:
    return Prompt((Message("user", text),))


class Slow(ScriptedEngine):
    """Counts calls in flight; fails as a server would; what it measures differs at every call."""

    def __init__(self) -> None:
        super().__init__([Rule(text="one two three")])
        self.flying = self.most = 0
        self.begun, self.ended = asyncio.Event(), asyncio.Event()

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        self.flying += 1
        self.begun.set()
        self.most = max(self.most, self.flying)
        try:
            await asyncio.sleep(0.01)
            if "refuse" in prompt.messages[-1].content:
                self.calls += 1
                raise EngineRefused("no", 400)
            if "long" in prompt.messages[-1].content:
                raise PromptTooLong("too long")
            if "away" in prompt.messages[-1].content:
                raise EngineUnavailable("away")
            said = await super().complete(prompt, sampling)
            return replace(said, seconds=self.calls, usage=said.usage + Usage(cached_tokens=self.calls))
        finally:
            self.flying -= 1
            self.ended.set()


def using(path: Path, engine: Any, use: Callable[[Recorded], Awaitable[Any]], concurrency: int = 4) -> Any:
    async def run() -> Any:
        ledger = Recorded(engine, path, concurrency)
        try:
            return await use(ledger)
        finally:
            await ledger.close()

    return asyncio.run(run())


def test_what_was_asked_once_is_answered_from_the_file(tmp_path: Path) -> None:
    engine = Slow()

    async def use(ledger: Recorded) -> tuple[list[Completion], int, bool]:
        said = [await ledger.complete(prompt(f"p {n}"), SAMPLING) for n in range(3)]
        return said, ledger.counts.asked, ledger.tokens_per_s > 0

    first = using(tmp_path / "calls.jsonl", engine, use)
    again = using(tmp_path / "calls.jsonl", engine, use)
    assert engine.calls == 3
    assert (first[1:], again[1:]) == ((3, True), (0, False))
    assert first[0] == again[0]
    assert first[0][0].seconds == first[0][0].usage.cached_tokens == 0


@pytest.mark.parametrize(
    ("other_prompt", "sampling"),
    [
        (prompt("q"), SAMPLING),
        (Prompt((Message("system", "p"),)), SAMPLING),
        (Prompt((Message("user", "p"),), "opening"), SAMPLING),
        (prompt("p"), replace(SAMPLING, seed=2)),
        (prompt("p"), replace(SAMPLING, temperature=0.1)),
        (prompt("p"), replace(SAMPLING, stop=("x",))),
    ],
)
def test_another_call_is_another(tmp_path: Path, other_prompt: Prompt, sampling: Sampling) -> None:
    engine = Slow()

    async def use(ledger: Recorded) -> None:
        await ledger.complete(prompt("p"), SAMPLING)
        await ledger.complete(other_prompt, sampling)

    using(tmp_path / "calls.jsonl", engine, use)
    assert engine.calls == 2


def test_another_engine_is_asked_anew(tmp_path: Path) -> None:
    engines = [ScriptedEngine([Rule(text=name)], name) for name in ("a", "b", "a")]
    said = [
        using(tmp_path / "calls.jsonl", engine, lambda ledger: ledger.complete(prompt("p"), SAMPLING)).text
        for engine in engines
    ]
    assert said == ["a", "b", "a"]
    assert [engine.calls for engine in engines] == [1, 1, 0]


def test_equal_calls_in_flight_share_one_and_few_fly_at_once(tmp_path: Path) -> None:
    engine = Slow()

    async def use(ledger: Recorded) -> int:
        await asyncio.gather(*(ledger.complete(prompt(f"p {n % 10}"), SAMPLING) for n in range(40)))
        return ledger.counts.asked

    assert using(tmp_path / "calls.jsonl", engine, use, concurrency=3) == 10
    assert engine.most == 3
    assert len((tmp_path / "calls.jsonl").read_text().splitlines()) == 10


def test_one_who_leaves_does_not_end_the_call_of_the_others(tmp_path: Path) -> None:
    engine = Slow()

    async def use(ledger: Recorded) -> str:
        tasks = [asyncio.create_task(ledger.complete(prompt("p"), SAMPLING)) for _ in range(2)]
        await engine.begun.wait()
        tasks[0].cancel()
        return (await tasks[1]).text

    assert using(tmp_path / "calls.jsonl", engine, use) == "one two three"


def test_one_who_leaves_alone_ends_the_call(tmp_path: Path) -> None:
    engine = Slow()

    async def use(ledger: Recorded) -> None:
        task = asyncio.create_task(ledger.complete(prompt("p"), SAMPLING))
        await engine.begun.wait()
        task.cancel()
        await engine.ended.wait()

    using(tmp_path / "calls.jsonl", engine, use)
    assert (engine.calls, engine.flying) == (0, 0)


def test_a_final_no_is_data_and_an_outage_is_not(tmp_path: Path) -> None:
    engine = Slow()

    async def use(ledger: Recorded) -> dict[str, int]:
        with pytest.raises(EngineRefused) as refused:
            await ledger.complete(prompt("refuse"), SAMPLING)
        assert (str(refused.value), refused.value.status) == ("no", 400)
        with pytest.raises(PromptTooLong):
            await ledger.complete(prompt("long"), SAMPLING)
        with pytest.raises(EngineUnavailable):
            await ledger.complete(prompt("away"), SAMPLING)
        return dict(ledger.counts.failures)

    assert using(tmp_path / "calls.jsonl", engine, use) == {
        "EngineRefused": 1,
        "PromptTooLong": 1,
        "EngineUnavailable": 1,
    }
    assert using(tmp_path / "calls.jsonl", engine, use) == {"EngineUnavailable": 1}
    assert engine.calls == 1


def test_a_torn_last_line_is_asked_again(tmp_path: Path) -> None:
    path, engine = tmp_path / "calls.jsonl", Slow()

    async def use(ledger: Recorded) -> list[str]:
        return [(await ledger.complete(prompt(f"p {n}"), SAMPLING)).text for n in range(3)]

    using(path, engine, use)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    using(path, engine, use)
    assert engine.calls == 4
    assert [json.loads(line)["key"] for line in path.read_bytes().splitlines()] == [
        json.loads(line)["key"] for line in whole.splitlines()
    ]


def test_a_line_that_is_no_entry_is_named(tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").write_text('{"key": "00"}\n{"kee": 1}\n')
    with pytest.raises(InputError, match=r"calls\.jsonl:2: .*key"):
        using(tmp_path / "calls.jsonl", Slow(), lambda ledger: ledger.close())


def test_a_call_needs_a_seed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a seed"):
        using(tmp_path / "calls.jsonl", Slow(), lambda ledger: ledger.complete(prompt("p"), Sampling()))


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"

    def run(room: int, engine: ScriptedEngine) -> None:
        async def main() -> None:
            ledger = Recorded(engine, path, 8)
            try:
                await asyncio.gather(*(ledger.complete(prompt(f"p {n}"), SAMPLING) for n in range(100)))
            finally:
                await ledger.close()

        with room_for(room):
            asyncio.run(main())

    first, second = (ScriptedEngine([Rule(text="word " * 50)]) for _ in range(2))
    with pytest.raises(WriteError) as full:
        run(5000, first)
    assert str(full.value) == f"{path} cannot be written: File too large; what was written before is kept"
    kept = path.read_bytes().splitlines(keepends=True)
    assert len(kept) > 5
    assert all(line.endswith(b"\n") and json.loads(line) for line in kept)
    assert first.calls <= len(kept) + 8  # no more is asked when the answers cannot be kept
    run(1 << 20, second)
    assert second.calls == 100 - len(kept)
