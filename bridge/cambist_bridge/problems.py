"""Errors as RFC 9457 has them."""

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

MEDIA = "application/problem+json"


class Problem(Exception):
    """What went wrong. `slug` names its kind, `detail` says what, where and what to do; `more` are members of its own."""

    def __init__(self, status: int, slug: str, detail: str, **more):
        super().__init__(detail)
        self.status, self.slug, self.detail, self.more = status, slug, detail, more

    def response(self, instance: str) -> JSONResponse:
        body = {"type": f"/problems/{self.slug}", "title": self.slug.replace("-", " "), "status": self.status,
                "detail": self.detail, "instance": instance, **self.more}
        headers = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}}.get(self.status)
        return JSONResponse(body, self.status, headers=headers, media_type=MEDIA)


class Unreadable(Exception):
    """The terminal did not answer. `code` and `text` are the package's."""

    def __init__(self, what: str, code: int, text: str):
        super().__init__(f"the terminal did not give {what}: {text} ({code})")
        self.what, self.code, self.text = what, code, text


class ProblemBody(BaseModel):
    """A problem, as it is answered."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str


_WHY = {
    400: "No request",
    401: "No token, or a wrong one",
    404: "Not there",
    405: "Not in this way",
    408: "Too slow",
    409: "Not so, or not now: refused, the lease, the id, or an order that is not resolved",
    413: "Too long",
    422: "Not a valid request",
    429: "Too many requests",
    500: "The bridge failed",
    502: "The terminal cannot be read",
    503: "Trading is paused",
}


def documented(*statuses: int) -> dict:
    """The problems of a route, for its OpenAPI."""
    content = {MEDIA: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    every = sorted({400, 401, 408, 413, 422, 429, 502, *statuses})
    return {status: {"description": _WHY[status], "content": content} for status in every}
