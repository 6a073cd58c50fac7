"""The light engine, on random weights: what it computes, what it keeps, and which folders it takes."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from threadpoolctl import threadpool_info, threadpool_limits

from genprm.engines import nano_model, open_engine
from genprm.engines.nano import NanoEngine
from genprm.engines.nano_config import read_config, read_tensors
from genprm.engines.nano_model import PASS, Llama
from genprm.engines.sampling import Shortlist
from genprm.engines.templates import CHATML
from genprm.errors import ConfigError, EngineUnavailable, PromptTooLong
from genprm.types import Message, Prompt, Sampling
from tests.nano_models import logprobs, make_nano

T = TypeVar("T")
GREEDY = Sampling(temperature=0.0, max_tokens=20)
FREE = Sampling(temperature=1.0, top_p=1.0, top_k=0, max_tokens=20)
PROMPT = Prompt((Message("system", "You are a teacher."), Message("user", "What is 2 + 3?")), "<analyze>\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_nano(tmp_path_factory.mktemp("models") / "nano")


def loaded(folder: Path) -> Llama:
    config = read_config(folder)
    return Llama(config, read_tensors(folder, config), config.max_position_embeddings)


def with_engine(folder: Path, work: Callable[[NanoEngine], Awaitable[T]], **options: Any) -> T:
    async def run() -> T:
        engine = await NanoEngine.load(str(folder), **options)
        try:
            return await work(engine)
        finally:
            await engine.close()

    return asyncio.run(run())


def all_logprobs(found: Shortlist) -> NDArray[np.float64]:
    """[rows, vocabulary], in the order of ids."""
    logprobs = np.asarray(found.logits - found.total[:, None], np.float64)
    in_order: NDArray[np.float64] = np.take_along_axis(logprobs, found.ids.argsort(-1), -1)
    return in_order


def expected(folder: Path, ids: list[int]) -> NDArray[np.float64]:
    config = read_config(folder)
    last: NDArray[np.float64] = logprobs(config, read_tensors(folder, config), ids)[-1]
    return last


def text_of(n: int, seed: int = 0) -> list[int]:
    ids: list[int] = np.random.default_rng(seed).integers(0, 250, n).tolist()
    return ids


@pytest.mark.parametrize("blocks", [True, False], ids=["blocks", "whole"])
def test_it_computes_what_a_llama_is(folder: Path, blocks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nano_model, "_likes_blocks", lambda: blocks)
    texts = [text_of(n, n) for n in (1, 2, 7, PASS - 1, PASS, PASS + 1, 3 * PASS + 5)]
    found = all_logprobs(loaded(folder).batch([None] * len(texts), [0] * len(texts)).read(texts, None))
    for row, text in zip(found, texts, strict=True):
        assert row == pytest.approx(expected(folder, text), abs=1e-4)


@pytest.mark.parametrize(
    "config",
    [
        {"tie_word_embeddings": False},
        {"num_key_value_heads": 4, "head_dim": 12},
        {"num_key_value_heads": 1, "num_hidden_layers": 1},
        {"rope_parameters": None, "rope_theta": 500.0},
        {"rms_norm_eps": 0.1},
    ],
    ids=str,
)
def test_what_the_configuration_says_counts(tmp_path: Path, config: dict[str, object]) -> None:
    folder, text = make_nano(tmp_path, config=config), text_of(30)
    (found,) = all_logprobs(loaded(folder).batch([None], [0]).read([text], None))
    assert found == pytest.approx(expected(folder, text), abs=1e-4)


def test_float16_weights_are_the_same_numbers(tmp_path: Path) -> None:
    folder = make_nano(tmp_path, "float16")
    config, stored = read_config(folder), load_file(folder / "model.safetensors")
    tensors = read_tensors(folder, config)
    for name, tensor in stored.items():
        assert (str(tensor.dtype), str(tensors[name].dtype)) == ("float16", "float32")
        assert np.array_equal(tensor, tensors[name])


def test_the_likeliest_come_first_and_the_rest_counts_all_the_same(folder: Path) -> None:
    text = text_of(9)
    model = loaded(folder)
    whole, few = (model.batch([None], [0]).read([text], most) for most in (None, 5))
    assert few.ids.shape == (1, 5)
    assert few.logits == pytest.approx(whole.logits[:, :5])
    assert few.total == pytest.approx(whole.total)
    assert list(whole.logits[0]) == sorted(whole.logits[0], reverse=True)
    assert sorted(whole.ids[0]) == list(range(model.config.vocab_size))


def test_logits_that_are_no_numbers_have_no_total() -> None:
    logits = np.zeros((4, 6), np.float32)
    logits[0, 2], logits[1, 2], logits[2], logits[3, 2] = np.nan, np.inf, -np.inf, -np.inf
    assert np.isfinite(nano_model.shortlist(logits, 3).total).tolist() == [False, False, False, True]


def test_reading_on_is_reading_at_once_in_any_company(folder: Path) -> None:
    model = loaded(folder)
    texts = [text_of(n, n) for n in (3, 50, 101)]
    batch = model.batch([None] * 3, [0] * 3)
    batch.read([text[:2] for text in texts], None)
    batch.read([text[2 : len(text) // 2 + 1] for text in texts], None)
    found = all_logprobs(batch.read([text[len(text) // 2 + 1 :] for text in texts], None))
    for row, text in zip(found, texts, strict=True):
        assert row == pytest.approx(expected(folder, text), abs=1e-4)


def test_who_goes_on_from_a_row_changes_it_for_nobody(folder: Path) -> None:
    """The first writes on where the row is, the others in memories of their own, all from the same beginning."""
    model, text = loaded(folder), text_of(60)
    batch = model.batch([None], [0])
    batch.read([text], None)
    row = batch.row(0)
    endings = [text_of(5, seed) for seed in (1, 2, 3)]
    branches = [model.batch([row, row], [60, 40]) for _ in endings]
    for branch, ending in zip(branches, endings, strict=True):
        branch.read([ending, ending], None)
    for branch, ending in zip(branches, endings, strict=True):
        both = all_logprobs(branch.read([[7], [7]], None))
        assert both[0] == pytest.approx(expected(folder, [*text, *ending, 7]), abs=1e-4)
        assert both[1] == pytest.approx(expected(folder, [*text[:40], *ending, 7]), abs=1e-4)
    assert branches[0].row(0).memory is row.memory, "going on takes no copy"
    assert branches[1].row(0).memory is not row.memory


def test_a_long_text_moves_to_a_larger_memory_now_and_then(folder: Path) -> None:
    model, text = loaded(folder), text_of(400)
    batch = model.batch([None], [0])
    memories = set()
    for token in text:
        found = batch.read([[token]], None)
        memories.add(id(batch.row(0).memory.keys))
    assert len(memories) < 4
    assert all_logprobs(found)[0] == pytest.approx(expected(folder, text), abs=1e-4)


def test_greedy_text_follows_the_largest_logits(folder: Path) -> None:
    async def work(engine: NanoEngine) -> None:
        done = await engine.complete(PROMPT, replace(GREEDY, logprobs=3))
        assert done.seam is not None
        ids = list(done.seam.ids)
        n = done.usage.prompt_tokens
        assert len(done.tokens) == done.usage.completion_tokens > 3
        for at in range(n, len(ids)):
            after = expected(folder, ids[:at])
            assert ids[at] == after.argmax()
            assert done.tokens[at - n].logprob == pytest.approx(after.max(), abs=1e-4)

    with_engine(folder, work)


def test_seeds_stops_seams_and_the_window(folder: Path) -> None:
    async def work(engine: NanoEngine) -> None:
        asked = [replace(FREE, seed=n) for n in range(6)]
        alone = [await engine.complete(PROMPT, one) for one in asked]
        together = await asyncio.gather(*(engine.complete(PROMPT, one) for one in asked))
        assert [one.text for one in alone] == [one.text for one in together]
        assert len({one.text for one in alone}) == 6
        n = alone[0].usage.prompt_tokens
        assert alone[1].usage.cached_tokens == n - 1

        first = max(alone, key=lambda one: len(one.text))
        stop = first.text[3:6]
        sampling = replace(asked[alone.index(first)], stop=(stop,))
        cut = await engine.complete(PROMPT, sampling)
        assert cut.text == first.text[: first.text.index(stop) + len(stop)]

        again = replace(PROMPT, opening=PROMPT.opening + first.text, seam=first.seam)
        on = await engine.complete(again, GREEDY)
        assert on.usage.cached_tokens >= n + len(first.text) // 8  # what is no whole character is read again
        with pytest.raises(PromptTooLong, match="window of 100"):
            await engine.complete(PROMPT, replace(FREE, max_tokens=101 - n))

    with_engine(folder, work, max_model_len=100)


def threads() -> set[int]:
    return {int(one["num_threads"]) for one in threadpool_info() if one["user_api"] == "blas"}


def test_matrix_products_take_one_thread_while_it_is_open(folder: Path) -> None:
    async def work(_: NanoEngine) -> set[int]:
        return threads()

    with threadpool_limits(2, "blas"):
        assert with_engine(folder, work) == {1}
        assert threads() == {2}


def test_two_engines_share_the_limit_of_threads(folder: Path) -> None:
    """Whichever is closed first, it holds until the last one is, and then is as it was before."""

    async def run(last: int) -> list[set[int]]:
        engines = [await NanoEngine.load(str(folder)) for _ in range(2)]
        found = [threads()]
        for engine in (engines[1 - last], engines[1 - last], engines[last]):
            await engine.close()
            found.append(threads())
        return found

    with threadpool_limits(2, "blas"):
        for last in (0, 1):
            assert asyncio.run(run(last)) == [{1}, {1}, {1}, {2}]


def test_closing_twice_is_safe(folder: Path) -> None:
    async def work(engine: NanoEngine) -> None:
        await engine.close()
        with pytest.raises(EngineUnavailable, match="closed"):
            await engine.complete(PROMPT, GREEDY)

    with_engine(folder, work)


def test_it_needs_none_of_the_heavy_packages(folder: Path) -> None:
    code = """
