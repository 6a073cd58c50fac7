"""The OpenAPI document: what FastAPI writes of the routes, and the schemas of the records."""

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from genprm import __version__
from genprm.serving.bodies import schemas

if TYPE_CHECKING:
    from genprm.serving.routes import Route

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}
_REFUSALS = {
    400: "The body is no such request; the sentence names the field.",
    401: "No key, or a wrong one.",
    408: "The body came too slowly.",
    413: "Too long, too many steps or solutions.",
    415: "The body is not application/json.",
    421: "The server does not go by this name.",
    429: "Too much at once, or a second; Retry-After says when to ask again.",
    502: "The engine failed.",
    503: "Stopping, or the engine is away.",
    504: "No answer before the deadline.",
}


def describe_route(route: "Route") -> dict[str, Any]:
    """Arguments of ``add_api_route``."""
    references, _ = schemas()
    body = {"application/json": {"schema": references[route.body.__name__], "example": route.example}}
    answer: dict[str, Any] = {"application/json": {"schema": references[route.result.__name__]}}
    if "stream" in getattr(route.body, "__struct_fields__", ()):
        answer["text/event-stream"] = {"schema": {"type": "string"}}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    refusals = _REFUSALS | ({404: "The server has no policy."} if route.refines else {})
    responses = {status: {"description": text, "content": error} for status, text in sorted(refusals.items())}
    return {
        "summary": route.summary,
        "openapi_extra": {"requestBody": {"required": True, "content": body}},
        "responses": {200: {"description": "Done.", "content": answer}, **responses},
        "response_model": None,
    }


def document(app: FastAPI) -> dict[str, Any]:
    if not app.openapi_schema:
        made = get_openapi(title="genprm", version=__version__, routes=app.routes, description=app.description)
        _, components = schemas()
        parts = made.setdefault("components", {})
        parts["schemas"] = {**parts.get("schemas", {}), **components, "Error": ERROR}
        parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{}, {"key": []}]
        app.openapi_schema = made
    return app.openapi_schema
