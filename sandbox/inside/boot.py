"""Entry of the warm process: loads the libraries once, confines itself, finds out what that is worth, then serves."""

import contextlib
import gc
import json
import os
import resource
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace

from genprm.sandbox.frames import RECORD_BYTES
from genprm.sandbox.inside import memory, warmup
from genprm.sandbox.inside.confine import CHANNEL, Kit
from genprm.sandbox.inside.isolate import isolate, own_processes, readable
from genprm.sandbox.inside.preload import preload, reseed
from genprm.sandbox.inside.probe import Findings, probe
from genprm.sandbox.inside.zygote import Zygote
from genprm.sandbox.kernel import calls, seccomp
from genprm.sandbox.layers import Layer, attempt
from genprm.sandbox.limits import Limits

_MOST_DESCRIPTORS = 65536


def main(control_fd: str) -> None:
    control = socket.socket(fileno=int(control_fd))
    order = json.loads(control.recv(RECORD_BYTES))
    host = os.pidfd_open(order["host"])
    if os.getppid() != order["host"]:  # it died before we could watch it
        return
    gc.disable()
    _first_to_go()
    layers = own_processes()
    packages = preload(order["preload"])
    warmup.first()
    reseed(order["seed"])
    # Out of reach once we are confined, and needed later.
    null, maps = os.open(os.devnull, os.O_RDWR), os.open("/proc/self/maps", os.O_RDONLY)
    kit = Kit(Limits(**order["limits"]), os.getpid(), _address_space(), order["seed"])
    layers += isolate(order["base"], readable(packages))
    kit, listener, own = _fence(kit)
    found = probe(kit)
    layers, kit = _without(found, [*layers, *own], kit)
    zygote = Zygote(control, host, kit, _warm(kit.seed, maps, order["warm"]))
    _forget_ourselves(null)
    memory.settle(maps)
    rows = [[layer.name, layer.active, layer.why] for layer in layers]
    ready = {"event": "ready", "files": found.files, "network": found.network, "forks": kit.forks, "layers": rows}
    zygote.say(ready, *([listener] if kit.forks else []))
    if listener >= 0:
        os.close(listener)
    zygote.serve()


def _fence(kit: Kit) -> tuple[Kit, int, list[Layer]]:
    """Add what the children will need to confine themselves; returns also the descriptor that hears of forks."""
    machine = calls.machine()
    listener = -1

    def with_gate() -> None:
        nonlocal kit, listener
        listener = seccomp.listen(seccomp.gate(machine), machine)
        kit = replace(kit, forks=True)

    def with_seccomp() -> None:
        nonlocal kit
        kit = replace(kit, filter=seccomp.program(machine, CHANNEL, kit.forks))

    layers = [attempt("gate for forks", with_gate), attempt("seccomp", with_seccomp), Layer("rlimits", True)]
    return kit, listener, layers


def _without(found: Findings, layers: list[Layer], kit: Kit) -> tuple[list[Layer], Kit]:
    """Leave out what the probe could not put in force."""
    failed = found.failed
    if "seccomp" in failed:
        kit = replace(kit, filter=b"", forks=False)
    known = {layer.name for layer in layers}
    layers = [
        replace(layer, active=False, why=failed[layer.name]) if layer.name in failed else layer for layer in layers
    ]
    return layers + [Layer(name, False, why) for name, why in failed.items() if name not in known], kit


def _address_space() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def _warm(seed: int | None, maps: int, wanted: bool) -> Iterator[None]:
    """The chores of the idle zygote. No child must be able to tell how many are done, but by its speed."""
    for _ in warmup.rest() if wanted else iter(()):
        reseed(seed)
        gc.freeze()
        yield
    memory.settle(maps)
    os.close(maps)


def _first_to_go() -> None:
    """Ask to be the one that goes when the machine runs out of memory: we and our children can be had again."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, _MOST_DESCRIPTORS), most))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def _forget_ourselves(null: int) -> None:
    """Checks import what is installed, not what happens to be in our process; nothing is heard of us from here on."""
    for name in [name for name in sys.modules if name.split(".")[0] == "genprm"]:
        del sys.modules[name]
    os.environ.clear()
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
