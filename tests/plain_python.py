"""What plain Python makes of many codes: a fresh process each, confined by other means than the sandbox under test.

The codes are models' answers, so nothing here trusts them: they run as another user than ours, in namespaces of their
own (no network, no sight of our processes, a read-only root), with limits on CPU time, memory, files and processes.
util-linux does that (``unshare``, ``setpriv``); it shares no line with the sandbox, so neither can hide the other's
mistake. No filter of system calls is put on: the reference is to be Python as people run it.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CPU_S = 20
"""Four times the sandbox's limit, so that a check that ends in time there has ended here."""

_NOBODY = "60533"
"""A user that nothing else runs as: the limit on processes counts per user."""
_NAMESPACES = ["unshare", "--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc"]
_USER = f"setpriv --reuid {_NOBODY} --regid {_NOBODY} --clear-groups --no-new-privs --bounding-set=-all".split()
_DRIVER = """
import json, os, resource, subprocess, sys
from concurrent.futures import ThreadPoolExecutor

order = json.load(sys.stdin)
LIMITS = ((resource.RLIMIT_CPU, order["cpu_s"]), (resource.RLIMIT_AS, 4 << 30), (resource.RLIMIT_FSIZE, 0),
          (resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_NPROC, 256), (resource.RLIMIT_CORE, 0))
for what, value in LIMITS[2:]:
    resource.setrlimit(what, (value, value))

def limit():
    for what, value in LIMITS[:2]:
        resource.setrlimit(what, (value, value))

def run(code):
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, env=order["env"], cwd="/",
                              preexec_fn=limit, timeout=10 * order["cpu_s"])
    except subprocess.TimeoutExpired:
        return [None, "", ""]
    return [done.returncode, done.stdout.decode(), done.stderr.decode()]

with ThreadPoolExecutor(order["at_once"]) as pool:
    print(json.dumps(list(pool.map(run, order["codes"]))))
"""


@dataclass(frozen=True, slots=True)
class Plain:
    """How one code ended."""

    code: int | None
    """Exit code; negative or None where it was ended at a limit."""
    stdout: str
    error: str
    """The last line of standard error when it failed."""

    @property
    def ended(self) -> bool:
        return self.code is not None and self.code >= 0


def missing() -> str:
    """Why the reference cannot be had on this machine; empty when it can."""
    if os.getuid() != 0:
        return "the reference run of plain Python needs root, to give it away"
    absent = [tool for tool in ("unshare", "setpriv", "mount") if shutil.which(tool) is None]
    return f"the reference run of plain Python needs {', '.join(absent)}" if absent else ""


def run_all(codes: list[str], hash_seed: str) -> list[Plain]:
    """Run each code in a fresh ``python -c``."""
    environment = {"PYTHONHASHSEED": hash_seed, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"PATH": "/usr/bin:/bin", "OPENBLAS_NUM_THREADS": "1"}
    order = {"codes": codes, "cpu_s": CPU_S, "at_once": os.cpu_count() or 1, "env": environment}
    command = [*_NAMESPACES, "sh", "-ec", _mounts(), *_USER, sys.executable, "-c", _DRIVER]
    done = subprocess.run(command, input=json.dumps(order), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [_plain(*ended) for ended in json.loads(done.stdout)]


def _mounts() -> str:
    """Shell: a root that cannot be written, with Python in it also where it lies under a home that is closed."""
    private = "mount --make-rprivate /\nmount -t tmpfs -o mode=755 plain /tmp\n"
    kept, homes = [], set()
    for number, path in enumerate({os.path.realpath(sys.base_prefix), os.path.realpath(sys.prefix)}):
        home = next((str(p) for p in reversed(Path(path).parents) if not p.stat().st_mode & 0o001), None)
        if home is not None:
            homes.add(home)
            kept.append((f"/tmp/{number}", shlex.quote(path)))
    script = private + "".join(f"mkdir {aside}\nmount --bind {path} {aside}\n" for aside, path in kept)
    script += "".join(f"mount -t tmpfs -o mode=755 plain {shlex.quote(home)}\n" for home in homes)
    script += "".join(f"mkdir -p {path}\nmount --bind {aside} {path}\n" for aside, path in kept)
    places = ["/tmp", "/", "/dev/shm", *homes, *(path for _, path in kept)]
    return script + "".join(f"mount -o remount,bind,ro {place}\n" for place in places) + 'exec "$0" "$@"'


def _plain(code: int | None, stdout: str, stderr: str) -> Plain:
    lines = stderr.strip().splitlines()
    return Plain(code, stdout, lines[-1] if code and lines else "")
