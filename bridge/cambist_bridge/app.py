"""The routes."""

import asyncio
import contextlib
import logging
import os
import time
from typing import Annotated

from fastapi import FastAPI, Header, Path, Query, Request, WebSocket, WebSocketDisconnect
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from . import __version__, schemas, watch
from .caretaker import Caretaker
from .clock import SimulatedClock, SystemClock
from .config import Config
from .guard import Guard
from .journal import Intent, Journal
from .orders import Orders
from .problems import Problem, ProblemBody, Unreadable, documented
from .stream import Stream
from .terminal import Terminal
from .worker import Worker

log = logging.getLogger("cambist.app")

# Seconds that an order may wait for the terminal.
_LATEST_S = 10

Lease = Annotated[int, Header(alias="Cambist-Lease", ge=1, lt=1 << 53, description="Fencing token of the lease")]
Symbol = Annotated[str, Path(min_length=1, max_length=64)]
Timeframe = Annotated[str, Query(pattern="^(M[0-9]{1,2}|H[0-9]{1,2}|D1|W1)$")]
Time = Annotated[int, Query(ge=0, lt=1 << 42, description="UTC, milliseconds since 1970")]


class Bridge:
    """The rooms of the bridge, put together on the terminal's thread."""

    def __init__(self, config: Config):
        self.config = config
        self.clock = SimulatedClock() if config.simulated else SystemClock()
        place = os.environ.get("CAMBIST_TERMINAL", "simulated") if config.simulated else ""
        self.journal = Journal(config.journal, config.login, place)
        self.terminal = Terminal(config, self.clock)
        self.watch = watch.Watch(config, self.terminal, self.journal)
        self.orders = Orders(config, self.terminal, self.journal, self.watch)
        self.caretaker = Caretaker(config, self.terminal, self.journal, self.watch, self.orders)
        self.stream = Stream(config, self.terminal)

    def turn(self) -> list[dict]:
        """Once a second; what became of intents, for those who listen."""
        return [{"type": "outcome", **outcome(intent, False)} for intent in self.watch.turn(self.orders, self.caretaker)]

    def health(self) -> dict:
        connected, now, trouble = False, None, None
        try:
            now = self.clock.now()
            for symbol in self.config.caps.symbols:
                self.watch.look_at(symbol)
            connected = self.terminal.is_connected()
        except Unreadable as error:
            trouble = str(error)
        lease, paused = self.journal.lease(), [trouble] if trouble else self.watch.paused()
        held = lease is not None and not lease.let_go
        return {
            "connected": connected, "trading": connected and not paused, "paused": paused,
            "open_intents": [intent.id for intent in self.journal.open()], "lease_token": lease.token if held else None,
            "lease_holder": lease.holder if held else None,
            "server_offset_s": None if now is None else self.config.clock.offset(now), "measured_offset_s": self.watch.measured,
            "now_ms": None if now is None else round(1000 * now), "version": __version__}

    def submit(self, payload: dict, token: int, arrived: float) -> tuple[Intent, bool]:
        """Whoever has it asked, an id that is known is answered; a new one needs the lease, and is not sent when its client may have
        gone on."""
        if self.journal.intent(payload["id"]) is None:
            self.watch.holds(token)
            if time.monotonic() - arrived > _LATEST_S:
                raise Problem(503, "too-late", f"the terminal was busy for more than {_LATEST_S} s, and this order is old: decide again",
                              id=payload["id"])
        try:
            return self.orders.submit(payload)
        finally:
            # However long it took, the client was waiting.
            self.watch.hear(token)

    def ask_again(self, id: str) -> Intent:
        intent = self.journal.intent(id)
        if intent is None:
            raise Problem(404, "no-such-id", f"no order has had the id {id} here", id=id)
        self.orders.look_again(intent)
        return intent

    def close(self) -> None:
        self.terminal.disconnect()
        self.journal.close()


def outcome(intent: Intent, repeated: bool) -> dict:
    given = {"sent": intent.request is not None, "retcode": None, "reason": "", "advice": "", "order": None, "deals": [], "volume": 0.0,
             "price": None, "late": False, **intent.outcome}
    state = "unknown" if intent.state == "written" else intent.state
    return {"id": intent.id, "state": state, "repeated": repeated, "sent_ms": intent.sent_ms, **given}


