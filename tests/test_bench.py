"""The parts of ``genprm bench``: what they compute is checked against what is known otherwise."""

import argparse
import asyncio
import io
import json
import math
import re
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from genprm.critic import Critic
from genprm.engines.scripted import Rule, ScriptedEngine
from genprm.engines.templates import deepseek_r1
from genprm.errors import ConfigError
from genprm.eval.bench import scale
from genprm.eval.bench.batching import Batcher
from genprm.eval.bench.command import command
from genprm.eval.bench.latency import Device, Latency, Shape
from genprm.eval.bench.prefixes import BLOCK_CHARS, BLOCK_TOKENS, PrefixCache, tokens_of
from genprm.eval.bench.prose import WRONG_MARK, solutions
from genprm.eval.bench.replies import TOKENS_A_STEP, Author, logprobs_of
from genprm.eval.bench.report import Report, Row, number
from genprm.eval.bench.sequential import Sequential
from genprm.eval.bench.stopping import KINDS, rules, simulate
from genprm.eval.bench.versus import Pass, all_at_once, compared, one_by_one, same_verdicts, speedup
from genprm.protocols import Execute, Generate, GenPRMProtocol
from genprm.sandbox import Sandbox
from genprm.sandbox.result import Result
from genprm.sandbox.trials.figures import Figure
from genprm.synth.beta import wilson
from genprm.types import NO_ERROR, Completion, Method, Prompt, Rationale, Sampling, Token, Usage
from tests.rooms import room

FAST = Latency(Device(iteration_s=0.01, sequence_s=0.0, bandwidth=1e18, compute=1e24))
"""Ten milliseconds an iteration, whatever is in it."""


# --- text ----------------------------------------------------------------------------------------------------------


def test_only_the_marked_step_of_a_made_solution_is_wrong() -> None:
    made = solutions(200, 8, seed=3)
    assert made == solutions(200, 8, seed=3)
    assert made != solutions(200, 8, seed=4)
    for solution in made:
        assert len(solution.steps) == 8
        for number_, step in enumerate(solution.steps):
            left, sign, right, result = re.findall(r"(\d+) ([+-]) (\d+) = (\d+)", step)[0]
            is_true = int(result) == (int(left) + int(right) if sign == "+" else int(left) - int(right))
            assert is_true == (number_ != solution.first_error) == (not step.endswith(WRONG_MARK))
    assert 60 < sum(solution.first_error == NO_ERROR for solution in made) < 140


# --- the model of a GPU --------------------------------------------------------------------------------------------

LLAMA = Shape("Llama-3.1-8B", parameters=8.03e9, layers=32, heads=32, kv_heads=8, head_dim=128)
GH200 = Device("GH200", bandwidth=4.0e12, memory=96e9)
QWEN3 = Shape("Qwen3-8B", parameters=8.19e9, layers=36, heads=32, kv_heads=8, head_dim=128, weight_width=1)
A100 = Device("A100 80 GB", bandwidth=2.04e12, compute=312e12)


@pytest.mark.parametrize(
    ("device", "shape", "sequences", "context", "published"),
    [
        pytest.param(GH200, LLAMA, 1, 1500, 165.8, id="NIM, Llama 8B on GH200, 1 at once"),
        pytest.param(GH200, LLAMA, 100, 1500, 7590, id="NIM, Llama 8B on GH200, 100 at once"),
        pytest.param(A100, Shape(), 1, 1000, 84.28, id="vLLM 0.6.3, Qwen2.5-7B on A100"),
        pytest.param(A100, Shape(), 1, 31700, 70.33, id="vLLM 0.6.3, Qwen2.5-7B on A100, long context"),
        pytest.param(Device(), QWEN3, 52, 3072, 3653, id="Qwen3-8B fp8 on H100, 52 at once"),
        pytest.param(Device(), QWEN3, 472, 640, 15103, id="Qwen3-8B fp8 on H100, 472 at once"),
    ],
)
def test_the_latency_model_is_near_published_figures(
    device: Device, shape: Shape, sequences: int, context: int, published: float
) -> None:
    """Tokens a second; the model may be up to a quarter too fast, as it knows no other costs."""
    context *= sequences
    per_token = Latency(device, shape).seconds(sequences, sequences, context, context)
    assert 0.9 < sequences / per_token / published < 1.25


