"""The scripted engine is a shipped feature: it must behave as a real engine does."""

import asyncio
import math
from pathlib import Path

import pytest

from genprm.engines import open_engine
from genprm.engines.scripted import Rule, ScriptedEngine
from genprm.errors import ConfigError, EngineUnavailable, InputError
from genprm.types import Completion, Message, Prompt, Sampling

PROMPT = Prompt((Message("user", "step two"),), "<analyze>\n")


def ask(*rules: Rule, prompt: Prompt = PROMPT, sampling: Sampling | None = None) -> Completion:
    return asyncio.run(ScriptedEngine(rules).complete(prompt, sampling or Sampling()))


def test_the_first_rule_that_fits_answers() -> None:
    rules = (Rule("a", when="step one"), Rule("b", when="<analyze>"), Rule("c"))
    assert ask(*rules).text == "b"
    with pytest.raises(EngineUnavailable, match="no rule fits"):
        ask(Rule("a", when="step one"))


def test_it_stops_at_stop_strings_and_budgets() -> None:
    done = ask(Rule("one two\nend\nmore"), sampling=Sampling(stop=("end\n", "more")))
    assert (done.text, done.finish) == ("one two\nend\n", "stop")
    done = ask(Rule("one two three"), sampling=Sampling(max_tokens=2))
    assert (done.text, done.finish, done.usage.completion_tokens) == ("one two", "length", 2)


def test_the_seed_chooses_among_texts() -> None:
    rule = Rule(texts=("a", "b", "c"))
    assert [ask(rule, sampling=Sampling(seed=seed)).text for seed in (0, 1, 2, 3)] == ["a", "b", "c", "a"]


def test_log_probabilities() -> None:
    done = ask(Rule("\\boxed{Yes}", p_yes=0.25), sampling=Sampling(logprobs=5))
    assert "".join(token.text for token in done.tokens) == done.text
    verdict = next(token for token in done.tokens if token.text == "Yes")
    assert math.exp(verdict.top["No"]) == pytest.approx(0.75)
    assert ask(Rule("\\boxed{Yes}", p_yes=0.25)).tokens == ()


def test_a_script_is_a_file(tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"text": "hello"}\n\n{"when": 5}\n')

    async def name(spec: str) -> str:
        async with open_engine(spec) as engine:
            return engine.name

    with pytest.raises(InputError, match=r"script\.jsonl:3, field when: Expected `str`"):
        asyncio.run(name(f"scripted:{script}"))
    script.write_text('{"text": "hello"}\n')
    first = asyncio.run(name(f"scripted:{script}"))
    assert first.startswith(f"scripted:{script}#")
    script.write_text('{"text": "hello\u2028there"}\n')
    assert asyncio.run(name(f"scripted:{script}")) != first  # the answers are part of the name
    for content, said in (("", "no rules"), ('{"txt": "a"}', "unknown field `txt`"), ('{"p_yes": 7}', "p_yes")):
        script.write_text(content)
        with pytest.raises(InputError, match=said):
            asyncio.run(name(f"scripted:{script}"))
    with pytest.raises(InputError, match="no script can be read"):
        asyncio.run(name("scripted:/nowhere"))
    with pytest.raises(ConfigError, match="unknown engine 'gpt'"):
        asyncio.run(name("gpt"))


def test_it_may_think_and_answers_chat_turns() -> None:
    turn = Prompt((Message("system", "s"), Message("user", "Is it right?")))
    done = ask(Rule("no"), prompt=turn)
    assert (done.text, done.reasoning) == ("no", "")
    done = ask(Rule("yes", when="right?", reasoning="hm"), prompt=turn)
    assert (done.text, done.reasoning, done.usage.prompt_tokens) == ("yes", "hm", 3)
