"""What the server allows, in one place."""

import ipaddress
import math
from dataclasses import dataclass

from genprm.errors import ConfigError

SETTINGS = ("n", "threshold", "stop_at_first_error", "stopping", "seed", "temperature")
"""Fields of a method that requests may set, unless the server keeps them."""


@dataclass(frozen=True, slots=True)
class Options:
    """Limits are per request, per key or of the whole server, as they say. Seconds and bytes."""

    host: str = "127.0.0.1"
    port: int = 8000
    hosts: tuple[str, ...] = ()
    """Names by which the server may be called besides its address: what the ``Host`` header may say."""
    keys: str = ""
    """File of key hashes; empty: nobody is asked for a key."""
    cors: tuple[str, ...] = ()
    """Origins whose pages may call the service; none."""
    settable: tuple[str, ...] = SETTINGS
    max_n: int = 32
    max_turns: int = 8
    """Revisions of one refinement."""
    max_steps: int = 64
    max_solutions: int = 64
    """Solutions of one batch."""
    max_chars: int = 20_000
    """Of a problem, and of a step."""
    max_body: int = 1 << 20
    deadline_s: float = 300.0
    """No request waits longer for its answer."""
    read_s: float = 10.0
    """A client has this long for the headers, and again for the body."""
    in_flight: int = 16
    """Solutions judged at once."""
    queue: int = 256
    """Solutions that wait for that; what is beyond is refused."""
    key_rate: float = 0.0
    """Solutions a second and key (without keys: and address), 0 for no limit; bursts of ``key_burst``."""
    key_burst: int = 60
    key_in_flight: int = 0
    """Requests at once of a key or address, 0 for no limit."""
    connections: int = 1024
    cache_entries: int = 2048
    cache_bytes: int = 64 << 20
    cache_s: float = 3600.0
    grace_s: float = 10.0
    """After SIGTERM, requests have this long to finish."""
    log_text: bool = False
    """Whether problems and solutions are written to the log."""

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if isinstance(value := getattr(self, name), float) and not math.isfinite(value):
                raise ConfigError(f"{name.removesuffix('_s').replace('_', '-')} is a number, not {value}")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port is from 0 to 65535, not {self.port}")
        for name in (
            "max_n",
            "max_turns",
            "max_steps",
            "max_solutions",
            "max_chars",
            "max_body",
            "in_flight",
            "connections",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name.replace('_', '-')} is at least 1, not {getattr(self, name)}")
        for name in ("deadline_s", "read_s", "key_burst"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name.removesuffix('_s').replace('_', '-')} is more than 0")
        for name in ("queue", "key_rate", "key_in_flight", "cache_entries", "cache_bytes", "cache_s", "grace_s"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name.removesuffix('_s').replace('_', '-')} is at least 0")
        if unknown := set(self.settable) - set(SETTINGS):
            raise ConfigError(f"requests cannot set {', '.join(sorted(unknown))}; there are {', '.join(SETTINGS)}")
        if self.max_solutions > self.in_flight + self.queue:
            raise ConfigError("a batch of max-solutions must fit into in-flight and queue together")
        if not self.keys and not is_loopback(self.host):
            raise ConfigError(f"{self.host} can be reached from outside: that needs --keys FILE (see --new-key)")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
