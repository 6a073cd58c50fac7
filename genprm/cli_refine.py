"""Options of ``genprm refine`` and ``genprm eval refine``: the policy, and how it is to refine."""

import argparse

from genprm.cli_options import recipe

VOTES = 4
"""Rationales a step, where nothing else is asked for."""


def refining(parser: argparse.ArgumentParser) -> None:
    """The policy, the plan, and the critic with its recipe."""
    policy_options(parser)
    plan_options(parser)
    recipe(parser)
    parser.set_defaults(n=VOTES)


def plan_options(parser: argparse.ArgumentParser) -> None:
    """How a solution is refined."""
    plan = parser.add_argument_group("refinement")
    plan.add_argument("--turns", type=int, default=3, metavar="T", help="revisions, at most (default: %(default)s)")
    plan.add_argument("--tokens", type=int, metavar="N", help="begin no turn once N tokens are written")
    plan.add_argument(
        "--from",
        dest="scope",
        default="whole",
        choices=["whole", "error"],
        help="what is written again: the whole solution (default), or what comes from the faulty step on",
    )
    plan.add_argument(
        "--base", default="best", choices=["best", "last"], help="the version that is revised (default: %(default)s)"
    )
    plan.add_argument(
        "--score",
        default="progress",
        choices=["progress", "min", "mean", "product"],
        help="of a solution: the share of its steps before the first error (default), or of the rewards of all steps",
    )
    plan.add_argument(
        "--margin",
        type=float,
        default=0.01,
        metavar="X",
        help="a version leads only when it is accepted, or better by more (default: %(default)s)",
    )
    plan.add_argument(
        "--drafts", type=int, default=1, metavar="M", help="revisions a turn, of which the best goes on (default: 1)"
    )
    plan.add_argument(
        "--tries", type=int, default=2, metavar="N", help="texts a draft until one is new (default: %(default)s)"
    )


def policy_options(parser: argparse.ArgumentParser, default: str | None = "nano:policy") -> None:
    """``default``: None where there need not be any."""
    group = parser.add_argument_group("policy")
    group.add_argument(
        "--policy",
        default=default,
        metavar="SPEC",
        help=f"its engine (default: {default or 'none, nothing is revised'})",
    )
    group.add_argument("--policy-model", metavar="MODEL", help="its name on the server, where it serves several")
    group.add_argument("--policy-template", metavar="NAME", help="its chat template")
    group.add_argument(
        "--policy-option", action="append", default=[], metavar="NAME=VALUE", help="an option of its engine"
    )
    group.add_argument("--policy-temperature", type=float, default=0.6, metavar="X", help="(default: %(default)s)")
    group.add_argument("--max-tokens", type=int, default=1024, metavar="N", help="of an answer (default: %(default)s)")
    group.add_argument(
        "--wording",
        default="paragraph",
        choices=["paragraph", "quote"],
        help="how it is told: as nano:policy was trained (default), or a quotation and the request to think again, for "
        "instruct models",
    )


def refine_options(parser: argparse.ArgumentParser) -> None:
    """Of ``genprm refine``."""
    parser.add_argument(
        "source",
        nargs="?",
        help="what to refine, read as by genprm critique; without it the policy solves --problem",
    )
    parser.add_argument("--problem", metavar="TEXT", help="the problem, where the source is a bare solution or absent")
    parser.add_argument("--fresh", action="store_true", help="begin with solutions of the policy's own")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N rows of every split")
    parser.add_argument("--id", action="append", metavar="ID", help="only this row; may be repeated")
    parser.add_argument("--retry-failed", action="store_true", help="refine again what an engine failed on")
    parser.add_argument(
        "--reviewer",
        default="critic",
        choices=["critic", "no-code", "self", "resample"],
        help="the critic (default), the same without code, the policy itself, or nobody: fresh samples, majority",
    )
    parser.add_argument("--json", action="store_true", help="one JSON record a line instead of text")
    parser.add_argument("--run", metavar="DIR", help="keep the results there, and go on there when started again")
    refining(parser)
    parser.set_defaults(split=None)
