"""vLLM's engine arguments from words, read by vLLM's own command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from genprm.engines.options import near
from genprm.errors import ConfigError

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Those that vLLM takes as the highest."""


def read_options(options: Mapping[str, str], defaults: Mapping[str, str]) -> Any:
    """All engine arguments, as vLLM's parser gives them; ``options`` come before ``defaults``.

    Raises:
        ConfigError: an option that does not exist, or a word that does not fit.
    """
    parser = _parser()
    given = {name.replace("-", "_"): value for name, value in options.items()}
    return parser.parse_args(_arguments({**defaults, **given}, parser._option_string_actions))


@dataclass(frozen=True, slots=True)
class Adapter:
    """A folder with a LoRA adapter of peft."""

    folder: str
    base: str
    rank: int

    @property
    def options(self) -> dict[str, str]:
        """What vLLM must be told so that it takes the adapter."""
        most = next((size for size in _RANKS if size >= self.rank), self.rank)
        return {"enable_lora": "true", "max_lora_rank": str(most)}

    def request(self) -> Any:
        from vllm.lora.request import LoRARequest

        return LoRARequest("adapter", 1, self.folder)


def adapter_in(model: str) -> Adapter | None:
    """The adapter in a folder; None where it holds none. Raises ConfigError where its configuration cannot be read."""
    folder = Path(model).expanduser()
    path = folder / "adapter_config.json"
    if not path.is_file():
        return None
    try:
        config = msgspec.json.decode(path.read_bytes())
        return Adapter(str(folder.resolve()), str(config["base_model_name_or_path"]), int(config["r"]))
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
        raise ConfigError(f"{path} is no configuration of a LoRA adapter") from None


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
