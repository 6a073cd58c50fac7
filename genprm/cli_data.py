"""Options of ``genprm synth import`` and ``genprm synth check``."""

import argparse


def importing(parser: argparse.ArgumentParser) -> None:
    _data(parser)
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="a .jsonl file")
    parser.add_argument("--teacher", default="", metavar="NAME", help="who wrote the rationales, where no row says so")


def checking(parser: argparse.ArgumentParser) -> None:
    _data(parser)
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="FILE",
        help="an evaluation set, a file or a folder: problems that share words with it are contaminated",
    )
    parser.add_argument("--field", metavar="NAME", help="of its rows: where the problem stands (default: problem, …)")
    parser.add_argument("--words", type=int, default=13, metavar="N", help="of an n-gram (default: %(default)s)")
    parser.add_argument(
        "--share", type=float, default=0.0, metavar="X", help="n-grams of a problem to be shared (default: one)"
    )
    parser.add_argument(
        "--near", type=float, default=0.8, metavar="X", help="Jaccard index of near-duplicates (default: %(default)s)"
    )
    parser.add_argument("--list", action="store_true", help="every dropped row with its reason")
    parser.add_argument("--json", action="store_true", help="the figures as a JSON record")


def _data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", nargs="+", help="files of rows, folders of them, datasets: OWNER/NAME[:SPLIT]")
