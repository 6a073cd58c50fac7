"""What this machine can do."""

import argparse
import os
import platform
import shutil
import subprocess
from importlib import metadata, util

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from genprm import __version__
from genprm.engines.connections import KEYS
from genprm.sandbox import Sandbox, SandboxError
from genprm.show import stdout

_ENGINES = {
    "symbolic": ("sympy", "checks by computation, no weights"),
    "http(s)://": ("httpx", "any OpenAI-compatible server"),
    "vllm:": ("vllm", "any model in this process, for GPUs"),
    "nano": ("numpy", "small models in this process, on a CPU, without torch"),
    "hf:": ("transformers", "small models in this process, on GPU or CPU"),
    "scripted:": ("genprm", "answers from a file"),
}
_EXTRAS = {"datasets": "data", "pyarrow": "data", "torch": "hf", "transformers": "hf", "vllm": "vllm"}


async def doctor(args: argparse.Namespace | None = None) -> int:
    """``genprm doctor``: 0 where checks can be confined, else 1."""
    console = stdout()
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_row("[b]genprm[/]", __version__)
    table.add_row("[b]machine[/]", _machine())
    table.add_row("[b]GPU[/]", _gpus())
    for engine, (package, text) in _ENGINES.items():
        table.add_row(f"[b]engine[/] {engine}", f"{_installed(package)} · {text}")
    table.add_row("", "key for servers: " + (next((k for k in KEYS if os.environ.get(k)), "none set") or ""))
    for package, extra in _EXTRAS.items():
        table.add_row(f"[b]extra[/] {extra}", f"{_installed(package)} · {package}")
    console.print(table)
    return await _sandbox(console)


async def _sandbox(console: Console) -> int:
    try:
        async with Sandbox() as sandbox, sandbox.session() as session:
            await session.run("print()")  # the first check of a session waits for its process
            result = await session.run("print(6 * 7)")
            layers = sandbox.layers
    except SandboxError as error:
        console.print(f"[b]sandbox[/]  [red]unusable[/]: {escape(str(error))}")
        return 1
    worked = result.stdout.strip() == "42"
    console.print(
        f"[b]sandbox[/]  {'ok' if worked else escape(result.error)}, a check took {result.wall_s * 1000:.2f} ms"
    )
    console.print("  checks are held against a policy (RestrictedPython), and run behind:")
    for layer in layers:
        mark = "[green]✓[/]" if layer.active else "[yellow]✗[/]"
        console.print(f"  {mark} {layer.name}" + (escape(f": {layer.why}") if layer.why else ""))
    return 0 if worked else 1


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{platform.system()} {platform.release()} {platform.machine()} · Python {platform.python_version()} · "
        f"{os.cpu_count()} cores · {memory:.0f} GiB"
    )


def _gpus() -> str:
    """As the driver lists them; asking torch would take seconds."""
    if (tool := shutil.which("nvidia-smi")) is None:
        return "none found"
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return "the driver does not answer"
    return " · ".join(listed.split("\n")).strip(" ·") or "none found"


def _installed(package: str) -> str:
    if util.find_spec(package) is None:
        return "[yellow]not installed[/]"
    try:
        return f"[green]{package} {metadata.version(package)}[/]"
    except metadata.PackageNotFoundError:  # under another name, as the builds of vLLM for CPU
        return f"[green]{package}[/]"
