"""Options of the pipeline of ``genprm synth``."""

import argparse
from collections.abc import Callable
from typing import Any

_STAGES = {
    "solutions": "sample solutions of problems, or read them",
    "values": "Monte-Carlo values of every prefix, by completions",
    "prover": "values under a prover, for labels by advantage",
    "labelers": "labels of steps by further labelers",
    "labels": "labels of steps from their values",
    "quality": "drop solutions that are not worth a teacher's time",
    "rationales": "a teacher's analyses and checks of every step",
    "consensus": "keep those on which labels and teacher agree",
    "export": "write the dataset",
}

Add = Callable[[Any, str, str, str], argparse.ArgumentParser]


def pipeline(kinds: Any, add: Add) -> None:
    """``run`` and one command for each stage."""
    text = "problems to training data: all stages of a pipeline, one after the other"
    run = add(kinds, "run", "genprm.synth.run_command:run", text)
    run.add_argument("pipeline", help="a .toml file (docs/synth.md)")
    run.add_argument("--stage", choices=list(_STAGES), metavar="NAME", help="only this one: %(choices)s")
    run.add_argument("-o", "--output", metavar="DIR", help="the pipeline's folder (default: runs/synth-… by the file)")
    _common(run)
    for name, text in _STAGES.items():
        stage = add(kinds, name, "genprm.synth.run_command:stage", f"one stage of a pipeline: {text}")
        stage.add_argument("pipeline", help="DIR/pipeline.toml, or DIR: the stage is run in that folder")
        stage.set_defaults(stage=name)
        _common(stage)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plan", action="store_true", help="run nothing; say what it will cost")
    parser.add_argument("--retry-failed", action="store_true", help="work again on items that failed")
    parser.set_defaults(resumable=True)
