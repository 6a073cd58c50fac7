"""What a request is refused with."""

from collections.abc import Mapping

from genprm.errors import GenPRMError


class Refusal(GenPRMError):
    """An answer of 4xx or 5xx: its status, a code for programs, one sentence for people."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, dict[str, str]]:
        return {"error": {"code": self.code, "message": str(self)}}


def bad_request(message: str) -> Refusal:
    return Refusal(400, "bad_request", message)


def no_policy() -> Refusal:
    return Refusal(
        404, "no_policy", "this server has no policy, so it revises nothing; genprm serve --policy SPEC opens one"
    )


def busy(message: str, retry_after_s: float) -> Refusal:
    """429, with whole seconds after which asking again makes sense."""
    return Refusal(429, "too_many_requests", message, {"Retry-After": str(max(1, round(retry_after_s + 0.5)))})


def too_late(deadline_s: float) -> Refusal:
    return Refusal(504, "deadline", f"there was no answer within {deadline_s:g} s; ask for less, or later")


def stopping() -> Refusal:
    return Refusal(503, "stopping", "the server is stopping; ask again in a moment", {"Retry-After": "2"})


def engine_failed(message: str) -> Refusal:
    return Refusal(502, "engine_error", f"the engine failed: {message or 'no reason was given'}")
