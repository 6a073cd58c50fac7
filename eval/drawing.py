"""Pictures beside a report, where matplotlib (extra ``plot``) is installed: drawn, saved and named in the output."""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from genprm.errors import ConfigError, MissingExtra

FORMATS = (".png", ".svg", ".pdf")
NO_PICTURES = "no pictures: pip install 'genprm[plot]', and the same command draws them"
Plots = Any
"""A module of figures in ``genprm.eval``, which needs matplotlib and is imported where there is something to draw."""


def can_plot() -> bool:
    """Whether matplotlib is installed; it is not imported."""
    return find_spec("matplotlib") is not None


def pictures(folder: Path, draw: Callable[[Plots], Mapping[str, Any]], module: str = "figure_plots") -> str:
    """Draw figures into a run folder as PNG and SVG, by name; None is for what there is nothing to draw of. ``draw`` is
    given the module.

    A line that says where they are."""
    if not can_plot():
        return NO_PICTURES
    from genprm.eval.plots import save

    drawn = {name: figure for name, figure in draw(_plots(module)).items() if figure is not None}
    paths = [save(figure, folder / f"{name}.{end}") for name, figure in drawn.items() for end in ("png", "svg")]
    return f"pictures: {', '.join(map(str, paths))}" if paths else "no pictures: there is nothing to draw"


def require_plots(path: str) -> None:
    """Pictures that were asked for by name are worth an error before the work rather than after it.

    Raises:
        ConfigError: the file cannot be written, or its format not.
        MissingExtra: there is no matplotlib.
    """
    if Path(path).suffix not in FORMATS:
        raise ConfigError(f"--plot writes {', '.join(FORMATS)}, by the end of the file's name, not {path!r}")
    if not Path(path).absolute().parent.is_dir():
        raise ConfigError(f"--plot {path}: there is no such folder")
    if not can_plot():
        raise MissingExtra("matplotlib", "plot", "--plot")


def picture(path: str, draw: Callable[[Plots], Any]) -> str:
    """Draw one that was asked for by name; a line that says where it is."""
    from genprm.eval.plots import save

    figure = draw(_plots())
    return f"picture: {save(figure, Path(path))}" if figure is not None else f"not {path}: there is nothing to draw"


def _plots(module: str = "figure_plots") -> Plots:
    return import_module(f"genprm.eval.{module}")
