"""Options of ``genprm rank`` and ``genprm eval bon``."""

import argparse

from genprm.cli_options import Listed, sampling

_SCORER = (
    "critic:ENGINE, head:FOLDER or prm:MODEL; options go behind it: critic:nano,n=8 or "
    "prm:MODEL,layout=qwen,device=cuda"
)


def ranking(parser: argparse.ArgumentParser) -> None:
    """Of ``genprm rank``."""
    parser.add_argument("source", help="rows of problems with their candidates; with --policy, of problems")
    parser.add_argument("--scorer", metavar="SPEC", help=f"{_SCORER} (default: none, the majority is taken)")
    parser.add_argument(
        "--by",
        default="min",
        choices=Listed("genprm.rank:RULES"),
        metavar="RULE",
        help="how scores of steps become one: %(choices)s (default: %(default)s)",
    )
    parser.add_argument("--weighted", action="store_true", help="equal answers vote, with their scores as weights")
    parser.add_argument("--json", action="store_true", help="one JSON record a line instead of a table")
    _candidates(parser, "rank")


def best_of_n(parser: argparse.ArgumentParser) -> None:
    """Of ``genprm eval bon``."""
    parser.add_argument(
        "source", nargs="?", help="rows of problems with their candidates; without, problems of the world"
    )
    parser.add_argument("--scorer", action="append", default=[], metavar="SPEC", help=f"{_SCORER}; may be repeated")
    parser.add_argument("--problems", type=int, default=300, metavar="N", help="of the world (default: %(default)s)")
    parser.add_argument(
        "--split",
        default="test",
        choices=Listed("genprm.synth.world.examples:HELD_OUT"),
        metavar="SPLIT",
        help="%(choices)s: disjoint problems of the world (default: %(default)s)",
    )
    parser.add_argument("--resamples", type=int, default=2000, metavar="N", help="of the bootstrap (default: 2000)")
    _candidates(parser, "bon")


def _candidates(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N problems")
    parser.add_argument("--run", metavar="DIR", help=f"the run folder (default: runs/{name}-… by configuration)")
    parser.add_argument("--retry-failed", action="store_true", help="score again what a scorer failed on")
    group = parser.add_argument_group("policy")
    group.add_argument("--policy", metavar="SPEC", help="sample the candidates from this engine, such as nano:policy")
    group.add_argument("-n", type=int, default=8, metavar="N", help="candidates a problem (default: %(default)s)")
    group.add_argument("--max-tokens", type=int, default=1024, metavar="N", help="of one (default: %(default)s)")
    group.add_argument("--concurrency", type=int, default=64, metavar="N", help="calls at once (default: %(default)s)")
    sampling(group)
    parser.set_defaults(resumable=True)
