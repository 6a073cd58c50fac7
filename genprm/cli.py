"""The command line: thin skins over functions that can be imported under the same name.

What a command needs is imported when it runs, so that ``genprm --help`` is quick.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from typing import Any

from genprm import __version__
from genprm.cli_data import checking, importing
from genprm.cli_options import Listed, engine, generated, level, policy, recipe, rows, sampling
from genprm.cli_rank import best_of_n, ranking
from genprm.cli_refine import refine_options, refining
from genprm.cli_search import eval_provers, eval_search, search
from genprm.cli_serving import serving
from genprm.cli_synth import pipeline
from genprm.cli_training import heads, training
from genprm.cli_viewing import reporting, viewing
from genprm.errors import EngineLost, GenPRMError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0 done, 1 done with failures, 2 bad input, 3 the engine was lost on the way, 130 stopped.
    """
    args = _parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until there is a loop, which has a handler of its own
    try:
        work = _handler(args.handler)(args)  # reads the input, so that Ctrl-C ends at once a read that hangs
        return asyncio.run(_until_stopped(work))
    except EngineLost as error:
        _refused(f"{error}{_how_to_go_on(args)}")
        return 3
    except GenPRMError as error:
        return _refused(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print(f"genprm: stopped{_how_to_go_on(args)}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on: nothing more to say
        return 141
    except OSError as error:
        return _refused(f"{error.filename or 'output'}: {error.strerror or error}")


def _handler(name: str) -> Callable[[argparse.Namespace], Coroutine[Any, Any, int]]:
    """The function behind a command, by ``module:name``: imported only when it is asked for."""
    module, _, function = name.partition(":")
    found: Callable[[argparse.Namespace], Coroutine[Any, Any, int]] = getattr(import_module(module), function)
    return found


def _refused(message: str) -> int:
    from genprm.sandbox.text import plain  # a message may quote a server or a file

    print(f"genprm: {plain(message)}", file=sys.stderr)
    return 2


async def _until_stopped(work: Coroutine[Any, Any, int]) -> int:
    """SIGTERM ends a command as Ctrl-C does: everything is closed, a run can be resumed."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def _how_to_go_on(args: argparse.Namespace) -> str:
    return (
        "; the same command goes on from here" if getattr(args, "resumable", False) or getattr(args, "run", "") else ""
    )


# --- the options ---------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="genprm",
        description="A generative process reward model with code verification: critique solutions step by step, "
        "and run the check that proves it.",
    )
    parser.add_argument("--version", action="version", version=f"genprm {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_critique(commands)
    refine_options(
        _add(commands, "refine", "genprm.refine_command:command", "critique, revision, critique: solutions made better")
    )
    search(_add(commands, "search", "genprm.searching.command:command", "search for a solution, step by step"))
    _add_eval(commands)
    _add_synth(commands)
    _add_sandbox(commands)
    _add_bench(commands)
    _add_train(commands)
    ranking(_add(commands, "rank", "genprm.rank_command:rank", "choose one of several solutions of a problem"))
    _add_serve(commands)
    _add_view(commands)
    _add(commands, "doctor", "genprm.doctor:doctor", "what this machine can do: isolation, engines, GPU")
    _add(commands, "schema", "genprm.commands:schema", "the JSON Schema of one line of results.jsonl")
    return parser


def _add(commands: Any, name: str, handler: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(handler=handler)
    return parser


def _add_critique(commands: Any) -> None:
    parser = _add(
        commands, "critique", "genprm.commands:critique", "critique a solution step by step, and print the evidence"
    )
    parser.add_argument(
        "source",
        help="a .txt or .md file with problem and solution, a ProcessBench-style .json, .jsonl or .parquet file or a "
        "folder of them, the id of a Hugging Face dataset, or - for standard input",
    )
    parser.add_argument("--problem", metavar="TEXT", help="the problem, where the source is a bare solution")
    rows(parser)
    parser.add_argument(
        "--full", action="store_true", help="show the rationale of every step, not of the wrong ones only"
    )
    parser.add_argument(
        "--analysis",
        action="store_true",
        help="after each critique what went wrong: kind, severity, repair; with --json this instead of the critique",
    )
    parser.add_argument("--json", action="store_true", help="one JSON record a line instead of text")
    parser.add_argument("--run", metavar="DIR", help="keep the results there, and go on there when started again")
    recipe(parser)


def _add_eval(commands: Any) -> None:
    parser = commands.add_parser("eval", help="measure a critic", description="Measure a critic.")
    benchmarks = parser.add_subparsers(title="benchmarks", required=True, metavar="BENCHMARK")
    bench = _add(
        benchmarks,
        "processbench",
        "genprm.commands:eval_processbench",
        "first-error F1 on ProcessBench (arXiv 2412.06559)",
    )
    bench.add_argument(
        "--data", default="Qwen/ProcessBench", help="file, folder or dataset id (default: %(default)s, from the hub)"
    )
    rows(bench)
    bench.add_argument("--run", metavar="DIR", help="the run folder (default: runs/processbench-… by configuration)")
    bench.add_argument(
        "--scorer",
        metavar="SPEC",
        help="head:FOLDER or prm:MODEL instead of the critic: steps are wrong below --threshold",
    )
    recipe(bench)
    bench.set_defaults(resumable=True)
    _add_world(benchmarks)
    _add_policy(benchmarks)
    _add_labels(benchmarks)
    _add_synthesis(benchmarks)
    _add_refine(benchmarks)
    best_of_n(_add(benchmarks, "bon", "genprm.eval.bon:command", "best of N by every scorer, next to votes"))
    text = "accuracy over tokens of beam search by Q and by Q + alpha A, against best-of-N, on generated problems"
    eval_search(_add(benchmarks, "search", "genprm.eval.search:command", text))
    text = "how well provers tell a policy's steps apart, and whether they agree with it (arXiv 2410.08146)"
    eval_provers(_add(benchmarks, "provers", "genprm.eval.provers:command", text))
    scores = _add(
        benchmarks,
        "scores",
        "genprm.commands:eval_scores",
        "the same metric from given step scores of discriminative verifiers",
    )
    scores.add_argument("--data", required=True, help="a .jsonl file or a folder of them: {id, label, model, scores}")
    scores.add_argument("--threshold", type=float, default=0.5, help="a step is wrong below it (default: %(default)s)")
    scores.add_argument("--plot", metavar="FILE", help="F1 over thresholds as .png, .svg or .pdf")


def _add_world(benchmarks: Any) -> None:
    world = _add(
        benchmarks,
        "world",
        "genprm.eval.world:command",
        "generated problems whose truth is known step by step: the same metric by kind of error, what votes are worth, "
        "ablations",
    )
    generated(world, 1000)
    world.add_argument(
        "--ablation",
        nargs="+",
        default=["full"],
        choices=Listed("genprm.protocols.genprm:ABLATIONS"),
        metavar="NAME",
        help="what is left of the critic, one after another: %(choices)s (all of it, code that is not run, the "
        "analysis alone, the verdict alone; default: full)",
    )
    world.add_argument("--run", metavar="DIR", help="the run folder (default: runs/world-… by configuration)")
    world.add_argument(
        "--retry-failed", action="store_true", help="judge problems of the run again that the engine failed on"
    )
    world.add_argument("--plot", metavar="FILE", help="F1 over votes as .png, .svg or .pdf, besides the run folder's")
    recipe(world)
    # What votes are worth can be told only where all of them were given.
    world.set_defaults(resumable=True, n=16, stopping="none")


def _add_policy(benchmarks: Any) -> None:
    parser = _add(
        benchmarks,
        "policy",
        "genprm.eval.policy:command",
        "how often a policy solves generated problems, and mends wrong solutions after a true critique",
    )
    generated(parser, 500)
    parser.add_argument("--run", metavar="DIR", help="the run folder (default: runs/policy-… by configuration)")
    engine(parser, default="nano:policy")
    method = parser.add_argument_group("method")
    method.add_argument("-n", type=int, default=1, metavar="N", help="answers a problem (default: %(default)s)")
    method.add_argument("--max-tokens", type=int, default=1024, metavar="N", help="of an answer (default: %(default)s)")
    sampling(method)
    parser.set_defaults(resumable=True)


def _add_synthesis(benchmarks: Any) -> None:
    parser = _add(
        benchmarks,
        "synthesis",
        "genprm.eval.synthesis:command",
        "a synthesis in the world, its labels against the truth, and the critics that are trained on its rows",
    )
    parser.add_argument("experiment", metavar="EXPERIMENT.toml")
    parser.add_argument("-o", "--output", metavar="DIR", help="(default: runs/synthesis-NAME)")
    parser.add_argument("--labels-only", action="store_true", help="train nothing")
    parser.set_defaults(resumable=True)


def _add_labels(benchmarks: Any) -> None:
    parser = _add(
        benchmarks,
        "labels",
        "genprm.eval.labels:command",
        "calibration of labelers against labels by people, and their agreement with one another",
    )
    parser.add_argument(
        "--data",
        required=True,
        help="PRM800K ratings (.jsonl.gz, or .jsonl with --kind ratings), or a .jsonl file of step scores or a folder "
        "of them: {id, label, model, scores}",
    )
    parser.add_argument("--kind", choices=["ratings", "scores"], help="of the data (default: by its name)")
    parser.add_argument("--run", metavar="DIR", help="the run folder (default: runs/labels-… by configuration)")
    parser.add_argument("--limit", type=int, metavar="N", help="for ratings: of the first N problems only")
    parser.add_argument(
        "--labelers",
        nargs="+",
        default=["heuristics", "judge"],
        choices=["heuristics", "judge"],
        metavar="NAME",
        help="for ratings: %(choices)s (the engine symbolic judges; default: both)",
    )
    parser.add_argument(
        "--neutral",
        default="right",
        choices=["right", "wrong", "drop"],
        help="for ratings: what a neutral step counts as (default: %(default)s)",
    )
    parser.add_argument(
        "--threshold", type=float, default=0.5, help="for scores: a step is wrong below it (default: %(default)s)"
    )
    parser.add_argument("--bins", type=int, default=10, metavar="N", help="of the curve (default: %(default)s)")
    parser.add_argument(
        "--binning", default="mass", choices=["mass", "width"], help="bins of equal mass (default) or width"
    )
    parser.add_argument("--resamples", type=int, default=500, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")


def _add_refine(benchmarks: Any) -> None:
    parser = _add(
        benchmarks,
        "refine",
        "genprm.eval.refine:command",
        "what turns of critique and revision are worth, against no code, no critic, and resampling",
    )
    generated(parser, 300)
    parser.add_argument("--data", metavar="FILE", help="rows with problem and answer, instead of generated problems")
    parser.add_argument(
        "--arms",
        nargs="+",
        default=["critic", "no-code", "self", "resample"],
        choices=["critic", "no-code", "self", "resample"],
        metavar="NAME",
        help="%(choices)s (default: all)",
    )
    parser.add_argument("--run", metavar="DIR", help="the run folder (default: runs/refine-… by configuration)")
    parser.add_argument("--retry-failed", action="store_true", help="refine again what an engine failed on")
    refining(parser)
    parser.set_defaults(resumable=True)


def _add_synth(commands: Any) -> None:
    parser = commands.add_parser("synth", help="make data", description="Make data.")
    kinds = parser.add_subparsers(title="kinds", required=True, metavar="KIND")
    text = "word problems with solutions in which the truth of every step is known, or conversations about them"
    world = _add(kinds, "world", "genprm.synth.command:world", text)
    world.add_argument(
        "split",
        choices=Listed("genprm.synth.world.examples:SPLITS"),
        metavar="SPLIT",
        help="%(choices)s: no problem stands in two of them",
    )
    world.add_argument("-n", type=int, default=100, metavar="N", help="how many (default: %(default)s)")
    world.add_argument("--start", type=int, default=0, metavar="K", help="begin with example K (default: 0)")
    world.add_argument(
        "--rows",
        default="solutions",
        choices=Listed("genprm.synth.command:ROWS"),
        metavar="KIND",
        help="%(choices)s: as those of ProcessBench, with the truth of each step (default), or conversations for "
        "genprm train critic and (policy, revise, review) genprm train policy",
    )
    world.add_argument(
        "--attempts",
        metavar="DIR",
        help="of revise and review: what a policy wrote itself, the folder 1-solutions of genprm synth solutions",
    )
    world.add_argument("-o", "--output", metavar="FILE", help="a .jsonl file (default: print)")
    pipeline(kinds, _add)
    text = "conversations as others have them, such as GenPRM-MATH-Data, as rows with all their parts"
    importing(_add(kinds, "import", "genprm.synth.data_commands:import_", text))
    text = "which solutions or conversations to keep, and why not the others; what an evaluation set knows of them"
    checking(_add(kinds, "check", "genprm.synth.data_commands:check", text))


def _add_sandbox(commands: Any) -> None:
    text = "the sandbox by itself: run a file in it, measure it, attack it"
    parser = commands.add_parser("sandbox", help=text, description=text[0].upper() + text[1:] + ".")
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    run = _add(
        actions, "run", "genprm.sandbox.commands:run", "run a file of Python in the sandbox, and print its output"
    )
    run.add_argument("file", help="a file of Python, or - for standard input")
    run.add_argument("--cpu", type=float, default=5.0, metavar="S", help="CPU seconds (default: 5)")
    run.add_argument("--memory", type=int, default=1024, metavar="MB", help="memory (default: 1024)")
    policy(run, "--policy", "--sandbox-policy")
    level(run, "--level", "--sandbox-level")
    run.add_argument("--json", action="store_true", help="the whole result as a JSON record")
    bench = _add(actions, "bench", "genprm.sandbox.trials.bench:command", "measure the sandbox on this machine")
    bench.add_argument("--quick", action="store_true", help="fewer rounds")
    bench.add_argument(
        "--soak", type=int, metavar="N", help="run N mixed checks, and count what goes wrong or is left over"
    )
    bench.add_argument("--kill", action="store_true", help="with --soak: kill the warm process now and then")
    bench.add_argument("--seed", type=int, default=0, help="with --soak: the order of the checks (default: 0)")
    bench.add_argument("--json", action="store_true", help="the figures as a JSON record")
    attack = _add(
        actions, "attack", "genprm.sandbox.commands:attack", "run the shipped attacks, and say which layer stopped each"
    )
    attack.add_argument("--class", dest="kinds", action="append", metavar="CLASS", help="only these; may be repeated")
    level(attack, "--sandbox-level")
    attack.add_argument("--json", action="store_true", help="one JSON record instead of a table")


def _add_bench(commands: Any) -> None:
    bench = _add(
        commands,
        "bench",
        "genprm.eval.bench.command:command",
        "measure the loop: throughput, prefix cache, votes saved, memory",
    )
    bench.add_argument(
        "part",
        choices=["loop", "simulated", "values", "stopping", "scale"],
        help="loop: an engine, all at once and one call after another; simulated: the same against a server that keeps "
        "the pace of a 7B on one H100; values: completions of all prefixes, likewise; stopping: what the rules save "
        "and change; scale: memory and time of the loop",
    )
    bench.add_argument(
        "--engine",
        metavar="SPEC",
        help="for loop and values: the engine (default: nano, in vLLM if it is there; the simulated server)",
    )
    bench.add_argument("--model", help="the model's name on the server, where it serves several")
    bench.add_argument("--template", help="chat template of the model")
    bench.add_argument(
        "-n", type=int, default=8, metavar="N", help="rationales a step, completions a prefix (default: %(default)s)"
    )
    bench.add_argument("--steps", type=int, default=8, metavar="N", help="for simulated: steps a solution (default: 8)")
    bench.add_argument("--solutions", type=int, metavar="N", help="how many (default: 32, simulated 48)")
    bench.add_argument("--concurrency", type=int, metavar="N", help="calls in flight (default: 64, simulated 192)")
    bench.add_argument(
        "--sequential",
        dest="sequential_s",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds that the loop one by one may take (default: 60)",
    )
    bench.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    bench.add_argument("--json", action="store_true", help="the figures as a JSON record")
    bench.add_argument("--plot", metavar="FILE", help="steps a second as bars, as .png, .svg or .pdf")


def _add_train(commands: Any) -> None:
    text = "train a critic, a policy or heads, from nothing or from a model"
    parser = commands.add_parser("train", help=text, description=text[0].upper() + text[1:] + ".")
    tasks = parser.add_subparsers(title="tasks", required=True, metavar="TASK")
    critic = _add(tasks, "critic", "genprm.training.command:train", "train a critic on conversations with rationales")
    critic.add_argument(
        "--protocol",
        dest="task",
        default="genprm",
        choices=["genprm", "chat"],
        help="the form of the rationales (default: %(default)s)",
    )
    policy = _add(tasks, "policy", "genprm.training.command:train", "train a policy on solutions and revisions")
    policy.set_defaults(task="policy")
    for task in (critic, policy):
        task.set_defaults(resumable=True)
        training(task)
    heads(_add(tasks, "head", "genprm.training.head_command:train", "train heads that score steps, on values of them"))


def _add_serve(commands: Any) -> None:
    text = "critiques, scores, rankings and refinements over HTTP, and a page that shows them while they are made"
    parser = _add(commands, "serve", "genprm.serving.command:command", text)
    serving(parser)
    recipe(parser)


def _add_view(commands: Any) -> None:
    text = "a page over a saved run, or two side by side: filter, search, jump to any row"
    viewing(_add(commands, "view", "genprm.viewing.command:view", text))
    reporting(_add(commands, "report", "genprm.viewing.command:report", "a saved run as one HTML file"))


if __name__ == "__main__":
    sys.exit(main())
