"""Options that several commands share."""

import argparse
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from genprm.defaults import ENGINE


class Listed:
    """Choices that a module lists, by ``module:name``: imported only when they are asked for, so that a ``metavar`` is
    needed beside them."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __iter__(self) -> Iterator[Any]:
        module, _, name = self._where.partition(":")
        return iter(getattr(import_module(module), name))


def level(parser: Any, *names: str) -> None:
    parser.add_argument(
        *names,
        dest="sandbox_level",
        default="confined",
        choices=["confined", "process"],
        help="process: run checks also where files and network cannot be confined (default: confined)",
    )


def policy(parser: Any, *names: str) -> None:
    parser.add_argument(
        *names,
        dest="sandbox_policy",
        default="audit",
        choices=["audit", "enforce", "off"],
        help="checks that RestrictedPython refuses are flagged, or not run, or nobody asks (default: audit)",
    )


def rows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--split", help="only this split")
    parser.add_argument("--id", action="append", metavar="ID", help="only this row; may be repeated")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N rows of every split")
    parser.add_argument(
        "--retry-failed", action="store_true", help="judge rows of the run again that the engine failed on"
    )


def generated(parser: argparse.ArgumentParser, problems: int) -> None:
    """Which problems of the world."""
    parser.add_argument("--problems", type=int, default=problems, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument(
        "--split",
        default="test",
        choices=Listed("genprm.synth.world.examples:HELD_OUT"),
        metavar="SPLIT",
        help="%(choices)s: disjoint problems (default: %(default)s)",
    )
    parser.add_argument(
        "--difficulty",
        type=int,
        choices=Listed("genprm.synth.world.problems:DIFFICULTIES"),
        metavar="D",
        help="only problems of this difficulty: %(choices)s",
    )


def engine(parser: argparse.ArgumentParser, default: str | None = ENGINE) -> Any:
    """``default``: None where one must be named."""
    group = parser.add_argument_group("engine")
    group.add_argument(
        "--engine",
        default=default,
        required=default is None,
        metavar="SPEC",
        help="nano, symbolic, http(s)://HOST/v1[#MODEL], vllm:MODEL, hf:MODEL, nano:policy, nano:FOLDER, scripted:FILE"
        + (" (default: %(default)s)" if default else ""),
    )
    group.add_argument("--model", help="the model's name on the server, where it serves several")
    group.add_argument(
        "--template", help="chat template: deepseek-r1 or chatml (default: the tokenizer's own, on servers by the name)"
    )
    group.add_argument(
        "--engine-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the engine: any of vLLM's (tensor_parallel_size=2), device=cpu of hf, patience_s=60 of http",
    )
    return group


def sampling(group: Any) -> None:
    group.add_argument("--temperature", type=float, default=0.6, help="(default: %(default)s)")
    group.add_argument("--top-p", type=float, default=0.95, help="(default: %(default)s)")
    group.add_argument("--top-k", type=int, default=20, help="0 for no limit (default: %(default)s)")
    group.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")


def recipe(parser: argparse.ArgumentParser) -> None:
    """How a critique is made: the same options wherever one is made."""
    group = engine(parser)
    group.add_argument(
        "--concurrency",
        type=int,
        default=64,
        metavar="N",
        help="calls to the engine in flight at once (default: %(default)s)",
    )
    method = parser.add_argument_group("method")
    method.add_argument("--protocol", default="genprm", help="genprm (default), chat or judge")
    method.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a field of the protocol, such as execute=false",
    )
    method.add_argument("-n", type=int, default=1, metavar="N", help="rationales a step (default: %(default)s)")
    method.add_argument(
        "--vote", choices=["mean", "majority", "index"], help="how they vote (default: mean; judge: index)"
    )
    method.add_argument("--threshold", type=float, default=0.5, help="a step is wrong below it (default: %(default)s)")
    method.add_argument("--stop-at-first-error", action="store_true", help="do not judge the steps after it")
    method.add_argument(
        "--context",
        default="chain",
        choices=["chain", "first", "none"],
        help="what a rationale sees of the steps before: its own sample's rationales (chain, default), those of the "
        "first sample, or none",
    )
    method.add_argument(
        "--stopping",
        choices=["exact", "predictive", "none"],
        help="leave out votes that cannot change a step's verdict (exact, default), or that change it with a "
        "probability of at most --stop-error (predictive)",
    )
    method.add_argument("--stop-error", type=float, default=0.01, metavar="P", help="(default: %(default)s)")
    sampling(method)
    box = parser.add_argument_group("sandbox")
    box.add_argument("--check-cpu", type=float, default=5.0, metavar="S", help="CPU seconds of one check (default: 5)")
    box.add_argument("--check-memory", type=int, default=1024, metavar="MB", help="memory of one check (default: 1024)")
    level(box, "--sandbox-level")
    policy(box, "--sandbox-policy")
