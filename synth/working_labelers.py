"""The further labelers of a pipeline, opened: each with its engine around a ledger of its own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from genprm.api import require_spoken, require_started
from genprm.critic import Critic
from genprm.protocols import label, make_protocol
from genprm.sandbox import Sandbox
from genprm.seeds import seed_of
from genprm.synth.config import LabelersOf
from genprm.synth.labelers import Labeler
from genprm.synth.labelers.heuristics import Heuristics
from genprm.synth.labelers.judge import Judge
from genprm.synth.labelers.rollouts import Rollouts
from genprm.synth.labelers.search import TreeSearch
from genprm.synth.labelers.specs import Spec
from genprm.synth.ledger import Recorded
from genprm.synth.pipeline import Shop, prices_of, recorded
from genprm.synth.schemes import read_scheme
from genprm.synth.stage_items import completer_of
from genprm.synth.stages import Prices
from genprm.types import Method


@dataclass(frozen=True, slots=True)
class Working:
    """A labeler that can be asked."""

    name: str
    """As the pipeline's file has it."""
    labeler: Labeler
    ledger: Recorded | None
    prices: Prices


@asynccontextmanager
async def at_work(shop: Shop, folder: Path) -> AsyncIterator[list[Working]]:
    """All of them, closed at the end. Their calls are in ``folder``, ``calls-1.jsonl`` those of the first one."""
    labelers = shop.pipeline.labelers
    assert labelers is not None
    async with AsyncExitStack() as stack:
        yield [
            await _opened(stack, shop, labelers, spec, folder / f"calls-{place}.jsonl")
            for place, spec in enumerate(labelers.specs, 1)
        ]


async def _opened(stack: AsyncExitStack, shop: Shop, labelers: LabelersOf, spec: Spec, path: Path) -> Working:
    name = labelers.engine_name(spec)
    if not name:
        return Working(spec.name, await _alone(spec, shop.pipeline.seed), None, Prices())
    chosen = shop.pipeline.engine(name)
    ledger = await stack.enter_async_context(recorded(chosen, path, seams=spec.kind == "judge"))
    if spec.kind == "judge":
        sandbox = await stack.enter_async_context(Sandbox())
        await require_started(sandbox)
        labeler: Labeler = _judge(ledger, sandbox, shop.pipeline.seed)
    else:
        labeler = _completing(shop, labelers, spec, ledger)
    return Working(spec.name, labeler, ledger, prices_of(chosen))


async def _alone(spec: Spec, seed: int) -> Labeler:
    """Those that ask no engine."""
    if spec.kind == "heuristics":
        return Heuristics()
    from genprm.synth.labelers.dropout import Dropout

    return await Dropout.load(spec.of, seed=seed)


def _judge(engine: Recorded, sandbox: Sandbox, seed: int) -> Judge:
    """One rationale a step, by the protocol of the paper."""
    protocol = make_protocol("genprm")
    require_spoken(engine, protocol)
    method = Method(engine.name, label(protocol), seed=seed)
    return Judge(Critic(engine, sandbox, protocol, method, concurrency=engine.concurrency), raises=True)


def _completing(shop: Shop, labelers: LabelersOf, spec: Spec, engine: Recorded) -> Labeler:
    """Their labels are those that the values are for, ``settles``, and their completions others than those of the
    values: equal ones would agree by themselves."""
    values = labelers.values
    assert values is not None
    completer = completer_of(engine, shop.grader, values, seed_of(shop.pipeline.seed, spec.name))
    scheme = read_scheme(values.settles)
    if spec.kind == "tree":
        return TreeSearch(completer, scheme, int(spec.of))
    plan = labelers.plan(spec)
    return Rollouts(completer, plan, replace(scheme, chain=scheme.chain or plan.binary))