def _answered(intent: Intent, repeated: bool, path: str | None = None) -> JSONResponse:
    """The outcome; to whoever wanted the order, at `path`, a refusal is a problem."""
    body = outcome(intent, repeated)
    if body["state"] == "refused" and path is not None:
        return Problem(409, "refused", f"{body['reason']}: {body['advice']}", **body).response(path)
    return JSONResponse(body, 202 if body["state"] == "unknown" else 200)


def application(bridge: Bridge, worker: Worker) -> Guard:
    """`bridge` as an ASGI application; it is closed when the application ends."""
    config = bridge.config

    async def forever(pause_s: float, work) -> None:
        while True:
            try:
                bridge.stream.publish(await worker.do(work))
            except Exception:
                log.exception("a turn failed")
            await asyncio.sleep(pause_s)

    @contextlib.asynccontextmanager
    async def lifespan(_):
        # What was under way when the last bridge ended is looked for before anybody is answered.
        await worker.do(bridge.turn)
        loops = [asyncio.create_task(forever(1.0, bridge.turn)),
                 asyncio.create_task(forever(config.poll_ms / 1000, bridge.stream.poll))]
        yield
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await worker.do(bridge.close)
        worker.close()

    app = FastAPI(title="Cambist's bridge to MetaTrader 5", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
                  description="Orders that happen once. Every time is UTC, in milliseconds since 1970.")
    _problems(app)

    @app.get("/health", responses=documented(), response_model=schemas.Health)
    async def health():
        """Whether the terminal is there, and why trading is paused if it is."""
        return await worker.do(bridge.health)

    @app.get("/symbol/{symbol}", responses=documented(404), response_model=schemas.SymbolBody)
    async def symbol(symbol: Symbol):
        """What the broker says of a symbol; `filling_mode` is a bit mask (FOK 1, IOC 2, BOC 4)."""
        return await worker.do(_known(bridge, symbol).symbol, symbol)

    @app.get("/ohlcv", responses=documented(404), response_model=list[schemas.Bar])
    async def ohlcv(symbol: Annotated[str, Query(min_length=1, max_length=64)], timeframe: Timeframe,
                    count: Annotated[int, Query(ge=1, le=50_000)] = 500):
        """The last bars, oldest first. Where `complete` is false the bar is not over."""
        return await worker.do(_known(bridge, symbol, timeframe).bars, symbol, timeframe, count)

    @app.get("/ticks", responses=documented(404), response_model=list[schemas.Tick])
    async def ticks(symbol: Annotated[str, Query(min_length=1, max_length=64)], from_ms: Time,
                    count: Annotated[int, Query(ge=1, le=50_000)] = 1000):
        """Ticks from a time on, oldest first."""
        return await worker.do(_known(bridge, symbol).ticks, symbol, from_ms, count)

    @app.get("/account", responses=documented(), response_model=schemas.Account)
    async def account():
        """Balance, equity and margin."""
        return await worker.do(bridge.terminal.account)

    @app.get("/positions", responses=documented(), response_model=list[schemas.Record])
    async def positions():
        """Open positions, everybody's."""
        return await worker.do(bridge.terminal.positions)

    @app.get("/orders", responses=documented(), response_model=list[schemas.Record])
    async def orders():
        """Orders that work, everybody's."""
        return await worker.do(bridge.terminal.orders)

    @app.get("/deals", responses=documented(), response_model=list[schemas.Record])
    async def deals(from_ms: Time, to_ms: Time | None = None):
        """Deals of a span of time, everybody's."""
        found = await worker.do(bridge.terminal.deals, from_ms / 1000, None if to_ms is None else to_ms / 1000)
        return [deal for deal in found if from_ms <= deal["time_ms"] <= (deal["time_ms"] if to_ms is None else to_ms)]

    accepted = {202: {"model": schemas.Outcome, "description": "Not known yet: ask again, never send again"}}

    @app.post("/order", responses=documented(409, 503) | accepted, response_model=schemas.Outcome)
    async def order(order: schemas.Order, lease: Lease, request: Request):
        """Trade, once. A repeated id gets the first outcome."""
        bridge.watch.hear(lease)
        intent, repeated = await worker.do(bridge.submit, order.model_dump(), lease, time.monotonic())
        return _answered(intent, repeated, request.url.path)

    @app.get("/order/{id}", responses=documented(404) | accepted, response_model=schemas.Outcome)
    async def outcome_of(id: Annotated[str, Path(pattern="^[0-9a-f]{12}$")]):
        """What became of an id."""
        return _answered(await worker.do(bridge.ask_again, id), True)

    @app.post("/lease", responses=documented(409), response_model=schemas.LeaseBody)
    async def take_lease(wanted: schemas.LeaseRequest):
        """Become the one writer of this account. The token fences off whoever was it before."""
        return vars(await worker.do(bridge.watch.take_lease, wanted.holder, wanted.previous))

    @app.put("/lease", responses=documented(409), response_model=schemas.LeaseBody)
    async def renew_lease(lease: Lease):
        """The client's heartbeat. Without it the lease ends, and after a while the dead-man's switch falls."""
        bridge.watch.hear(lease)
        return vars(await worker.do(bridge.watch.renew, lease))

    @app.delete("/lease", responses=documented(409), status_code=204)
    async def let_lease_go(lease: Lease):
        """End trading in an orderly way: nothing is flattened."""
        await worker.do(bridge.watch.let_go, lease)

    @app.websocket("/stream")
    async def stream(socket: WebSocket):
        """Ticks, outcomes, and closes of bars of `?timeframes=M1,H1`."""
        names = tuple(name for name in socket.query_params.get("timeframes", "").split(",") if name)
        try:
            [bridge.terminal.timeframe(name) for name in names[:10]]
        except KeyError as error:
            return await socket.close(1008, f"no timeframe {error}"[:100])
        await socket.accept()
        queue = bridge.stream.listen(names[:10])
        gone = asyncio.create_task(_hung_up(socket))
        try:
            while not gone.done():
                news = asyncio.create_task(queue.get())
                await asyncio.wait({news, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not news.done():
                    news.cancel()
                    break
                event = news.result()
                await socket.send_json(event)
                if event["type"] == "behind":
                    return await socket.close(1013, "too far behind: read again what you missed")
        except WebSocketDisconnect:
            pass
        finally:
            gone.cancel()
            bridge.stream.leave(queue)

    return Guard(app, config.token, config.requests_per_second, config.longest_body)


async def _hung_up(socket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()


def _known(bridge: Bridge, symbol: str, timeframe: str | None = None) -> Terminal:
    """The terminal, if the config knows the symbol and the terminal the timeframe."""
    if symbol not in bridge.config.caps.symbols:
        raise Problem(404, "no-such-symbol", f"{symbol} is not among caps.symbols", symbol=symbol)
    try:
        if timeframe is not None:
            bridge.terminal.timeframe(timeframe)
    except KeyError:
        raise Problem(404, "no-such-timeframe", f"MetaTrader has no timeframe {timeframe}", timeframe=timeframe) from None
    return bridge.terminal


def _problems(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def problem(request: Request, problem: Problem):
        return problem.response(request.url.path)

    @app.exception_handler(Unreadable)
    async def unreadable(request: Request, error: Unreadable):
        return Problem(502, "terminal-unreadable", f"{error}: see that the terminal runs and is logged in", mt5_code=error.code,
                       mt5_text=error.text).response(request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError):
        # What was sent is not said back: it may hold anything.
        found = [{"where": ".".join(map(str, part["loc"])), "what": part["msg"]} for part in error.errors()]
        first = f"{found[0]['where']}: {found[0]['what']}" if found else "the request is not valid"
        return Problem(422, "invalid-request", first, errors=found).response(request.url.path)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException):
        slug = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "http")
        response = Problem(error.status_code, slug, str(error.detail)).response(request.url.path)
        response.headers.update(error.headers or {})
        if error.status_code == 405:
            # Starlette names the methods of one route; a path may have several.
            routes = [route for route in app.routes if isinstance(route, APIRoute) and route.path_regex.match(request.url.path)]
            response.headers["Allow"] = ", ".join(sorted({method for route in routes for method in route.methods}))
        return response

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception):
        # Starlette raises it again when this is answered, so it is in the log.
        return Problem(500, "failed", "the bridge failed at this request, see its log; ask what became of an order by its id",
                       ).response(request.url.path)

    make = app.openapi

    def openapi():
        spec = make()
        schema = ProblemBody.model_json_schema()
        spec["components"]["schemas"]["ProblemBody"] = schema
        spec["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        spec["security"] = [{"token": []}]
        return spec

    app.openapi = openapi
