"""Who is let in: the token, how often, and how much. In front of everything, so that nothing is parsed for a stranger."""

import asyncio
import hmac
import logging
import time

from .problems import Problem

# How long a request may take to come.
_PATIENCE_S = 10

log = logging.getLogger("cambist.guard")


class Guard:
    """An ASGI layer. Problems of its own are answered like all others."""

    def __init__(self, app, token: str, per_second: int, longest: int):
        self.app, self.token, self.longest = app, token.encode(), longest
        # Strangers, readers and writers do not take each other's room: a heartbeat must come through.
        self.buckets = {name: _Bucket(per_second) for name in ("strangers", "readers", "writers")}

    async def __call__(self, scope, receive, send):
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        body = b""
        try:
            self._look(scope)
            if scope["type"] == "http":
                body = await self._whole(receive)
        except Problem as problem:
            log.warning("refused", extra={"reason": problem.detail, "path": scope["path"][:100]})
            if scope["type"] == "websocket":
                return await send({"type": "websocket.close", "code": 1008, "reason": problem.slug})
            return await problem.response(scope["path"])(scope, receive, send)
        if scope["type"] == "websocket":
            return await self.app(scope, receive, send)
        given = False

        async def replayed():
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replayed, send)

    async def _whole(self, receive) -> bytes:
        """The body, as long as it may be and no longer; who does not send it in time is told so."""
        body, more = b"", True
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        break
                    body, more = body + message.get("body", b""), message.get("more_body", False)
                    if len(body) > self.longest:
                        raise Problem(413, "too-long", f"a request may have {self.longest} bytes")
        except TimeoutError:
            raise Problem(408, "too-slow", f"the request was not there after {_PATIENCE_S} s") from None
        return body

    def _look(self, scope) -> None:
        headers = dict(scope["headers"])
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if not hmac.compare_digest(token.strip(), self.token) or scheme.lower() != b"bearer":
            self.buckets["strangers"].spend(5)
            raise Problem(401, "no-token", "give the bridge's token: 'Authorization: Bearer …'")
        writes = scope["path"] == "/lease" or (scope["path"] == "/order" and scope.get("method") == "POST")
        self.buckets["writers" if writes else "readers"].spend(1)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.longest:
            raise Problem(413, "too-long", f"a request may have {self.longest} bytes")


class _Bucket:
    """Tokens that come back at a rate; twice a second's worth at most."""

    def __init__(self, per_second: int):
        self.per_second, self.left, self.at = per_second, float(2 * per_second), time.monotonic()

    def spend(self, cost: int) -> None:
        now = time.monotonic()
        self.left = min(2.0 * self.per_second, self.left + (now - self.at) * self.per_second)
        self.at = now
        if self.left < cost:
            raise Problem(429, "too-many", f"more than {self.per_second} requests a second: wait")
        self.left -= cost
