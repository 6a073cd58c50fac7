"""``genprm view`` and ``genprm report``."""

import argparse
import webbrowser
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from genprm.errors import ConfigError
from genprm.viewing.folders import open_run

Work = Coroutine[Any, Any, int]


def view(args: argparse.Namespace) -> Work:
    """Serve the page until SIGTERM or Ctrl-C: 0."""
    from genprm.viewing.answers import Desk

    runs = [open_run(path) for path in (args.run_folder, args.other) if path is not None]
    return _view(Desk(runs), args.port, args.open)


async def _view(desk: Any, port: int, open_: bool) -> int:
    from genprm.viewing.server import serve

    def say_where(url: str) -> None:
        print(f"genprm: {' and '.join(str(viewed.folder) for viewed in desk.runs)} at {url}", flush=True)
        if open_:
            webbrowser.open(url)

    desk.refresh()
    await serve(desk, port, say_where)
    return 0


def report(args: argparse.Namespace) -> Work:
    """Write one file: 0."""
    from genprm.viewing.report import Chosen

    output = Path(args.output)
    if not output.absolute().parent.is_dir():
        raise ConfigError(f"-o {output}: there is no such folder")
    if args.rows < 0:
        raise ConfigError("--rows is 0 or more")
    return _report(open_run(args.run_folder), Chosen(args.rows, args.only, args.rationales), output)


async def _report(viewed: Any, chosen: Any, output: Path) -> int:
    from genprm.runs import write_whole
    from genprm.viewing.report import pages

    written = 0

    def counted() -> Iterator[bytes]:
        nonlocal written
        for piece in pages(viewed, chosen):
            written += len(piece)
            yield piece

    write_whole(output, counted())
    print(f"report: {output} ({written / 1e6:.1f} MB)")
    return 0
