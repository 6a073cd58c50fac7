"""Options of ``genprm serve``."""

import argparse

from genprm.cli_refine import plan_options, policy_options
from genprm.serving.options import SETTINGS, Options

_HELP = {
    "host": ("ADDRESS", "where to listen; anything but this machine itself needs --keys"),
    "port": ("N", "0 for any that is free"),
    "keys": ("FILE", "hashes of the keys that are let in"),
    "max_n": ("N", "rationales a step that a request may ask for"),
    "max_turns": ("N", "revisions that a request may ask for, where there is a policy"),
    "max_steps": ("N", "steps of a solution"),
    "max_solutions": ("N", "solutions of a batch"),
    "max_chars": ("N", "characters of a problem or a step"),
    "max_body": ("BYTES", "of a request"),
    "deadline_s": ("S", "no request waits longer"),
    "read_s": ("S", "in which a client must have sent its headers, and its body"),
    "in_flight": ("N", "solutions judged at once"),
    "queue": ("N", "solutions that may wait; more are refused with 429"),
    "key_rate": ("X", "solutions a second of one key, or address; 0: no limit"),
    "key_burst": ("N", "that it may be ahead of its rate"),
    "key_in_flight": ("N", "requests at once of one key, or address; 0: no limit"),
    "connections": ("N", "open connections"),
    "cache_entries": ("N", "critiques kept; 0: none"),
    "cache_bytes": ("BYTES", "their size as JSON"),
    "cache_s": ("S", "how long they are kept"),
    "grace_s": ("S", "for requests to finish after SIGTERM"),
}


def serving(parser: argparse.ArgumentParser) -> None:
    """Every option that is not given has the default of ``Options``; without ``--policy`` nothing is revised."""
    group = parser.add_argument_group("service")
    for name, (metavar, text) in _HELP.items():
        default = Options.__dataclass_fields__[name].default
        shown = (
            ""
            if default == ""
            else f" (default: {default:g})"
            if isinstance(default, float)
            else f" (default: {default})"
        )
        option = f"--{name.removesuffix('_s').replace('_', '-')}"
        group.add_argument(option, dest=name, type=type(default), default=default, metavar=metavar, help=text + shown)
    group.add_argument("--new-key", metavar="NAME", help="make a key, add its hash to the file of --keys, and end")
    group.add_argument(
        "--allow-host", dest="hosts", action="append", default=[], metavar="NAME", help="a name that the server goes by"
    )
    group.add_argument(
        "--cors", action="append", default=[], metavar="ORIGIN", help="an origin whose pages may call (default: none)"
    )
    group.add_argument(
        "--settable",
        nargs="*",
        default=list(SETTINGS),
        choices=SETTINGS,
        metavar="NAME",
        help="what requests may choose: " + ", ".join(SETTINGS) + " (default: all)",
    )
    group.add_argument("--log-text", action="store_true", help="write problems and solutions to the log")
    policy_options(parser, default=None)
    plan_options(parser)