import asyncio, sys
for name in ("torch", "transformers", "tokenizers", "huggingface_hub", "jinja2"):
    sys.modules[name] = None
from genprm.engines import open_engine
from genprm.types import Message, Prompt, Sampling
async def run():
    async with open_engine(sys.argv[1]) as engine:
        done = await engine.complete(Prompt((Message("user", "q"),), "a"), Sampling(seed=1, max_tokens=5))
        print(engine.name == sys.argv[1], done.usage.completion_tokens > 0)
asyncio.run(run())
"""
    ran = subprocess.run([sys.executable, "-c", code, f"nano:{folder}"], capture_output=True, text=True, check=True)
    assert ran.stdout == "True True\n"


def opened(spec: str, template: str | None = None, **options: str) -> str:
    async def run() -> str:
        async with open_engine(spec, template=template, options=options) as engine:
            return engine.name

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cpu"}, "has no option 'device'; there are cache_tokens, max_batch, max_model_len"),
        ({"max_batch": "0"}, "max_batch and max_model_len are at least 1"),
        ({"max_model_len": "-1"}, "max_batch and max_model_len are at least 1"),
    ],
)
def test_options_that_do_not_fit(folder: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        opened(f"nano:{folder}", **options)


def changed(name: str, change: dict[str, object]) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        fields = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(fields | change))

    return do


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def torn(name: str) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) // 2])

    return do


def tensors(change: Callable[[dict[str, NDArray[Any]]], object]) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        stored = load_file(folder / "model.safetensors")
        change(stored)
        save_file(stored, folder / "model.safetensors")

    return do


DAMAGE = {
    "no config": (without("config.json"), r"config\.json: No such file"),
    "torn config": (torn("config.json"), r"config\.json: this is no configuration of a plain Llama"),
    "another model": (changed("config.json", {"model_type": "qwen2"}), "Invalid enum value 'qwen2'.*model_type"),
    "stretched": (changed("config.json", {"rope_scaling": {"type": "linear"}}), "rope_scaling"),
    "stretched anew": (changed("config.json", {"rope_parameters": {"rope_type": "yarn"}}), "rope_type"),
    "biases": (changed("config.json", {"attention_bias": True}), "it has biases"),
    "no layers": (changed("config.json", {"num_hidden_layers": 0}), "num_hidden_layers"),
    "odd heads": (changed("config.json", {"head_dim": 15}), "of an odd size"),
    "heads": (changed("config.json", {"num_key_value_heads": 3}), "no multiple of the key-value heads"),
    "a huge vocabulary": (changed("config.json", {"vocab_size": 10**12}), r"embed_tokens\.weight has shape"),
    "no weights": (without("model.safetensors"), r"model\.safetensors: No such file"),
    "torn weights": (torn("model.safetensors"), r"model\.safetensors: this is no file of weights"),
    "a tensor short": (tensors(lambda t: t.pop("model.norm.weight")), r"there is no tensor model\.norm\.weight"),
    "another shape": (
        tensors(lambda t: t.update({"model.norm.weight": np.zeros(5, np.float32)})),
        r"model\.norm\.weight has shape \(5,\), config\.json says \(48,\)",
    ),
    "whole numbers": (
        tensors(lambda t: t.update({"model.norm.weight": np.zeros(48, np.int8)})),
        r"model\.norm\.weight is of int8",
    ),
    "no tokenizer": (without("tokenizer.json"), r"tokenizer\.json: No such file"),
    "torn settings": (torn("tokenizer_config.json"), r"tokenizer_config\.json: "),
    "no template": (
        changed("tokenizer_config.json", {"chat_template": None}),
        "no chat template that is followed",
    ),
    "another template": (changed("tokenizer_config.json", {"chat_template": "[INST]"}), "no chat template that is"),
    "one like ChatML": (
        changed("tokenizer_config.json", {"chat_template": "<|im_start|>system\nYou are Qwen.<|im_end|>\n" + CHATML}),
        "no chat template that is followed here; say --template, one of deepseek-r1, chatml",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_folders_that_are_not_taken_say_why(tmp_path: Path, what: str) -> None:
    damage, message = DAMAGE[what]
    folder = make_nano(tmp_path)
    damage(folder)
    with pytest.raises(ConfigError, match=message):
        opened(f"nano:{folder}")


def test_names_of_shipped_models_hide_no_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="nano:nano: there is no folder nano"):
        opened("nano:nano")
    for name in ("nano", "policy"):
        (tmp_path / name).symlink_to(folder)
    assert opened("nano") == "nano"
    assert opened("nano:nano", max_model_len="64") == "nano:nano"
    assert opened("nano:./policy") == "nano:./policy"
    with pytest.raises(ConfigError, match=r"a folder policy here, too; that one is nano:\./policy"):
        opened("nano:policy")


@pytest.mark.parametrize("known", [{}, {"AVX512_SKX": False}, {"X86_V4": True}, {"AVX512_SKX": True}, None], ids=str)
def test_what_numpy_does_not_tell_is_no_error(known: dict[str, bool] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "_core", SimpleNamespace(_multiarray_umath=SimpleNamespace(__cpu_features__=known or {})))
    if known is None:
        monkeypatch.delattr(np, "_core")
    assert nano_model._likes_blocks() is any((known or {}).values())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nano:.*nowhere: there is no folder .*nowhere"):
        opened(f"nano:{tmp_path / 'nowhere'}")


def test_another_template_can_be_named(tmp_path: Path) -> None:
    folder = make_nano(tmp_path)
    changed("tokenizer_config.json", {"chat_template": None})(folder)
    assert opened(f"nano:{folder}", "deepseek-r1") == f"nano:{folder}"


@pytest.mark.parametrize("stops", [5, [5, 6], None])
def test_ids_that_end_a_text(tmp_path: Path, stops: object) -> None:
    """Those of ``generation_config.json``, beside the tokenizer's own."""
    folder = make_nano(tmp_path)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": stops}))

    async def work(engine: NanoEngine) -> frozenset[int | None]:
        return frozenset(engine._batcher._ends)

    listed = stops if isinstance(stops, list) else [stops]
    assert with_engine(folder, work) == {0, *listed} - {None}
