"""vLLM's engine arguments from words, read by vLLM's own command line."""

from collections.abc import Mapping
from typing import Any

from genprm.engines.options import near
from genprm.errors import ConfigError


def read_options(options: Mapping[str, str], defaults: Mapping[str, str]) -> Any:
    """All engine arguments, as vLLM's parser gives them; ``options`` come before ``defaults``.

    Raises:
        ConfigError: an option that does not exist, or a word that does not fit.
    """
    parser = _parser()
    given = {name.replace("-", "_"): value for name, value in options.items()}
    return parser.parse_args(_arguments({**defaults, **given}, parser._option_string_actions))


def _parser() -> Any:
    from vllm import AsyncEngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    class Parser(FlexibleArgumentParser):  # type: ignore[misc]
        def error(self, message: str) -> None:
            raise ConfigError(f"vLLM: {message}")

    return AsyncEngineArgs.add_cli_args(Parser(add_help=False))


def _arguments(options: Mapping[str, str], known: Mapping[str, Any]) -> list[str]:
    """As on vLLM's command line."""
    words = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if flag not in known or name == "model":
            names = [known_flag[2:].replace("-", "_") for known_flag in known]
            raise ConfigError(f"vLLM has no option {name!r}; {near(name, names)}")
        words += _switch(flag, value, known) if known[flag].nargs == 0 else [f"{flag}={value}"]
    return words


def _switch(flag: str, value: str, known: Mapping[str, Any]) -> list[str]:
    off = f"--no-{flag[2:]}"
    match value.lower():
        case "true" | "1" | "yes" | "on":
            return [flag]
        case "false" | "0" | "no" | "off":
            return [off] if off in known else []
    raise ConfigError(f"vLLM's option {flag[2:].replace('-', '_')!r} is true or false, not {value!r}")
