"""Connections to one server: who it is, the key, and a client for each call in flight."""

import os
import resource
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from genprm.errors import ConfigError

KEYS = ("GENPRM_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the key, first wins."""


class Connections:
    """Clients with one connection each, kept open from call to call.

    A pool of httpx looks through all of its connections for each request: 15 ms a call with 512 of them, against
    0.8 ms so. There are no limits here: who calls bounds its calls, and time in a queue is no time-out.
    """

    def __init__(self, url: str, api_key: str | None) -> None:
        """Raises ConfigError for an address or a key that is none."""
        self._url = url.rstrip("/")
        key = _key(api_key)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        # One for all clients, and without certificates where nothing is encrypted: to read them takes 20 ms.
        secure = url.lower().startswith("https:")
        self._context = httpx.create_ssl_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            first = self._client()
        except httpx.InvalidURL as error:
            raise ConfigError(f"{url!r} is no address: {error}") from None
        if (first.base_url.port or 0) > 65535:
            raise ConfigError(f"{url!r} is no address: ports end at 65535")
        self.base = str(first.base_url).rstrip("/")
        self._clients = [first]
        self._free = [first]

    @contextmanager
    def one(self) -> Iterator[httpx.AsyncClient]:
        """A client that nobody else uses; the one used last first, so that few connections stay busy."""
        if not self._free:
            self._clients.append(self._client())
            self._free.append(self._clients[-1])
        client = self._free.pop()
        try:
            yield client
        finally:
            self._free.append(client)

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self._url,
            headers=self._headers,
            timeout=httpx.Timeout(None, connect=10.0),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
            verify=self._context,
        )


def most_connections(asked: int) -> int:
    """No more than half of the files that this process may open: checks need theirs too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return asked if soft == resource.RLIM_INFINITY else max(min(asked, soft // 2), 1)


def _key(given: str | None) -> str | None:
    """The key, without the newline that files and pipes leave behind. It is never part of a message."""
    key = given or next((os.environ[name] for name in KEYS if os.environ.get(name)), "")
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"the key for the server (from {' or '.join(KEYS)}) holds characters that no key has")
    return key or None
