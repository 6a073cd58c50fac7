"""Connections to one server: who it is, the key, and a client for each call in flight."""

import asyncio
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
        self._clients = {first}
        self._free = [first]
        self._closing: set[asyncio.Task[None]] = set()

    @contextmanager
    def one(self) -> Iterator[httpx.AsyncClient]:
        """A client that nobody else uses; the one used last first, so that few connections stay busy.

        One whose call was broken off is not used again: a cancel at the wrong moment leaves its only connection busy
        for ever.
        """
        client = self._free.pop() if self._free else self._client()
        self._clients.add(client)
        try:
            yield client
        except BaseException:
            self._drop(client)
            raise
        if client in self._clients:  # not closed meanwhile
            self._free.append(client)

    async def close(self) -> None:
        """All of them, also where one cannot be closed, or this is cancelled."""
        self._free.clear()
        for client in list(self._clients):
            self._drop(client)
        if self._closing:
            await asyncio.wait(self._closing)

    def _drop(self, client: httpx.AsyncClient) -> None:
        if client in self._clients:
            self._clients.remove(client)
            task = asyncio.create_task(client.aclose())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

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