def test_small_batches_are_bound_by_memory_and_prompts_by_computation() -> None:
    latency = Latency()
    assert latency.shape.kv_bytes == 57344
    assert 900_000 < latency.cache_tokens < 1_100_000
    alone = latency.seconds(1, 1, 1000, 1000)
    assert alone == pytest.approx((15.24e9 + 57.3e6) / (0.8 * 3.35e12) + 1.02e-3, rel=0.01)
    assert latency.seconds(64, 64, 64000, 64000) < 2 * alone
    prompt = latency.seconds(1, 8000, 8000, 32_000_000)
    assert prompt == pytest.approx((2 * 7.62e9 * 8000 + 4 * 28 * 28 * 128 * 32e6) / 494.5e12 + 1.02e-3, rel=0.01)


def test_the_prefix_cache_knows_whole_blocks_from_the_beginning() -> None:
    cache = PrefixCache(1000)
    text = "".join(chr(97 + n % 26) for n in range(10 * BLOCK_CHARS + 20))
    assert cache.look_up(text) == 0
    cache.keep(text)
    assert cache.look_up(text) == 10 * BLOCK_TOKENS
    assert cache.look_up(text + "more") == 10 * BLOCK_TOKENS
    assert cache.look_up(text[: 3 * BLOCK_CHARS]) == 2 * BLOCK_TOKENS  # the last token has to be computed
    assert cache.look_up("x" + text) == 0
    assert cache.look_up(text[: 2 * BLOCK_CHARS] + "?" + text[2 * BLOCK_CHARS :]) == 2 * BLOCK_TOKENS
    assert cache.hits == 24 * BLOCK_TOKENS
    assert cache.queries == sum(map(tokens_of, (text, text, text + "more", text[: 3 * BLOCK_CHARS], "x" + text))) + (
        tokens_of(text + "?")
    )


def test_the_prefix_cache_forgets_what_was_not_used_for_longest() -> None:
    cache = PrefixCache(4 * BLOCK_TOKENS)
    first, second, third = (letter * (2 * BLOCK_CHARS) + "?" for letter in "abc")
    cache.keep(first)
    cache.keep(second)
    assert cache.look_up(first) == 2 * BLOCK_TOKENS
    cache.keep(third)
    assert (cache.look_up(second), cache.look_up(first), cache.look_up(third)) == (0, 32, 32)
    assert len(cache) == 4


