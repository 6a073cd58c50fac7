"""Options of ``genprm train``: the fields of a run's own options, which know their defaults and what they are for."""

import argparse
import dataclasses
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from genprm.training.options import GROUPS, Options

_UNITS = {int: "N", float: "X"}


def training(parser: argparse.ArgumentParser) -> None:
    """What is not given is not in the namespace: ``read_options`` fills it in."""
    parser.add_argument(
        "data",
        nargs="+",
        help="files of conversations, folders of them, datasets: OWNER/NAME[:SPLIT], train by default",
    )
    parser.add_argument("--valid", action="append", default=[], metavar="DATA", help="rows to validate on")
    parser.add_argument("--output", required=True, metavar="DIR", help="the model goes there; begun again, it goes on")
    groups: dict[str, Any] = {name: parser.add_argument_group(name) for name in GROUPS}
    start = groups["model"].add_mutually_exclusive_group(required=True)
    for field in dataclasses.fields(Options):
        if field.metadata:
            group = start if field.name in ("model", "new") else groups[field.metadata["group"]]
            group.add_argument(f"--{field.name.replace('_', '-')}", default=argparse.SUPPRESS, **_described(field))


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
