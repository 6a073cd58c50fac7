"""Entry of the warm process: loads the libraries once, confines itself, finds out what that is worth, then serves."""

import contextlib
import gc
import json
import os
import resource
import socket
import sys
from dataclasses import replace

from genprm.sandbox import landlock, seccomp
from genprm.sandbox.confine import Kit
from genprm.sandbox.frames import RECORD_BYTES
from genprm.sandbox.isolate import DEVICES, isolate, readable
from genprm.sandbox.kernel import machine
from genprm.sandbox.layers import Layer, attempt
from genprm.sandbox.limits import Limits
from genprm.sandbox.preload import preload, warm_up
from genprm.sandbox.probe import Findings, probe
from genprm.sandbox.zygote import Zygote

_MOST_DESCRIPTORS = 65536


def main(control_fd: int) -> None:
    control = socket.socket(fileno=control_fd)
    order = json.loads(control.recv(RECORD_BYTES))
    host = os.pidfd_open(order["host"])
    if os.getppid() != order["host"]:  # it died before we could watch it
        return
    gc.disable()
    layers, kit, scratch = _prepare(order["base"], Limits(**order["limits"]))
    found = _try_out(kit, scratch)
    layers, kit = _without(found.failed, layers, kit)
    _forget_ourselves()
    gc.collect()
    gc.freeze()
    zygote = Zygote(control, host, kit, scratch)
    ready = {"event": "ready", "files": found.files, "network": found.network}
    in_use = scratch.startswith(order["base"])
    zygote.say({**ready, "layers": [[layer.name, layer.active, layer.why] for layer in layers], "base_in_use": in_use})
    zygote.serve()


def _prepare(base: str, limits: Limits) -> tuple[list[Layer], Kit, str]:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, _MOST_DESCRIPTORS), most))
    _die_first()
    packages = preload()
    warm_up()
    address_space = _address_space()
    paths = readable(packages)
    layers, scratch = isolate(base, paths)
    kit, own = _kit(Kit(limits, os.getpid(), address_space), paths)
    return [*layers, *own, Layer("rlimits", True), Layer("own process group", True)], kit, scratch


def _kit(kit: Kit, paths: list[str]) -> tuple[Kit, list[Layer]]:
    """Add what the children will need to confine themselves."""

    def with_landlock() -> None:
        nonlocal kit
        version = landlock.abi()
        rules = [(os.open(path, os.O_PATH), landlock.READ) for path in paths]
        rules += [(os.open(path, os.O_PATH), landlock.DEVICE) for path in DEVICES]
        kit = replace(kit, landlock=version, rules=rules)

    def with_seccomp() -> None:
        nonlocal kit
        kit = replace(kit, filter=seccomp.program(machine()))

    layers = [attempt("landlock", with_landlock), attempt("seccomp", with_seccomp)]
    return kit, layers


def _try_out(kit: Kit, scratch: str) -> Findings:
    folder = os.path.join(scratch, "probe")
    os.mkdir(folder, 0o700)
    try:
        return probe(kit, folder)
    finally:
        os.rmdir(folder)


def _without(failed: dict[str, str], layers: list[Layer], kit: Kit) -> tuple[list[Layer], Kit]:
    """Leave out what the probe could not put in force."""
    if "landlock" in failed:
        kit = replace(kit, landlock=0)
    if "seccomp" in failed:
        kit = replace(kit, filter=b"")
    known = {layer.name for layer in layers}
    layers = [
        replace(layer, active=False, why=failed[layer.name]) if layer.name in failed else layer for layer in layers
    ]
    return layers + [Layer(name, False, why) for name, why in failed.items() if name not in known], kit


def _address_space() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def _die_first() -> None:
    """Ask to be the one that goes when the machine runs out of memory: we and our children can be had again."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def _forget_ourselves() -> None:
    """Checks import what is installed, not what happens to be in our process; nothing is heard of us from here on."""
    for name in [name for name in sys.modules if name.split(".")[0] == "genprm"]:
        del sys.modules[name]
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
