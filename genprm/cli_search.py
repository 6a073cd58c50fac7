"""Options of ``genprm search``, ``genprm eval search`` and ``genprm eval provers``."""

import argparse
from typing import Any

from genprm.cli_options import Listed, sampling


def search(parser: argparse.ArgumentParser) -> None:
    """One search a problem."""
    parser.add_argument(
        "source",
        help="a .json, .jsonl or .parquet file of rows with problem (or question) and, where known, answer; any other "
        "file, or - for standard input: the text of one problem",
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
