"""Options of ``genprm search``, ``genprm eval search`` and ``genprm eval provers``."""

import argparse
from typing import Any

from genprm.cli_options import Listed, generated, sampling


def search(parser: argparse.ArgumentParser) -> None:
    """One search a problem."""
    parser.add_argument(
        "source",
        help="a .json, .jsonl or .parquet file of rows with problem (or question) and, where known, answer; any other "
        "file, or - for standard input: the text of one problem, read up to the title Solution",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N problems")
    parser.add_argument("--json", action="store_true", help="one JSON record a line instead of text")
    parser.add_argument("--run", metavar="DIR", help="keep the results there, and go on there when started again")
    group = parser.add_argument_group("score")
    _policy(group)
    group.add_argument(
        "--scorer",
        metavar="SPEC",
        help="what values steps: critic:ENGINE, head:FOLDER, prm:MODEL, or completions:K[:ENGINE], graded by the "
        "problem's answer",
    )
    group.add_argument("--engine", metavar="SPEC", help="short for --scorer critic:SPEC")
    group.add_argument(
        "--alpha",
        type=float,
        default=0.0,
        metavar="X",
        help="rank steps by Q + X * A, A the progress under the prover; 0 is Q alone (default), inf is A alone",
    )
    group.add_argument(
        "--prover",
        metavar="SPEC",
        help="who judges progress: a scorer as above, bo:K (the best of K of the scorer's values) or bo:K:SCORER "
        "(default: the scorer's own advantages, or differences of its values)",
    )
    method = parser.add_argument_group("search")
    method.add_argument(
        "--algorithm",
        default="beam",
        choices=Listed("genprm.searching.plan:ALGORITHMS"),
        metavar="NAME",
        help="%(choices)s (default: %(default)s)",
    )
    method.add_argument("--beam", type=int, default=4, metavar="B", help="paths, or subtrees (default: %(default)s)")
    method.add_argument(
        "--expand",
        type=int,
        default=4,
        metavar="M",
        help="proposals a path and step, or whole solutions of best-of-n (default: %(default)s)",
    )
    _plan(method)
    parser.set_defaults(temperature=0.7, top_p=1.0, top_k=0)


def eval_search(parser: argparse.ArgumentParser) -> None:
    """Many searches of generated problems."""
    generated(parser, 200)
    parser.add_argument("--run", metavar="DIR", help="the run folder (default: runs/search-… by configuration)")
    group = parser.add_argument_group("scores")
    _policy(group)
    group.add_argument("--scorer", required=True, metavar="SPEC", help="of steps (Q), as for genprm search")
    group.add_argument(
        "--outcome",
        metavar="SPEC",
        help="what best-of-N chooses by: the outcome that this scorer gives (default: the last value of --scorer)",
    )
    group.add_argument(
        "--prover", nargs="+", default=[], metavar="SPEC", help="beam search by Q + alpha A under each of these"
    )
    group.add_argument(
        "--alpha", nargs="+", type=float, default=[1.0], metavar="X", help="with each of these (default: 1)"
    )
    method = parser.add_argument_group("search")
    sizes = [1, 2, 4, 8, 16, 32]
    method.add_argument("--best-of", nargs="+", type=int, default=sizes, metavar="N", help="(default: 1 2 … 32)")
    method.add_argument("--beams", nargs="+", type=int, default=[1, 2, 4, 8], metavar="B", help="(default: 1 2 4 8)")
    method.add_argument("--expand", type=int, default=4, metavar="M", help="proposals a path (default: %(default)s)")
    method.add_argument("--choice", default="last", choices=["last", "effective", "outcome"], help="(default: last)")
    method.add_argument("--floor", type=float, metavar="Q", help="drop paths whose value falls under it")
    _rooms(method)
    sampling(method)
    parser.set_defaults(temperature=0.7, top_p=1.0, top_k=0, resumable=True)


def eval_provers(parser: argparse.ArgumentParser) -> None:
    """Values of steps under several provers."""
    generated(parser, 100)
    parser.add_argument("--run", metavar="DIR", help="the run folder (default: runs/provers-… by configuration)")
    group = parser.add_argument_group("provers")
    _policy(group)
    group.add_argument(
        "--prover",
        nargs="+",
        default=["bo:2", "bo:4", "bo:8", "bo:16", "bo:32"],
        metavar="SPEC",
        help="an engine, bo:K (the best of K of the policy) or bo:K:ENGINE (default: bo:2 … bo:32)",
    )
    method = parser.add_argument_group("method")
    method.add_argument("--states", type=int, default=2, metavar="N", help="a problem (default: %(default)s)")
    method.add_argument("--steps", type=int, default=4, metavar="N", help="proposed at a state (default: %(default)s)")
    method.add_argument("-k", type=int, default=64, metavar="N", help="completions a step (default: %(default)s)")
    method.add_argument(
        "--solution-tokens", type=int, default=1024, metavar="N", help="of a completion (default: %(default)s)"
    )
    sampling(method)
    parser.set_defaults(temperature=0.7, top_p=1.0, top_k=0, resumable=True)


def _plan(method: Any) -> None:
    method.add_argument(
        "--choice",
        default="last",
        choices=Listed("genprm.searching.plan:CHOICES"),
        metavar="NAME",
        help="how one of the finished solutions is chosen: %(choices)s (default: %(default)s, the value of the last "
        "step)",
    )
    method.add_argument("--floor", type=float, metavar="Q", help="drop paths whose value falls under it")
    method.add_argument("--enough", type=int, metavar="N", help="stop at N finished solutions")
    method.add_argument("--max-tokens", type=int, metavar="N", help="that the policy may write in all")
    _rooms(method)
    sampling(method)


def _rooms(method: Any) -> None:
    method.add_argument("--max-steps", type=int, default=30, metavar="N", help="of a path (default: %(default)s)")
    method.add_argument("--step-tokens", type=int, default=256, metavar="N", help="of a step (default: %(default)s)")
    method.add_argument(
        "--solution-tokens",
        type=int,
        default=1024,
        metavar="N",
        help="of a whole solution of best-of-n, and of a completion (default: %(default)s)",
    )


def _policy(group: Any) -> None:
    group.add_argument(
        "--policy", default="nano:policy", metavar="SPEC", help="the engine that writes (default: %(default)s)"
    )
    group.add_argument(
        "--concurrency", type=int, default=64, metavar="N", help="calls to it in flight (default: %(default)s)"
    )
