"""The attacks that the sandbox is tried with. Read them as data: the harness runs them inside it only."""

from genprm.sandbox.trials.attacks import (
    cpu,
    crashes,
    files,
    kernel,
    memory,
    native,
    network,
    objects,
    output,
    processes,
    state,
    symbolic,
)
from genprm.sandbox.trials.attacks.kind import Attack

ATTACKS: tuple[Attack, ...] = (
    *files.ATTACKS,
    *network.ATTACKS,
    *processes.ATTACKS,
    *kernel.ATTACKS,
    *native.ATTACKS,
    *objects.ATTACKS,
    *symbolic.ATTACKS,
    *memory.ATTACKS,
    *output.ATTACKS,
    *state.ATTACKS,
    *crashes.ATTACKS,
    *cpu.ATTACKS,
)

KINDS = tuple(dict.fromkeys(attack.kind for attack in ATTACKS))

__all__ = ["ATTACKS", "KINDS", "Attack"]
