"""A new model copies before it has learnt anything."""

import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")
pytest.importorskip("transformers", reason="the extra train is not installed")

from genprm.training.new import new_model, shape_named  # noqa: E402

pytestmark = pytest.mark.slow

WORDS = [
    f"{a}{b}" for a in ("ka", "lo", "mi", "nu", "re", "so", "ta", "vi") for b in ("ben", "dor", "fis", "gal", "hum")
]


def share_copied(shape: str) -> float:
    """Of the second half of a text that says the same twice, how much a new model predicts. What it has just read it
    predicts too, for want of a better idea; that is left aside."""
    model, tokenizer = new_model(shape_named(shape), [" ".join(WORDS)] * 400, seed=0)
    chance = torch.Generator().manual_seed(1)
    sentence, between = (torch.randint(len(tokenizer), (8, n), generator=chance) for n in (60, 150))
    text = torch.cat([sentence, between, sentence], 1)
    with torch.no_grad():
        said = model(text).logits.scatter(2, text.unsqueeze(2), float("-inf")).argmax(-1)
    return float((said[:, -58:-1] == sentence[:, 3:]).float().mean())


@pytest.mark.parametrize("shape", ["nano", "small", "mini", "micro", "nano,heads=8,kv_heads=8,layers=2"])
def test_a_new_model_repeats_what_it_has_read(shape: str) -> None:
    assert share_copied(shape) > 0.5


def test_one_layer_cannot() -> None:
    assert share_copied("nano,layers=1") < 0.05


def test_the_beginning_hangs_on_the_seed_alone() -> None:
    first, again, other = (new_model(shape_named("micro"), ["a b"] * 9, seed)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])
