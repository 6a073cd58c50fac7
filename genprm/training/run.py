"""A run from rows to weights: everything is read and checked first; then it trains, and goes on after a kill.

The output folder, when the run has ended, is a model (or an adapter) in the Hugging Face format, and beside it::

    run.json       what was asked for, and the versions
    metrics.jsonl  a line every few updates and for each validation
    start/         a new model before its first update
    checkpoints/   from which a killed run goes on
    report.json    how it ended: written last
"""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import torch
from transformers import EarlyStoppingCallback, PrinterCallback, TrainingArguments
from transformers.utils import logging

from genprm.progress import progress
from genprm.runs import Run, require_fitting
from genprm.training.checkpoints import Checkpoint, cut_journal, last_whole
from genprm.training.conversations import Conversation
from genprm.training.course import ConversationCourse, Course
from genprm.training.job import Job, Rows, keep_start
from genprm.training.loop import Journal, PlannedTrainer
from genprm.training.memory import keep_freed_memory
from genprm.training.optimizers import optimizer_for
from genprm.training.options import Options
from genprm.training.plan import Batching, Plan, in_order, make_plan


@dataclass(frozen=True, slots=True)
class Report:
    """How a run ended."""

    updates: int
    rows: int
    left_out: int
    """Rows that are longer than ``max_length`` or the model's window."""
    valid_loss: float | None = None
    """Of a token (heads: of a solution) at the end; None without rows to validate on."""
    valid_rows: int = 0
    valid_left_out: int = 0


def train(options: Options, rows: Sequence[Conversation], valid: Sequence[Conversation], output: Path) -> Report | None:
    """Train a critic or a policy: :func:`follow`."""
    return follow(ConversationCourse(options, rows, valid), output)


def follow(course: Course, output: Path) -> Report | None:
    """Train, and leave a folder that the engines ``hf:`` and ``vllm:``, or the scorer ``head:``, load. The same call
    after a kill goes on; one that is refused writes nothing.

    None in a process that only helps another: the first one of several reports.

    Raises:
        ConfigError: the folder holds another run, or the model cannot be loaded.
        InputError: a row does not fit the model's chat template, or none fits its window.
    """
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    options = course.options
    args = _arguments(options, output)
    if args.use_cpu:
        keep_freed_memory()
    is_over = (output / "report.json").exists()
    if args.process_index:
        if not is_over:
            _help(course, output, args)
        return None
    # The number of processes decides which rows go together.
    config = dataclasses.asdict(options) | {"processes": args.world_size, "data": course.data}
    require_fitting(output, config, "--output")
    if is_over:
        return msgspec.json.decode((output / "report.json").read_bytes(), type=Report)
    with ExitStack() as stack:
        with _before_others(options, args), TemporaryDirectory() as scratch:
            start = course.start(output / "start", Path(scratch))
            job = course.check(start, speak=True)
            run = stack.enter_context(Run(output, config, results="metrics.jsonl", option="--output"))
            keep_start(start, output / "start")
        last = last_whole(Path(args.output_dir), tidy=True)
        cut_journal(run.results, last.updates if last else 0)
        updates, loss = _trained(course, job, args, last, run.append)
        course.save(job, output)
        n_rows, n_valid = course.sizes
        report = Report(updates, n_rows, job.rows.left_out, loss, n_valid, job.valid.left_out)
        run.write_report(report)
        return report


def _help(course: Course, output: Path, args: TrainingArguments) -> None:
    """What all processes but the first do."""
    with _before_others(course.options, args):
        pass
    job = course.check(output / "start", speak=False)
    _trained(course, job, args, last_whole(Path(args.output_dir), tidy=False), lambda _: None)


def _before_others(options: Options, args: TrainingArguments) -> AbstractContextManager[None]:
    """The first process passes before the others where it makes a model for all of them."""
    passes: AbstractContextManager[None] = args.main_process_first(local=False) if options.new else nullcontext()
    return passes


def _trained(
    course: Course,
    job: Job,
    args: TrainingArguments,
    last: Checkpoint | None,
    record: Callable[[dict[str, Any]], None],
) -> tuple[int, float | None]:
    """How many updates were made at the end, and the validation loss."""
    options = course.options
    batching = Batching(options.batch_tokens, options.micro_tokens, options.packing)
    plan = _plan(course, job.rows, batching, args.world_size)
    _schedule(args, options, plan, bool(job.valid.examples))
    if last and options.patience and last.waited >= options.patience:  # it was killed when it had ended
        args.max_steps = last.updates
        plan = dataclasses.replace(plan, micros=plan.micros[: last.updates * plan.per_update], updates=last.updates)
    tokenizer = job.tokenizer
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    trainer = course.trainer(
        model=job.model,
        args=args,
        plan=plan,
        collate=course.collate(job.rows, pad),
        valid=in_order([len(e) for e in job.valid.examples], batching),
        collate_valid=course.collate(job.valid, pad),
        optimizers=(optimizer_for(job.model, options.rate, options.decay, options.optimizer == "muon"), None),
    )
    loss = _run(trainer, options, last, record)
    return trainer.state.global_step, loss


def _run(
    trainer: PlannedTrainer, options: Options, last: Checkpoint | None, record: Callable[[dict[str, Any]], None]
) -> float | None:
    trainer.remove_callback(PrinterCallback)
    if options.patience:
        trainer.add_callback(EarlyStoppingCallback(options.patience))
    silent = nullcontext(lambda _="": None)
    done = last.updates if last else 0
    bar = progress("update", trainer.args.max_steps, done) if trainer.is_world_process_zero() else silent
    with bar as tick:
        trainer.add_callback(Journal(record, tick, lambda: trainer.tokens_seen))
        trainer.train(resume_from_checkpoint=str(last.folder) if last else None)
    return _valid_loss(trainer)


def _valid_loss(trainer: PlannedTrainer) -> float | None:
    """Of the weights at the end."""
    if trainer.eval_dataset is None:
        return None
    state = trainer.state
    if trainer.args.load_best_model_at_end and state.best_model_checkpoint:
        return float(state.best_metric)
    history = [entry for entry in state.log_history if "eval_loss" in entry]
    if history and history[-1]["step"] == state.global_step:
        return float(history[-1]["eval_loss"])
    return trainer.evaluate()["eval_loss"]


def _plan(course: Course, rows: Rows, batching: Batching, ranks: int) -> Plan:
    options = course.options
    return make_plan(
        [len(example) for example in rows.examples],
        batching,
        epochs=options.epochs,
        updates=options.updates,
        ranks=ranks,
        seed=options.seed,
        difficulties=course.difficulties(rows) if options.curriculum else None,
    )


def _arguments(options: Options, output: Path) -> TrainingArguments:
    args = TrainingArguments(
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
        restore_callback_states_from_checkpoint=True,
    )
    args._n_gpu = min(args.n_gpu, 1)  # one process with several would cut each micro-batch into pieces for them
    return args


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
