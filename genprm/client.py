"""Clients of ``genprm serve``, for programs with and without an event loop.

    from genprm import Client
    with Client("http://127.0.0.1:8000") as client:
        print(client.critique(problem, solution, n=8).first_error)

Both ask again, after the time that the server names, where it is busy or just starting (429, 503), and raise
:class:`ServiceError` for every other answer that is none. Settings are those of ``docs/serving.md``.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any, Literal, Self, TypeVar, overload

import httpx
import msgspec

from genprm import records
from genprm.errors import GenPRMError, InputError
from genprm.refining import Refinement, Scope, Version
from genprm.serving.bodies import Analysed, By, RankAnswer, ScoreAnswer, Scored, Steps
from genprm.serving.cache import Drafted, Judged
from genprm.types import Critique, StepCritique

T = TypeVar("T")
Part = StepCritique | Critique
RefinePart = Drafted | Judged | Version | Refinement
_REFINING: Mapping[str, type] = {"draft": Drafted, "step": Judged, "version": Version, "refinement": Refinement}
_MOST_WAIT_S = 30.0


class ServiceError(GenPRMError):
    """The server said no, broke off or cannot be reached. ``status`` and ``code`` are its own, where it gave any."""

    def __init__(self, message: str, status: int | None = None, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Client:
    """Asks a server. ``timeout_s`` bounds one answer, ``patience_s`` the time in which a busy server is asked again."""

    def __init__(
        self, url: str, *, key: str | None = None, timeout_s: float = 330.0, patience_s: float = 120.0
    ) -> None:
        self._http = httpx.Client(base_url=url, headers=_headers(key), timeout=timeout_s)
        self._patience_s = patience_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    @overload
    def critique(self, problem: str, solution: Steps, *, analysis: Literal[True], **settings: Any) -> Analysed: ...
    @overload
    def critique(self, problem: str, solution: Steps, *, analysis: bool = False, **settings: Any) -> Critique: ...
    def critique(self, problem: str, solution: Steps, *, analysis: bool = False, **settings: Any) -> Critique:
        """The critique of one solution: a text, or its steps. ``analysis``: with what it comes to, as ``Analysed``."""
        body = {"problem": problem, "solution": solution, "analysis": analysis, **settings}
        return self.post("/v1/critique", body, _critique(analysis))

    def stream(self, problem: str, solution: Steps, *, analysis: bool = False, **settings: Any) -> Iterator[Part]:
        """Steps as they are judged, and the critique at the end, which is ``Analysed`` where ``analysis`` is wanted."""
        body = {"problem": problem, "solution": solution, "analysis": analysis, **settings}
        return self._events("/v1/critique", body, _judging(analysis))

    def score(self, items: Sequence[Mapping[str, Any]], *, by: By = "min", **settings: Any) -> list[Scored]:
        """Step rewards of solutions, given as ``{"problem": …, "solution": …}`` each."""
        return self.post("/v1/score", {"items": list(items), "by": by, **settings}, ScoreAnswer).scores

    def rank(self, problem: str, candidates: Sequence[Steps], *, by: By = "min", **settings: Any) -> RankAnswer:
        """Which of several solutions is the best."""
        return self.post(
            "/v1/rank", {"problem": problem, "candidates": list(candidates), "by": by, **settings}, RankAnswer
        )

    def refine(
        self, problem: str, solution: Steps | None = None, *, scope: Scope | None = None, **settings: Any
    ) -> Refinement:
        """Critique and revision in turn; without a solution the policy writes the first one, too. ``turns`` and the
        settings bound it, ``scope`` is the request's ``from``."""
        return self.post(
            "/v1/refine", {"problem": problem, "solution": solution, "from": scope, **settings}, Refinement
        )

    def stream_refine(
        self, problem: str, solution: Steps | None = None, *, scope: Scope | None = None, **settings: Any
    ) -> Iterator[RefinePart]:
        """:meth:`refine` as it goes: drafts, their steps and versions, and the refinement at the end."""
        body = {"problem": problem, "solution": solution, "from": scope, **settings}
        return self._events("/v1/refine", body, _REFINING)

    def _events(self, path: str, body: Mapping[str, Any], types: Mapping[str, type]) -> Iterator[Any]:
        content = records.to_json({**body, "stream": True})
        until = time.monotonic() + self._patience_s
        while True:
            with _reached(), self._http.stream("POST", path, content=content) as reply:
                if reply.status_code == 200:
                    reader = _Reader(types)
                    for line in reply.iter_lines():
                        yield from reader.line(line)
                    reader.end()
                    return
                wait_s = _wait_s(reply.status_code, reply.headers, reply.read(), until)
            time.sleep(wait_s)

    def post(self, path: str, body: Mapping[str, Any], type_: type[T]) -> T:
        """Any route: its answer as a record of ``type_``."""
        until = time.monotonic() + self._patience_s
        while True:
            with _reached():
                reply = self._http.post(path, content=records.to_json(body))
            if reply.status_code == 200:
                return _read(reply.content, type_)
            time.sleep(_wait_s(reply.status_code, reply.headers, reply.content, until))