@given(st.integers(0, 300), st.text("ab", max_size=80), st.text("ab", max_size=80))
def test_a_longest_common_prefix_is_found(common: int, kept: str, asked: str) -> None:
    kept, asked = "c" * common + kept, "c" * common + asked
    cache = PrefixCache(10_000)
    cache.keep(kept)
    same = next((n for n, (a, b) in enumerate(zip(kept, asked, strict=False)) if a != b), min(len(kept), len(asked)))
    blocks = min(same // BLOCK_CHARS, max(tokens_of(asked) - 1, 0) // BLOCK_TOKENS)
    assert cache.look_up(asked) == blocks * BLOCK_TOKENS


def batched(batcher: Batcher, *jobs: Any) -> list[Any]:
    async def main() -> list[Any]:
        running = asyncio.create_task(batcher.run())
        try:
            return await asyncio.gather(*(job(batcher) for job in jobs))
        finally:
            running.cancel()

    return asyncio.run(main())


def test_what_runs_together_takes_as_long_as_what_runs_alone() -> None:
    text = "word " * 7  # ten tokens
    batcher = Batcher(FAST)
    done = batched(batcher, *[lambda b, n=n: b.complete(f"{n} prompt", text) for n in range(20)])
    assert [(r.written, r.prompt_tokens) for r in done] == [(10, tokens_of("10 prompt"))] * 20
    assert batcher.counters.iterations == 10  # the first token comes with the prompt
    assert batcher.counters.busy_s == pytest.approx(0.1, rel=1e-4)
    assert batcher.counters.sequence_s == pytest.approx(2.0, rel=1e-4)
    assert batcher.counters.generation_tokens == 200


def test_sequences_beyond_the_limit_wait_for_their_turn() -> None:
    batcher = Batcher(FAST, max_sequences=2)
    batched(batcher, *[lambda b: b.complete("p", "0123456") for _ in range(6)])
    assert batcher.counters.iterations == 6
    assert batcher.counters.waiting_s == pytest.approx(0.01 * 2 * (4 + 2), rel=1e-4)


def test_a_long_prompt_is_computed_in_chunks_and_the_next_time_not_at_all() -> None:
    prompt = "".join(map(str, range(700)))[:1750]  # 500 tokens

    async def twice(batcher: Batcher) -> tuple[int, int]:
        await batcher.complete(prompt, "ab")
        iterations = batcher.counters.iterations
        return iterations, (await batcher.complete(prompt, "ab")).cached_tokens

    batcher = Batcher(FAST, max_batched_tokens=100)
    assert batched(batcher, twice) == [(5, 496)]
    assert (batcher.counters.iterations, batcher.cache.hits) == (6, 496)


def test_who_leaves_frees_a_place_at_once() -> None:
    async def leaving(batcher: Batcher) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(batcher.complete("p", "word " * 700), 0.05)

    batcher = Batcher(FAST, max_sequences=1)
    _, after = batched(batcher, leaving, lambda b: b.complete("q", "ab"))
    assert after.written == 1
    assert (batcher.counters.aborted, batcher.running, len(batcher.waiting)) == (1, [], 0)


def test_time_without_a_request_is_counted() -> None:
    async def twice(batcher: Batcher) -> float:
        began = time.perf_counter()
        await batcher.complete("p", "ab")
        await asyncio.sleep(0.1)
        await batcher.complete("q", "ab")
        await asyncio.sleep(0.05)
        batcher.settle()
        return time.perf_counter() - began

    batcher = Batcher(FAST)
    (took,) = batched(batcher, twice)
    assert 0.14 < batcher.counters.idle_s < took - 0.01
    assert batcher.counters.busy_s == pytest.approx(0.02, rel=1e-4)


# --- what the simulated server writes ------------------------------------------------------------------------------


def written(author: Author, step: str, seed: int) -> tuple[Rationale, int]:
    """One rationale by the real protocol, and the tokens that the author wrote."""
    (solution,) = solutions(1, 1)
    solution = type(solution)(solution.problem, (step,))
    talk = GenPRMProtocol().rationale(solution, 0, (), Sampling(seed=seed))
    request, tokens = next(talk), 0
    try:
        while True:
            if isinstance(request, Execute):
                compile(request.code, "check", "exec")
                request = talk.send(Result("ok", "Left side: 3\n"))
                continue
            assert isinstance(request, Generate)
            asked = request.sampling
            reply = author.write(deepseek_r1(request.prompt), asked.stop, asked.max_tokens, asked.seed)
            given = logprobs_of(reply, asked.logprobs, every=True)
            assert "".join(given["tokens"]) == reply.text
            tops = [dict(top) if isinstance(top, dict) else {} for top in given["top_logprobs"]]
            parts = zip(given["tokens"], given["token_logprobs"], tops, strict=True)
            tokens += tokens_of(reply.text)
            request = talk.send(
                Completion(reply.text, "stop", tuple(Token(*part) for part in parts), Usage(9, 0, 9, 1))
            )
    except StopIteration as end:
        return end.value, tokens


def test_simulated_rationales_are_whole_of_the_published_length_and_agree_as_often_as_told() -> None:
    author = Author(agreement=0.9)
    for step, is_right in (("Step 1: 2 + 2 = 4.", True), (f"Step 1: surely 2 + 2 = 5{WRONG_MARK}", False)):
        found = [written(author, step, seed) for seed in range(120)]
        assert {r.outcome for r, _ in found} == {"ok"}
        assert {round(r.p_yes or 0, 6) for r, _ in found} == {0.98, 0.02}
        assert 0.85 < sum(r.verdict == is_right for r, _ in found) / 120 < 0.95
        mean = sum(tokens for _, tokens in found) / 120
        assert TOKENS_A_STEP[0] < mean < TOKENS_A_STEP[1]
    assert written(author, "Step 1: 1 = 1.", 7)[0].text == written(author, "Step 1: 1 = 1.", 7)[0].text


def test_a_simulated_reply_keeps_to_its_budget() -> None:
    prompt = deepseek_r1(Prompt((), "<analyze>\nLet's analyze the Paragraph 1 step by step: "))
    reply = Author().write(prompt, ["</analyze>\n"], 10, 0)
    assert (reply.finish, reply.stop, tokens_of(reply.text)) == ("length", None, 10)
    forced = Author(agreement=1.0).write(
        "<｜User｜>2 = 2<analyze>…</analyze>\n<output>\n**Judgement**: $\\boxed", [], 20, 0
    )
    assert forced.text == "{Yes}$\n</output>\n"


# --- one by one, and all at once -----------------------------------------------------------------------------------


class Watched(ScriptedEngine):
    """Says how many calls were in flight at once, at most."""

    most = running = 0

    async def complete(self, prompt: Prompt, sampling: Sampling) -> Completion:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.002)
        try:
            return await super().complete(prompt, sampling)
        finally:
            self.running -= 1


