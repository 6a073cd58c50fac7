"""Engines by their name, and their options as words."""

import asyncio
import sys
from typing import Literal

import pytest

from genprm.engines import open_engine
from genprm.engines.openai import OpenAIEngine
from genprm.engines.options import keywords
from genprm.errors import ConfigError, MissingExtra
from tests.server import models, serving


def opened(spec: str, template: str | None = None, **options: str) -> str:
    async def run() -> str:
        async with open_engine(spec, template=template, options=options) as engine:
            return engine.name

    return asyncio.run(run())


def typed(
    *, n: int = 1, share: float = 0.5, fast: bool = False, kind: Literal["a", "b"] = "a", own: int = 0
) -> None: ...


def test_words_become_what_a_function_asks_for() -> None:
    words = {"n": "3", "share": "0.25", "fast": "true", "kind": "b"}
    assert keywords(typed, words, "it") == {"n": 3, "share": 0.25, "fast": True, "kind": "b"}
    assert keywords(typed, {}, "it") == {}


@pytest.mark.parametrize(
    ("name", "word", "message"),
    [
        ("n", "three", "engine it: option n='three': "),
        ("n", "2.5", "option n='2.5'"),
        ("fast", "maybe", "option fast='maybe'"),
        ("kind", "c", "option kind='c'"),
        ("shard", "1", "engine it: has no option 'shard'; near it: share"),
        ("zzz", "1", "has no option 'zzz'; there are fast, kind, n, share"),
        ("own", "1", "has no option 'own'"),
    ],
)
def test_words_that_do_not_fit(name: str, word: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        keywords(typed, {name: word}, "it", reserved=("own",))
    assert message in str(caught.value)


def test_the_client_takes_its_options() -> None:
    async def run(url: str) -> OpenAIEngine:
        async with open_engine(url, options={"timeout-s": "7.5", "patience_s": "1"}) as engine:
            assert isinstance(engine, OpenAIEngine)
            return engine

    with serving(lambda path, body, headers: models("one")) as url:
        assert asyncio.run(run(url))._timeout_s == 7.5
        with pytest.raises(ConfigError, match="engine http: has no option 'api_key'"):
            opened(url, api_key="secret")


@pytest.mark.parametrize("spec", ["symbolic", "scripted:nowhere.jsonl"])
def test_engines_without_options_refuse_them(spec: str) -> None:
    with pytest.raises(ConfigError, match="takes no --template and no options"):
        opened(spec, speed="high")
    with pytest.raises(ConfigError, match="takes no --template and no options"):
        opened(spec, template="chatml")


@pytest.mark.parametrize("spec", ["vllm:", "hf:", "vlm:model", "vllm"])
def test_names_that_are_none(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown engine .* there are .*symbolic, .*vllm:MODEL, hf:MODEL"):
        opened(spec)


@pytest.mark.parametrize(("spec", "package"), [("vllm:x", "vllm"), ("hf:x", "torch"), ("hf:x", "transformers")])
def test_a_missing_package_names_its_extra(spec: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "torch" if package == "transformers" else "sys", sys)  # there, whatever it is
    extra = spec.partition(":")[0]
    with pytest.raises(MissingExtra) as caught:
        opened(spec)
    assert str(caught.value) == f"engine {spec} needs {package}: pip install 'genprm[{extra}]'"