class AsyncClient:
    """:class:`Client`, for use inside of an event loop."""

    def __init__(
        self, url: str, *, key: str | None = None, timeout_s: float = 330.0, patience_s: float = 120.0
    ) -> None:
        limits = httpx.Limits(max_connections=256)
        self._http = httpx.AsyncClient(base_url=url, headers=_headers(key), timeout=timeout_s, limits=limits)
        self._patience_s = patience_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    @overload
    async def critique(
        self, problem: str, solution: Steps, *, analysis: Literal[True], **settings: Any
    ) -> Analysed: ...
    @overload
    async def critique(self, problem: str, solution: Steps, *, analysis: bool = False, **settings: Any) -> Critique: ...
    async def critique(self, problem: str, solution: Steps, *, analysis: bool = False, **settings: Any) -> Critique:
        """See :meth:`Client.critique`."""
        body = {"problem": problem, "solution": solution, "analysis": analysis, **settings}
        return await self.post("/v1/critique", body, _critique(analysis))

    def stream(
        self, problem: str, solution: Steps, *, analysis: bool = False, **settings: Any
    ) -> AsyncGenerator[Part, None]:
        """See :meth:`Client.stream`."""
        body = {"problem": problem, "solution": solution, "analysis": analysis, **settings}
        return self._events("/v1/critique", body, _judging(analysis))

    async def score(self, items: Sequence[Mapping[str, Any]], *, by: By = "min", **settings: Any) -> list[Scored]:
        """See :meth:`Client.score`."""
        return (await self.post("/v1/score", {"items": list(items), "by": by, **settings}, ScoreAnswer)).scores

    async def rank(self, problem: str, candidates: Sequence[Steps], *, by: By = "min", **settings: Any) -> RankAnswer:
        """See :meth:`Client.rank`."""
        body = {"problem": problem, "candidates": list(candidates), "by": by, **settings}
        return await self.post("/v1/rank", body, RankAnswer)

    async def refine(
        self, problem: str, solution: Steps | None = None, *, scope: Scope | None = None, **settings: Any
    ) -> Refinement:
        """See :meth:`Client.refine`."""
        body = {"problem": problem, "solution": solution, "from": scope, **settings}
        return await self.post("/v1/refine", body, Refinement)

    def stream_refine(
        self, problem: str, solution: Steps | None = None, *, scope: Scope | None = None, **settings: Any
    ) -> AsyncGenerator[RefinePart, None]:
        """See :meth:`Client.stream_refine`."""
        body = {"problem": problem, "solution": solution, "from": scope, **settings}
        return self._events("/v1/refine", body, _REFINING)

    async def _events(self, path: str, body: Mapping[str, Any], types: Mapping[str, type]) -> AsyncGenerator[Any, None]:
        content = records.to_json({**body, "stream": True})
        until = time.monotonic() + self._patience_s
        while True:
            with _reached():
                async with self._http.stream("POST", path, content=content) as reply:
                    if reply.status_code == 200:
                        reader = _Reader(types)
                        async for line in reply.aiter_lines():
                            for part in reader.line(line):
                                yield part
                        reader.end()
                        return
                    wait_s = _wait_s(reply.status_code, reply.headers, await reply.aread(), until)
            await asyncio.sleep(wait_s)

    async def post(self, path: str, body: Mapping[str, Any], type_: type[T]) -> T:
        """See :meth:`Client.post`."""
        until = time.monotonic() + self._patience_s
        while True:
            with _reached():
                reply = await self._http.post(path, content=records.to_json(body))
            if reply.status_code == 200:
                return _read(reply.content, type_)
            await asyncio.sleep(_wait_s(reply.status_code, reply.headers, reply.content, until))


class _Reader:
    """Server-sent events, line by line: those of ``types``, of which the last ends them all."""

    def __init__(self, types: Mapping[str, type]) -> None:
        self._types = types
        self._last = list(types)[-1]
        self._name = ""
        self._ended = False

    def line(self, line: str) -> Iterator[Any]:
        field, _, value = line.partition(": ")
        if field == "event":
            self._name = value
        elif field == "data" and self._name in self._types:
            self._ended = self._name == self._last
            yield _read(value, self._types[self._name])
        elif field == "data" and self._name == "error":
            raise _refusal(None, value)

    def end(self) -> None:
        if not self._ended:
            raise ServiceError("the answer broke off before its end")


def _critique(analysis: bool) -> type[Critique]:
    return Analysed if analysis else Critique


def _judging(analysis: bool) -> Mapping[str, type]:
    return {"step": StepCritique, "critique": _critique(analysis)}


class _reached:
    """Failures of the connection as ServiceError."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, httpx.HTTPError | httpx.InvalidURL):
            raise ServiceError(f"the server cannot be reached: {error or type(error).__name__}") from error


def _headers(key: str | None) -> dict[str, str]:
    return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})


def _read(content: bytes | str, type_: type[T]) -> T:
    try:
        return records.from_json(content, type_, "the server's answer")
    except InputError as error:
        raise ServiceError(str(error)) from None


def _wait_s(status: int, headers: Mapping[str, str], content: bytes, until: float) -> float:
    """Seconds after which to ask again. Raises ServiceError where that is of no use, or there is no time."""
    after = headers.get("Retry-After", "")
    wait_s = min(float(after), _MOST_WAIT_S) if after.isdecimal() else 1.0
    if status not in (429, 503) or time.monotonic() + wait_s > until:
        raise _refusal(status, content)
    return wait_s


def _refusal(status: int | None, content: bytes | str) -> ServiceError:
    try:
        said = msgspec.json.decode(content)["error"]
        return ServiceError(str(said["message"]), status, str(said["code"]))
    except (msgspec.DecodeError, KeyError, TypeError):
        return ServiceError(f"the server answered {status} without a reason", status)
