"""Options of ``genprm view`` and ``genprm report``."""

import argparse


def viewing(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    parser.add_argument("other", nargs="?", metavar="RUN2", help="another one, to stand beside it")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="(default: any that is free)")
    parser.add_argument("--open", action="store_true", help="open it in the browser")


def reporting(parser: argparse.ArgumentParser) -> None:
    _run(parser)
    parser.add_argument("-o", "--output", default="report.html", metavar="FILE", help="(default: %(default)s)")
    parser.add_argument("--rows", type=int, default=100, metavar="N", help="rows at most (default: %(default)s)")
    parser.add_argument(
        "--only",
        choices=["wrong", "disagree", "failed"],
        help="rows that differ from the label, whose votes are divided, or in which something failed",
    )
    parser.add_argument(
        "--rationales", type=int, default=2, metavar="N", help="rationales of a step at most (default: %(default)s)"
    )


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run_folder",
        metavar="RUN",
        help="a run folder, a folder of a synthesis, a dataset, or a .jsonl file of records",
    )