def divided() -> Watched:
    end = "</verify>\n<output>\n**Judgement**: $\\boxed{{{}}}$\n</output>\n"
    return Watched(
        [
            Rule(when="[Code Output]", texts=(end.format("Yes"), end.format("No"))),
            Rule(when="```python\n", text="n = globals().get('n', 0) + 1\nprint(n)\n```\n"),
            Rule(text="a\n</analyze>\n"),
        ]
    )


@pytest.mark.slow
def test_one_by_one_comes_to_the_same_verdicts_with_one_call_at_a_time() -> None:
    made = solutions(3, 3)
    method = Method("scripted", "genprm", n=3)

    async def main(sandbox: Sandbox) -> tuple[Pass, Pass, int, int, list[str]]:
        fast_engine, slow_engine = divided(), divided()
        protocol = GenPRMProtocol()
        fast = await all_at_once(Critic(fast_engine, sandbox, protocol, method), made)
        slow = await one_by_one(slow_engine, sandbox, protocol, method, made, seconds=60)
        one = Sequential(divided(), sandbox, protocol, method)
        async with aclosing(one.steps(made[0])) as steps:
            printed = [r.checks[0].result.stdout async for step in steps for r in step.rationales]
        return fast, slow, fast_engine.most, slow_engine.most, printed

    fast, slow, most_fast, most_slow, printed = room().run(main)
    assert (fast.steps, fast.rationales, slow.steps, slow.rationales) == (9, 27, 9, 27)
    assert same_verdicts(fast, slow) == (9, 9)
    assert {True, False} <= set(slow.verdicts.values())
    assert (most_slow, most_fast > 4) == (1, True)
    assert printed == ["1\n"] * 3 + ["2\n"] * 3 + ["3\n"] * 3  # each sample has a session, which it keeps
    assert slow.usage.calls == fast.usage.calls == 81


@pytest.mark.slow
def test_one_by_one_ends_with_the_step_at_hand_when_its_time_is_up() -> None:
    async def main(sandbox: Sandbox) -> Pass:
        method = Method("scripted", "genprm")
        return await one_by_one(divided(), sandbox, GenPRMProtocol(), method, solutions(3, 3), seconds=0)

    assert room().run(main).steps == 1


def passed(steps: int, seconds: float, **counters: float) -> Pass:
    usage = Usage(100 * steps, 80 * steps, 10 * steps, steps, engine_s=2.0 * steps)
    return Pass(steps, 2 * steps, seconds, usage, counters=counters)


