"""Options of ``genprm train``: the fields of a run's own options, which know their defaults and what they are for."""

import argparse
import dataclasses
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from genprm.training.head_options import HeadOptions
from genprm.training.options import Options

_UNITS = {int: "N", float: "X"}


def training(parser: argparse.ArgumentParser, kind: type[Options] = Options, what: str = "conversations") -> None:
    """What is not given is not in the namespace: ``read_options`` fills it in."""
    parser.add_argument(
        "data",
        nargs="+",
        help=f"files of {what}, folders of them" + (", datasets: OWNER/NAME[:SPLIT]" if kind is Options else ""),
    )
    parser.add_argument("--valid", action="append", default=[], metavar="DATA", help="rows to validate on")
    parser.add_argument("--output", required=True, metavar="DIR", help="the model goes there; begun again, it goes on")
    groups: dict[str, Any] = {name: parser.add_argument_group(name) for name in kind.groups()}
    start = groups["model"].add_mutually_exclusive_group(required=True)
    for field in dataclasses.fields(kind):
        if field.metadata:
            group = start if field.name in ("model", "new") else groups[field.metadata["group"]]
            group.add_argument(f"--{field.name.replace('_', '-')}", default=argparse.SUPPRESS, **_described(field))


def heads(parser: argparse.ArgumentParser) -> None:
    """Of ``genprm train head``."""
    parser.set_defaults(task="heads", resumable=True)
    training(parser, HeadOptions, "values")
    parser.add_argument(
        "--prover-values",
        action="append",
        default=[],
        metavar="DATA",
        help="values of the same solutions under the prover, for the head progress",
    )
    parser.add_argument("--prover", metavar="NAME", help="what the prover is called (default: as the values say)")


def _described(field: "dataclasses.Field[Any]") -> dict[str, Any]:
    text, kind = field.metadata["help"], _kind(field.type)
    if kind is bool:
        return {"action": "store_true", "help": text}
    if field.default is not None:
        text += f" (default: {field.default})"
    if get_origin(kind) is Literal:
        return {"choices": get_args(kind), "help": text}
    return {"type": kind, "metavar": field.metadata["metavar"] or _UNITS.get(kind), "help": text}


def _kind(annotation: Any) -> Any:
    """Without the None of what may be left open."""
    found = get_args(annotation)
    return found[0] if NoneType in found else annotation
