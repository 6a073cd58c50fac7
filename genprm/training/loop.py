"""The run itself: transformers' ``Trainer`` over a plan of batches, with the loss where the model's own tokens are."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback

from genprm.training.encoding import Example
from genprm.training.plan import Micro, Plan

IGNORED = -100


class Collate(Protocol):
    """Rows, by their place, into the tensors of a batch."""

    def __len__(self) -> int: ...

    def __call__(self, micro: Micro) -> dict[str, torch.Tensor]: ...


class Collator:
    """Rows into tensors: below one another with padding on the right, or one behind the other (``packing``).

    ``input_ids`` is ``[rows, length]``; ``labels`` likewise, each token's own successor where that one carries loss,
    else -100. Packed rows are told apart by ``position_ids`` that begin at 0.
    """

    def __init__(self, examples: Sequence[Example], pad: int, packing: bool) -> None:
        self._examples = examples
        self._pad = pad
        self._packing = packing

    def __len__(self) -> int:
        return len(self._examples)

    def __call__(self, micro: Micro) -> dict[str, torch.Tensor]:
        rows = [self._row(self._examples[n]) for n in micro]
        if self._packing:
            ids, labels, positions = (torch.cat(column).unsqueeze(0) for column in zip(*rows, strict=True))
            return {"input_ids": ids, "labels": labels, "position_ids": positions}
        pad_sequence = torch.nn.utils.rnn.pad_sequence
        ids = pad_sequence([row[0] for row in rows], batch_first=True, padding_value=self._pad)
        labels = pad_sequence([row[1] for row in rows], batch_first=True, padding_value=IGNORED)
        return {"input_ids": ids, "labels": labels}

    def _row(self, example: Example) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        ids = torch.tensor(example.ids, dtype=torch.long)
        own = torch.frombuffer(bytearray(example.own), dtype=torch.uint8).bool()
        following = functional.pad(ids.masked_fill(~own, IGNORED)[1:], (0, 1), value=IGNORED)
        return ids, following, torch.arange(len(ids))


class PlannedTrainer(Trainer):  # type: ignore[misc]
    """Runs a plan: its micro-batches in their order, shared out among the processes.

    A batch has ``labels``, one that is not -100 for each thing that carries loss; those who inherit say what the sum
    of their losses is.
    """

    def __init__(
        self, *, plan: Plan, collate: Collate, valid: Sequence[Micro], collate_valid: Collate, **kw: Any
    ) -> None:
        self._plan = plan
        self._collate = collate
        self._valid = valid
        self._collate_valid = collate_valid
        self.tokens_seen = 0
        super().__init__(**kw, train_dataset=range(len(collate)), eval_dataset=valid or None)
        self.model_accepts_loss_kwargs = True  # loss is divided by the labels of the whole update

    def loss_sum(self, model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The sum over a batch."""
        raise NotImplementedError

    def get_train_dataloader(self) -> DataLoader[Any]:
        mine = self._plan.micros[self.args.process_index :: self.args.world_size]
        return DataLoader(range(len(self._collate)), batch_sampler=mine, collate_fn=self._collate)

    def compute_loss(
        self,
        model: Any,
        inputs: Mapping[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        loss = self.loss_sum(model, inputs)
        self.tokens_seen += inputs["input_ids"].numel()
        return loss * (self.args.world_size / num_items_in_batch)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Mean loss of a label to validate on."""
        model = self.model
        model.eval()
        total = torch.zeros(2, dtype=torch.float64)
        with torch.no_grad(), self.compute_loss_context_manager():
            for micro in self._valid[self.args.process_index :: self.args.world_size]:
                inputs = self._prepare_inputs(self._collate_valid(micro))
                n = int((inputs["labels"] != IGNORED).sum())
                total += torch.tensor([float(self.loss_sum(model, inputs)), n], dtype=torch.float64)
        model.train()
        loss, n = self.accelerator.reduce(total.to(self.args.device), "sum").tolist()
        metrics = {"eval_loss": loss / max(n, 1)}
        self.log(metrics)
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class ConversationTrainer(PlannedTrainer):
    """Learns the tokens that a model writes itself."""

    def __init__(self, **kw: Any) -> None:
        super().__init__(**kw)
        _select_before_head(self.model)

    def loss_sum(self, model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return _loss_sum(model, inputs)


def _loss_sum(model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Cross entropy summed over the tokens that carry loss. Logits are made at those alone."""
    labels = inputs["labels"].flatten()
    chosen = (labels != IGNORED).nonzero().squeeze(1)
    rest = {name: value for name, value in inputs.items() if name != "labels"}
    unwrapped(model).chosen_positions = chosen
    logits = model(**rest, use_cache=False).logits
    return functional.cross_entropy(logits.float(), labels[chosen], reduction="sum")


def unwrapped(model: Any) -> Any:
    """Under the wrappers of several processes."""
    while inner := getattr(model, "module", None):
        model = inner
    return model


def _select_before_head(model: Any) -> None:
    """Show the output embeddings only the positions that carry loss: half of the tokens and more carry none."""

    def select(_: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        (hidden,) = args
        return (hidden.flatten(0, 1)[model.chosen_positions],)

    model.get_output_embeddings().register_forward_pre_hook(select)


class Journal(TrainerCallback):  # type: ignore[misc]
    """Metrics as records, and behind the progress bar.

    ``tokens_per_s`` counts all tokens of this process, padding included, in the time that went into updates.
    """

    def __init__(
        self, record: Callable[[dict[str, Any]], None], tick: Callable[[str], None], tokens_seen: Callable[[], int]
    ) -> None:
        self._record = record
        self._tick = tick
        self._tokens_seen = tokens_seen
        self._tokens = 0
        self._seconds = 0.0
        self._began = 0.0
        self._note: dict[str, str] = {}

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._seconds += time.perf_counter() - self._began
        self._tick(" · ".join(self._note.values()))

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, float] | None = None, **_: Any) -> None:
        if not logs or "train_runtime" in logs:
            return
        record: dict[str, Any] = {"update": state.global_step, "of": state.max_steps, **logs}
        if "loss" in logs:
            tokens = self._tokens_seen()
            record["tokens_per_s"] = round((tokens - self._tokens) / max(self._seconds, 1e-9))
            self._tokens, self._seconds = tokens, 0.0
            self._note |= {"loss": f"loss {logs['loss']:.4f}", "rate": f"{record['tokens_per_s']:,} token/s"}
        if "eval_loss" in logs:
            self._note["valid"] = f"validation {logs['eval_loss']:.4f}"
        self._record(record)