def test_the_comparison_gives_rates_by_the_step() -> None:
    fast = passed(100, 10.0, prefix_cache_queries=10_000.0, prefix_cache_hits=9_000.0)
    slow = passed(5, 10.0)
    assert speedup(fast, slow) == 20
    assert speedup(fast, Pass()) is None
    record = compared("t", {"at once": fast, "one by one": slow}, (), {}).record()
    figures = {row["name"]: row for row in record["figures"]}
    assert figures["steps a second"]["at once"] == 10
    assert figures["engine a step"]["one by one"] == 2
    assert figures["… of them cached"]["at once"] == 80
    cache = figures["prefix cache, by the engine's count"]
    assert (cache["at once"], cache["one by one"]) == (90, None)


# --- stopping, scale, report, command ------------------------------------------------------------------------------


def test_the_exact_rule_saves_the_binomial_expectation_and_changes_nothing() -> None:
    """On right steps it ends with the 4th yes or the 5th no, on wrong ones the same with the other probability."""

    def expected(p: float) -> float:
        used = sum(n * math.comb(n - 1, 3) * p**4 * (1 - p) ** (n - 4) for n in range(4, 9))
        return 1 - (used + sum(n * math.comb(n - 1, 4) * (1 - p) ** 5 * p ** (n - 5) for n in range(5, 9))) / 8

    for kind, p in (("right steps", 0.9), ("wrong steps", 0.1)):
        outcome = simulate(rules(8, 0.01)["exact"](), KINDS[kind], 20_000, 8)
        assert outcome.saved_share == pytest.approx(expected(p), abs=0.005)
        assert outcome.changed == 0


def test_an_unlearning_rule_keeps_its_prior_and_a_learning_one_does_not() -> None:
    saved = {
        name: simulate(rules(8, 0.01)[name](), KINDS["wrong steps"], 2_000, 8).saved_share
        for name in ("predictive, uniform", "predictive, learnt")
    }
    assert saved["predictive, learnt"] > saved["predictive, uniform"] + 0.2


@pytest.mark.parametrize(("count", "of", "low", "high"), [(0, 100, 0.0, 0.0370), (50, 100, 0.4038, 0.5962)])
def test_the_interval_is_wilsons(count: int, of: int, low: float, high: float) -> None:
    assert wilson(count, of) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.slow
def test_scale_counts_what_the_loop_costs_in_a_process_of_its_own() -> None:
    outcome = asyncio.run(scale.apart(scale.Case(40, 16)))
    assert (outcome.steps, outcome.calls) == (120, 480)
    assert 0 < outcome.cpu_ms < 5
    assert outcome.most_mb < 200


def shown(report: Report) -> str:
    out = io.StringIO()
    report.show(Console(file=out, width=80))
    return out.getvalue()


def test_a_report_is_plain_in_a_pipe_and_its_bars_are_told() -> None:
    bars = (Figure("fast", 3.0, "x", at_least=5), Figure("small", 1.0, at_most=2), Figure("unknown", None, at_least=1))
    report = Report("Title", ("a", "b"), (Row("rate", (1234.5, None), "1/s"),), bars, {"votes": 8})
    text = shown(report)
    assert "\x1b" not in text
    assert re.search(r"rate, 1/s +1,234 +-", text) or re.search(r"rate, 1/s +1,235 +-", text)
    assert re.search(r"fast +3 x +at least 5 +NOT met", text)
    assert "votes 8" in text
    assert not report.met
    record = report.record()
    assert record["figures"] == [{"name": "rate", "unit": "1/s", "a": 1234.5, "b": None}]
    assert record["how"]["machine"]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.0, "0"), (0.01234, "0.0123"), (99.96, "100"), (12345.6, "12,346")]
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_the_command_refuses_an_unknown_part() -> None:
    with pytest.raises(ConfigError, match="unknown part 'all'; there are loop, simulated, values, stopping, scale"):
        asyncio.run(command(argparse.Namespace(part="all")))


@pytest.mark.slow
def test_the_stopping_part_meets_its_bars_and_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    args = argparse.Namespace(part="stopping", json=True, n=8, seed=0, solutions=None, concurrency=None, plot=None)
    assert asyncio.run(command(args)) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["how"]["votes"] == 8
    assert all(bar["met"] for bar in record["bars"])
    bar: Sequence[str] = [bar["name"] for bar in record["bars"]]
    assert "exact: verdicts changed" in bar
