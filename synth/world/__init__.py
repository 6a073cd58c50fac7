"""A procedural world of word problems in which the truth about every step is known."""

from genprm.synth.world.examples import SPLITS, Example, Split, example, examples
from genprm.synth.world.faults import FIRST_KINDS, KINDS
from genprm.synth.world.truth import Step, StepTruth

__all__ = ["FIRST_KINDS", "KINDS", "SPLITS", "Example", "Split", "Step", "StepTruth", "example", "examples"]
