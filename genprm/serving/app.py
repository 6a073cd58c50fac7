"""The application: routes, probes and the page, as FastAPI sees them."""

import mimetypes
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from genprm import __version__
from genprm.serving import bodies
from genprm.serving.errors import Refusal
from genprm.serving.guard import PAGE, Guard
from genprm.serving.keys import Keys
from genprm.serving.openapi import describe_route, document
from genprm.serving.routes import ROUTES, Asked, Route
from genprm.serving.service import Service
from genprm.serving.waiting import ClientGone

Endpoint = Callable[[Request], Awaitable[Response]]


def make_app(service: Service, keys: Keys | None = None) -> ASGIApp:
    """The whole service as ASGI. At the end of its lifespan what is still being made is given up."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await service.close()

    # Its own pages of documentation load scripts from elsewhere.
    app = FastAPI(
        title="genprm", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False
    )
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(ClientGone, _gone)
    app.add_exception_handler(HTTPException, _not_found)
    app.add_exception_handler(Exception, _broken)
    for route in ROUTES:
        app.add_api_route(route.path, _endpoint(route, service), methods=["POST"], **describe_route(route))
    _add_probes(app, service, keys is not None)
    _add_page(app)
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    inner: ASGIApp = app
    if service.options.cors:
        inner = CORSMiddleware(
            app,
            allow_origins=service.options.cors,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
        )
    return Guard(inner, service, keys, [route.path for route in ROUTES])


def _endpoint(route: Route, service: Service) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        if route.refines:
            service.require_policy()
        content = await request.body()
        body: Any = bodies.read(content, route.body)
        scope = request.scope
        asked = Asked(service, scope["genprm"]["client"], scope["genprm"], request.receive, len(content))
        answer = await route.answer(asked, body)
        return answer if isinstance(answer, Response) else json(answer)

    return endpoint


def json(answer: Any, status: int = 200) -> Response:
    return Response(bodies.encode(answer), status, media_type="application/json")


def _add_probes(app: FastAPI, service: Service, keyed: bool) -> None:
    options, method = service.options, service.critic.method

    @app.get("/healthz", summary="Whether the process answers.")
    async def healthz() -> Response:
        return json({"status": "ok"})

    @app.get("/readyz", summary="Whether it makes sense to send requests: 503 while it stops or the engine is away.")
    async def readyz() -> Response:
        if service.stopping:
            return json({"status": "stopping"}, 503)
        service.require_engine()
        return json({"status": "ready"})

    @app.get("/metrics", summary="Counters in the text format of Prometheus.")
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/v1/info", summary="What requests may choose, and whether a key is needed.")
    async def info() -> Response:
        defaults = {name: getattr(method, name) for name in options.settable}
        limits = {
            name: getattr(options, name) for name in ("max_n", "max_turns", "max_steps", "max_solutions", "max_chars")
        }
        refiner = service.refiner
        refine = refiner and {"policy": refiner.policy.name, "turns": refiner.plan.turns, "from": refiner.plan.scope}
        return json({"version": __version__, "key": keyed, "defaults": defaults, "limits": limits, "refine": refine})


def _add_page(app: FastAPI) -> None:
    page = {
        file.name: file.read_bytes() for file in files("genprm.serving").joinpath("page").iterdir() if file.is_file()
    }

    def answer(name: str) -> Response:
        if name not in page:
            raise HTTPException(404)
        kind = "text/javascript" if name.endswith(".js") else mimetypes.guess_type(name)[0]
        return Response(page[name], media_type=kind, headers={"cache-control": "no-cache"})

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return answer("index.html")

    @app.get(PAGE + "{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        return answer(name)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    request.scope["genprm"]["error"] = error.code
    response = json(error.body(), error.status)
    response.headers.update(error.headers)
    return response


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=499)  # for the log alone


async def _broken(request: Request, _: Exception) -> Response:
    """The guard writes it down: it is raised once more."""
    return await _refused(request, Refusal(500, "broken", "something broke; the log of the server says what"))


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = {404: "there is nothing there; /openapi.json says what there is", 405: "this path has another method"}
    message = said.get(error.status_code, str(error.detail))
    return await _refused(request, Refusal(error.status_code, "no_route", message, error.headers))
