"""Outcome, process and progress heads on any transformer, trained together on values of steps.

Loss of a solution: the weighted sum of the means of its heads. ``outcome`` and ``process`` are learnt by the binomial
likelihood of the right ones among n completions, which is the cross entropy on the share, times n; n is divided by its
mean over the rows, so that the weights of the heads mean what they say. ``progress`` is learnt by squared error (or by
cross entropy on (A + 1) / 2), and beside it ``confidence``: whether it is off by at most ``TOLERANCE``.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import save_file
from torch.nn import functional

from genprm.errors import ConfigError, InputError
from genprm.scorers.head import HEADS_JSON, HEADS_WEIGHTS, TOLERANCE, HeadModel, Heads, Kind, Writer, load_body
from genprm.scorers.reading import Reading, Unreadable, padded
from genprm.training.head_options import HeadOptions, Trained
from genprm.training.job import TOKENIZER_ROWS, Job, Rows, find_start, fitting, window_for
from genprm.training.loop import Collate, PlannedTrainer, unwrapped
from genprm.training.models import adapted, quicken, save, source_of, type_of_weights, weights_kind
from genprm.training.plan import Micro
from genprm.training.values import Target, Valuation, fingerprint


@dataclass(frozen=True, slots=True)
class HeadExample:
    """A solution as tokens, with what the heads should say and how much that counts, ``[place][kind]``."""

    reading: Reading
    values: list[list[float]]
    weights: list[list[float]]

    def __len__(self) -> int:
        return len(self.reading.ids)


@dataclass(frozen=True, slots=True)
class HeadCourse:
    """What ``genprm.training.run`` follows."""

    options: HeadOptions
    rows: Sequence[Valuation]
    valid: Sequence[Valuation]
    prover: str = ""
    """Whose advantages they are, for ``heads.json``."""

    @property
    def sizes(self) -> tuple[int, int]:
        return len(self.rows), len(self.valid)

    @property
    def data(self) -> str:
        parts = (hashlib.blake2b(fingerprint(rows), digest_size=8).hexdigest() for rows in (self.rows, self.valid))
        return " ".join((*parts, self.prover))

    def start(self, kept: Path, scratch: Path) -> Path:
        texts = (
            text for row in self.rows[:TOKENIZER_ROWS] for text in (row.solution.problem.text, *row.solution.steps)
        )
        return find_start(self.options, texts, kept, scratch)

    def check(self, start: Path, *, speak: bool) -> Job:
        """Raises InputError where no row has anything for one of the heads to learn."""
        options = self.options
        means = {kind: _mean_n(self.rows, kind) for kind in options.trained}
        source = source_of(options, start)
        body, tokenizer = self._body(source)
        writer = Writer(tokenizer, self.heads(tokenizer))
        window = window_for(options, body)
        columns = len(kinds_of(options.trained))
        model = HeadModel(body, columns).to("cuda" if torch.cuda.is_available() else "cpu")

        def examples(rows: Iterable[Valuation]) -> Iterator[HeadExample]:
            return (self._example(writer, row, means) for row in rows)

        return Job(
            model,
            tokenizer,
            type_of_weights(source),
            fitting(examples(self.rows), len(self.rows), "rows", window, speak),
            fitting(examples(self.valid), len(self.valid), "rows to validate on", window, speak),
        )

    def heads(self, tokenizer: Any) -> Heads:
        policies = sorted({row.policy for row in self.rows if row.policy})
        return Heads(
            kinds_of(self.options.trained),
            chat=bool(tokenizer.chat_template),
            policy=", ".join(policies),
            prover=self.prover,
        )

    def collate(self, rows: Rows, pad: int) -> Collate:
        return HeadCollator(rows.examples, pad)

    def difficulties(self, rows: Rows) -> list[int]:
        raise ConfigError("rows for heads have no difficulty")

    def trainer(self, **given: Any) -> PlannedTrainer:
        return HeadTrainer(kinds_of(self.options.trained), self.options.advantage_loss == "bce", **given)

    def save(self, job: Job, folder: Path) -> None:
        save(self.options, job.model.body, job.tokenizer, job.came_in, folder)
        weights = {name: tensor.contiguous() for name, tensor in job.model.score.state_dict().items()}
        save_file(weights, folder / HEADS_WEIGHTS)
        (folder / HEADS_JSON).write_bytes(msgspec.json.format(msgspec.json.encode(self.heads(job.tokenizer)), indent=2))

    def _body(self, source: str) -> tuple[Any, Any]:
        kind = weights_kind(self.options)
        gpu = torch.cuda.is_available()
        body, tokenizer = load_body(source, torch.bfloat16 if kind == "auto" and gpu else torch.float32)
        if not gpu:
            quicken(body)
        return adapted(body, self.options, source, "FEATURE_EXTRACTION") if self.options.lora else body, tokenizer

    def _example(self, writer: Writer, row: Valuation, means: Mapping[Trained, float]) -> HeadExample:
        try:
            reading = writer.encode(row.solution)
        except Unreadable as error:
            raise InputError(str(error), row.where) from None
        kinds, places = kinds_of(self.options.trained), len(reading.places)
        values = [[0.0] * len(kinds) for _ in range(places)]
        weights = [[0.0] * len(kinds) for _ in range(places)]
        for kind in self.options.trained:
            given = {place: target for place, target in _targets(row, kind) if target}
            for place, target in given.items():
                values[place][kinds.index(kind)] = target.value
                weight = self.options.weights[kind] * target.n / means[kind] / len(given)
                weights[place][kinds.index(kind)] = weight
        return HeadExample(reading, values, weights)


class HeadCollator:
    """Rows into tensors: those of :func:`~genprm.scorers.reading.padded`; ``values`` and ``weights`` ``[places,
    kinds]``; a label for each row, to count them by."""

    def __init__(self, examples: Sequence[HeadExample], pad: int) -> None:
        self._examples = examples
        self._pad = pad

    def __len__(self) -> int:
        return len(self._examples)

    def __call__(self, micro: Micro) -> dict[str, torch.Tensor]:
        some = [self._examples[n] for n in micro]
        return {
            **padded([example.reading for example in some], self._pad),
            "values": torch.tensor([row for example in some for row in example.values]),
            "weights": torch.tensor([row for example in some for row in example.weights]),
            "labels": torch.zeros(len(some), dtype=torch.long),
        }


class HeadTrainer(PlannedTrainer):
    """Learns what heads should say."""

    def __init__(self, kinds: tuple[Kind, ...], cross_entropy: bool, **kw: Any) -> None:
        super().__init__(**kw)
        self._kinds = kinds
        self._cross_entropy = cross_entropy

    def loss_sum(self, model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        logits = model(
            input_ids=inputs["input_ids"],
            rows=inputs["rows"],
            places=inputs["places"],
            attention_mask=None if unwrapped(model).causal else inputs["attention_mask"],
        )
        return losses(logits, inputs["values"], inputs["weights"], self._kinds, self._cross_entropy).sum()


def losses(
    logits: torch.Tensor, values: torch.Tensor, weights: torch.Tensor, kinds: Sequence[Kind], cross_entropy: bool
) -> torch.Tensor:
    """Of each head, summed over ``[places]``: ``[kinds]``. Columns of ``confidence`` have no values of their own."""
    found = []
    for column, kind in enumerate(kinds):
        logit, value, weight = logits[:, column], values[:, column], weights[:, column]
        if kind == "progress":
            scaled, wanted = 2 * logit, (value + 1) / 2  # tanh(x) is 2 sigmoid(2 x) - 1
            squared = (logit.tanh() - value).square()
            each = _entropy(scaled, wanted) if cross_entropy else squared
        elif kind == "confidence":
            guess, truth, weight = (x[:, kinds.index("progress")] for x in (logits, values, weights))
            each = _entropy(logit, ((guess.detach().tanh() - truth).abs() <= TOLERANCE).float())
        else:
            each = _entropy(logit, value)
        found.append((weight * each).sum())
    return torch.stack(found)


def kinds_of(trained: Sequence[Trained]) -> tuple[Kind, ...]:
    """The columns: progress brings its confidence."""
    return (*trained, "confidence") if "progress" in trained else tuple(trained)


def _entropy(logit: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return functional.binary_cross_entropy_with_logits(logit, value, reduction="none")


def _targets(row: Valuation, kind: Trained) -> list[tuple[int, Target | None]]:
    """By place: the steps', and behind them that of the whole."""
    if kind == "outcome":
        return [(len(row.solution.steps), row.outcome)]
    return list(enumerate(row.process if kind == "process" else row.progress))


def _mean_n(rows: Sequence[Valuation], kind: Trained) -> float:
    given = [target.n for row in rows for _, target in _targets(row, kind) if target]
    if not given:
        raise InputError(f"no row has anything for the head {kind!r} to learn")
    return sum(given) / len(given)
