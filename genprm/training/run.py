"""A run from rows to weights: everything is read and checked first; then it trains, and goes on after a kill.

The output folder, when the run has ended, is a model (or an adapter) in the Hugging Face format, and beside it::

    run.json       what was asked for, and the versions
    metrics.jsonl  a line every few updates and for each validation
    start/         a new model before its first update
    checkpoints/   from which a killed run goes on
    report.json    how it ended: written last
"""

import dataclasses
import hashlib
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

import msgspec
import torch
from transformers import EarlyStoppingCallback, PrinterCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils import logging

from genprm.engines.hf_tokenizer import HfTokenizer
from genprm.engines.rendering import Renderer
from genprm.errors import InputError
from genprm.progress import progress
from genprm.runs import Run
from genprm.training.conversations import Conversation
from genprm.training.encoding import Encoder, Example, encode_all
from genprm.training.loop import Collator, ConversationTrainer, Journal
from genprm.training.models import load_for_training, save, start_new
from genprm.training.optimizers import optimizer_for
from genprm.training.options import Options
from genprm.training.plan import Batching, Plan, in_order, make_plan

_TOKENIZER_ROWS = 4000
"""Rows that the tokenizer of a new model is learned from."""


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended."""

    updates: int
    rows: int
    left_out: int
    """Rows that are longer than ``max_length``."""
    valid_loss: float | None = None
    """Of a token at the end; None without rows to validate on."""


def train(options: Options, rows: Sequence[Conversation], valid: Sequence[Conversation], output: Path) -> Report | None:
    """Train, and leave a folder that the engines ``hf:`` and ``vllm:`` load. The same call after a kill goes on.

    None in a process that only helps another: the first one of several reports.

    Raises:
        ConfigError: the folder holds another run, or the model cannot be loaded.
        InputError: a row does not fit the model's chat template, or none fits its window.
    """
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    args = _arguments(options, output)
    if args.process_index:
        if not (output / "report.json").exists():
            _trained(options, rows, valid, output, args, lambda _: None)
        return None
    with Run(output, _config(options, rows, valid), results="metrics.jsonl", option="--output") as run:
        if (output / "report.json").exists():
            return msgspec.json.decode((output / "report.json").read_bytes(), type=Report)
        report = _trained(options, rows, valid, output, args, run.append)
        run.write_report(report)
        return report


def _trained(
    options: Options,
    rows: Sequence[Conversation],
    valid: Sequence[Conversation],
    output: Path,
    args: TrainingArguments,
    record: Callable[[dict[str, Any]], None],
) -> Report:
    with args.main_process_first():
        start_new(options, (m.content for row in rows[:_TOKENIZER_ROWS] for m in row.messages), output / "start")
    model, tokenizer, came_in = load_for_training(options, output / "start")
    encoder = Encoder(Renderer(HfTokenizer(tokenizer)), options.task)
    window = options.max_length or int(model.config.max_position_embeddings)
    examples, held_out = (_fitting(encoder, some, options.seed, window) for some in (rows, valid))
    if not examples:
        raise InputError(f"none of the {len(rows)} rows has at most {window} tokens")
    if args.process_index == 0:
        _say_left_out(len(rows) - len(examples), len(rows), window)
    batching = Batching(options.batch_tokens, options.micro_tokens, options.packing)
    plan = _plan(options, examples, batching, args.world_size)
    _schedule(args, options, plan, bool(held_out))
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    trainer = ConversationTrainer(
        model=model,
        args=args,
        plan=plan,
        collate=Collator(examples, pad, options.packing),
        valid=in_order([len(e) for e in held_out], batching),
        collate_valid=Collator(held_out, pad, options.packing),
        optimizers=(optimizer_for(model, options.rate, options.decay, options.optimizer == "muon"), None),
    )
    loss = _run(trainer, options, record)
    if args.process_index == 0:
        save(options, model, tokenizer, came_in, output)
    return Report(trainer.state.global_step, len(rows), len(rows) - len(examples), loss)


def _run(trainer: ConversationTrainer, options: Options, record: Callable[[dict[str, Any]], None]) -> float | None:
    last = get_last_checkpoint(trainer.args.output_dir) if Path(trainer.args.output_dir).is_dir() else None
    done = int(last.rpartition("-")[2]) if last else 0
    trainer.remove_callback(PrinterCallback)
    if options.patience:
        trainer.add_callback(EarlyStoppingCallback(options.patience))
    silent = nullcontext(lambda _="": None)
    bar = progress("update", trainer.args.max_steps, done) if trainer.is_world_process_zero() else silent
    with bar as tick:
        trainer.add_callback(Journal(record, tick, lambda: trainer.tokens_seen))
        trainer.train(resume_from_checkpoint=last)
    if trainer.eval_dataset is None:
        return None
    history = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    if history and history[-1]["step"] == trainer.state.global_step and not options.patience:
        return float(history[-1]["eval_loss"])
    return trainer.evaluate()["eval_loss"]


def _fitting(encoder: Encoder, rows: Sequence[Conversation], seed: int, window: int) -> list[Example]:
    return [example for example in encode_all(encoder, rows, seed) if len(example) <= window]


def _say_left_out(left_out: int, total: int, window: int) -> None:
    if left_out:
        print(f"genprm: {left_out} of {total} rows have more than {window} tokens, and are left out", file=sys.stderr)


def _plan(options: Options, examples: Sequence[Example], batching: Batching, ranks: int) -> Plan:
    return make_plan(
        [len(example) for example in examples],
        batching,
        epochs=options.epochs,
        updates=options.updates,
        ranks=ranks,
        seed=options.seed,
        difficulties=[example.difficulty for example in examples] if options.curriculum else None,
    )


def _arguments(options: Options, output: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(output / "checkpoints"),
        per_device_train_batch_size=1,
        learning_rate=options.rate,
        lr_scheduler_type=options.schedule,
        max_grad_norm=options.clip,
        bf16=_in_bf16(options),
        gradient_checkpointing=options.checkpointing,
        logging_steps=options.log_every,
        save_total_limit=2,
        seed=options.seed,
        use_cpu=not torch.cuda.is_available(),
        report_to=["tensorboard"] if util.find_spec("tensorboard") else [],
        disable_tqdm=True,
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
    )


def _schedule(args: TrainingArguments, options: Options, plan: Plan, validates: bool) -> None:
    """What depends on the number of updates."""
    every = max(1, plan.updates // 10)
    args.max_steps = plan.updates
    args.gradient_accumulation_steps = plan.per_update // args.world_size
    args.warmup_steps = round(options.warmup * plan.updates)
    args.save_strategy, args.save_steps = "steps", options.save_every or every
    if validates:
        args.eval_strategy, args.eval_steps = "steps", options.eval_every or every
    if options.patience:  # the best weights must have been saved
        args.save_steps = args.eval_steps
        args.load_best_model_at_end, args.metric_for_best_model, args.greater_is_better = True, "eval_loss", False


def _in_bf16(options: Options) -> bool:
    """``auto``: where the machine calculates faster in it."""
    if options.precision != "auto":
        return options.precision == "bf16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _config(options: Options, rows: Sequence[Conversation], valid: Sequence[Conversation]) -> dict[str, Any]:
    return dataclasses.asdict(options) | {"data": f"{_digest(rows)} {_digest(valid)}"}


def _digest(rows: Sequence[Conversation]) -> str:
    state = hashlib.blake2b(digest_size=8)
    for row in rows:
        state.update(msgspec.json.encode((row.messages, row.difficulty)))
    return state.hexdigest()
