"""An order happens once.

An id is answered from the journal if it is there. If not, it is checked, written to the journal and flushed to the disk, sent once,
and its outcome recorded. What is ambiguous is looked for in the terminal's own books until it is found, or until it is certain
that it is not there: then it is retired, and only a new decision, on a position freshly read, makes a new id. Nothing here ever
sends an intent a second time.
"""

import contextlib
import hashlib
import json
import logging
import math
import time

from . import caps, codes, lookup
from .config import Config
from .journal import OPEN, SEEN, UNSEEN, Intent, Journal
from .problems import Problem, Unreadable
from .terminal import Terminal

log = logging.getLogger("cambist.orders")

_BITS = 48

# How long the bridge waits before it tries something of its own again.
_FIRST_S, _LONGEST_S = 1.0, 300.0

# Between the two looks without which nothing is taken for absent.
_MOMENT_S = 0.5


def magic_of(strategy: int, id: str) -> int:
    """`magic`: 15 bits of the strategy, and the id's 48."""
    return strategy << _BITS | int(id, 16)


def own_id(*parts) -> str:
    """An id of the bridge's own orders; the same parts give the same id."""
    return hashlib.sha256("\0".join(map(str, ("bridge", *parts))).encode()).hexdigest()[:12]


class Orders:
    """The only way to `order_send`. Everything here runs on the terminal's thread, one thing at a time."""

    def __init__(self, config: Config, terminal: Terminal, journal: Journal, watch):
        self.config, self.terminal, self.journal, self.watch = config, terminal, journal, watch
        # When this bridge first read the terminal, in the market's time; and when intents were first not found in its books.
        self.begun_ms = 0
        self.lacked: dict[str, float] = {}
        self._attempts: dict[tuple, tuple[int, float]] = {}

    # -- what clients ask

    def submit(self, payload: dict) -> tuple[Intent, bool]:
        """The intent of `payload`, and whether it was there before. Raises `Problem` where the id is another order's."""
        # What is left out is not part of it: a field that is new one day changes no order of before.
        given = {name: value for name, value in payload.items() if value not in (None, "", 0)}
        hashed = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()
        known = self.journal.intent(payload["id"])
        if known is not None:
            if known.hash != hashed:
                raise Problem(409, "another-order", f"id {payload['id']} is of another order: an id is used once", id=payload["id"])
            self.look_again(known)
            return known, True
        intent = Intent(
            id=payload["id"], account=self.config.login, magic=magic_of(self.config.strategy, payload["id"]), hash=hashed,
            symbol=payload["symbol"], payload=payload, request=None, state="written", sent_ms=self._now_ms())
        reason = self._prepare(intent)
        if reason is not None:
            self._refuse(intent, *reason)
        else:
            self._send(intent)
        return intent, False

    def _now_ms(self) -> int:
        return round(1000 * self.terminal.clock.now())

    def _refuse(self, intent: Intent, what: str, advice: str) -> None:
        """Refused by the bridge itself: nothing is sent, now or under this id ever."""
        intent.state = "refused"
        intent.outcome = {"reason": what, "advice": advice, "sent": False}
        intent.request = None
        self.journal.write(intent)
        log.info("refused", extra={"intent": intent.id, "reason": what})

    # -- before it is sent

    def _prepare(self, intent: Intent) -> caps.Reason | None:
        """Makes the request for the terminal, or says why there is none. Raises `Problem` for what may be otherwise in a moment:
        such an id is not used up."""
        payload, terminal = intent.payload, self.terminal
        if intent.symbol not in self.config.caps.symbols and payload["action"] not in ("close", "cancel"):
            return f"{intent.symbol} is not among caps.symbols", "trade another symbol, or let the bridge's config allow it"
        self.watch.look_at(intent.symbol)
        # Orders first: one that is filled between the two looks is then in both books, not in neither.
        orders = terminal.orders()
        self._note_gone(orders)
        in_play = [other for other in self.journal.in_play() if other.symbol == intent.symbol]
        positions = terminal.positions()
        symbol, tick = terminal.symbol(intent.symbol), terminal.tick(intent.symbol)
        make = {"market": self._opening, "limit": self._opening, "stop": self._opening, "close": self._close,
                "modify": self._modify, "cancel": self._cancel}[payload["action"]]
        request, reduces, reason = make(payload, symbol, tick, positions)
        if reason is not None:
            return reason
        if payload["action"] in ("market", "close") and reduces:
            # What is on its way may already have reduced as much as there is.
            held = self._held(payload, positions)
            room = abs(held) - self._on_the_way(payload, held, in_play)
            reduces = request["volume"] <= room + 1e-9
        if in_play and not reduces:
            raise Problem(
                409, "unresolved", f"it is not known yet what became of {in_play[0].id} in {intent.symbol}, or the books do not show all "
                "of it: wait until they do", id=intent.id, unresolved=[other.id for other in in_play])
        paused = self.watch.paused(intent.symbol)
        if paused and not reduces:
            raise Problem(503, "paused", f"trading is paused, only reducing is let through: {'; '.join(paused)}", id=intent.id)
        if not reduces:
            recent = self.journal.n_sent_since(intent.sent_ms - 60_000)
            reason = caps.cap_reason(self.config.caps, terminal, payload, orders, positions, recent)
            if reason is not None:
                return reason
        intent.request = {**request, "symbol": intent.symbol, "magic": intent.magic,
                          "comment": payload["comment"] or f"cambist {intent.id}"}
        # Last of all, so that it is still so when the order leaves: it is the config's account.
        terminal.account()
        return None

    def _note_gone(self, orders: list[dict]) -> None:
        """Pending orders that have left the book are in play until what they became is to be seen."""
        working = {row["ticket"] for row in orders}
        for intent in self.journal.working():
            if intent.outcome.get("order") not in working:
                intent.seen = UNSEEN
                self.journal.update(intent)
                self.look_again(intent)

    def _held(self, payload: dict, positions: list[dict]) -> float:
        """Signed lots that `payload` would reduce: of the position it closes, or of the symbol."""
        wanted = payload.get("position")
        rows = [row for row in positions if wanted is None or row["ticket"] == wanted]
        return caps.net_lots(self.terminal, payload["symbol"], rows)

    def _on_the_way(self, payload: dict, held: float, in_play: list[Intent]) -> float:
        """Lots that intents in play may take off what is held. In a hedging account a close takes them off its own position alone."""
        against = self.terminal.mt5.ORDER_TYPE_SELL if held > 0 else self.terminal.mt5.ORDER_TYPE_BUY
        return sum(other.request["volume"] for other in in_play
                   if other.request and other.request.get("type", -1) % 2 == against % 2 and "volume" in other.request
                   and (not self.terminal.is_hedging() or other.request.get("position") == payload.get("position")))

    def _opening(self, payload: dict, symbol: dict, tick: dict, positions: list[dict]):
        mt5, buys = self.terminal.mt5, payload["side"] == "buy"
        reason = caps.volume_reason(symbol, payload["volume"]) or caps.prices_reason(symbol, payload["side"], payload, tick)
        if reason is not None:
            return None, False, reason
        at_market = payload["action"] == "market"
        net = caps.net_lots(self.terminal, payload["symbol"], positions)
        opposite = net < 0 if buys else net > 0
        # In a hedging account an opposite order is a position of its own.
        reduces = at_market and opposite and payload["volume"] <= abs(net) + 1e-9 and not self.terminal.is_hedging()
        kinds = {"market": (mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_SELL), "limit": (mt5.ORDER_TYPE_BUY_LIMIT, mt5.ORDER_TYPE_SELL_LIMIT),
                 "stop": (mt5.ORDER_TYPE_BUY_STOP, mt5.ORDER_TYPE_SELL_STOP)}
        request = {
            "action": mt5.TRADE_ACTION_DEAL if at_market else mt5.TRADE_ACTION_PENDING,
            "type": kinds[payload["action"]][0 if buys else 1], "volume": payload["volume"],
            "price": payload.get("price") or (tick["ask"] if buys else tick["bid"]),
            "sl": payload["stop_loss"] or 0.0, "tp": payload["take_profit"] or 0.0,
            "deviation": payload.get("deviation_points", 0), "type_filling": self.terminal.filling(symbol, at_market),
            "type_time": mt5.ORDER_TIME_GTC}
        if payload.get("expires_ms"):
            seconds = payload["expires_ms"] / 1000
            if seconds <= self.terminal.clock.now():
                return None, False, ("expires_ms has passed", "give a time to come, by UTC")
            request |= {"type_time": mt5.ORDER_TIME_SPECIFIED, "expiration": int(self.config.clock.shows(seconds))}
        return request, reduces, None

    def _close(self, payload: dict, symbol: dict, tick: dict, positions: list[dict]):
        mt5 = self.terminal.mt5
        held = next((row for row in positions if row["ticket"] == payload["position"] and row["symbol"] == payload["symbol"]), None)
        if held is None:
            return None, True, (f"there is no position {payload['position']} in {payload['symbol']}", "read /positions again")
        volume = held["volume"] if payload["volume"] is None else payload["volume"]
        reason = None if volume == held["volume"] else caps.volume_reason(symbol, volume)
        if volume > held["volume"] + 1e-9:
            reason = f"{volume} lots are more than the position's {held['volume']}", "read /positions again"
        if reason is not None:
            return None, True, reason
        bought = held["type"] == mt5.POSITION_TYPE_BUY
        return {
            "action": mt5.TRADE_ACTION_DEAL, "type": mt5.ORDER_TYPE_SELL if bought else mt5.ORDER_TYPE_BUY, "volume": volume,
            "price": tick["bid"] if bought else tick["ask"], "position": held["ticket"],
            "deviation": payload["deviation_points"], "type_filling": self.terminal.filling(symbol, True),
            "type_time": mt5.ORDER_TIME_GTC}, True, None

    def _modify(self, payload: dict, symbol: dict, tick: dict, positions: list[dict]):
        mt5 = self.terminal.mt5
        if (payload["position"] is None) == (payload["order"] is None):
            return None, True, ("modify takes a position or an order", "name one of them")
        levels = {"sl": payload["stop_loss"] or 0.0, "tp": payload["take_profit"] or 0.0}
        if payload["position"] is not None:
            held = next((row for row in positions if row["ticket"] == payload["position"]), None)
            if held is None or held["symbol"] != payload["symbol"]:
                return None, True, (f"there is no position {payload['position']} in {payload['symbol']}", "read /positions again")
            if payload["price"] is not None:
                return None, True, ("a position has no price to modify", "leave price out")
            side = "buy" if held["type"] == mt5.POSITION_TYPE_BUY else "sell"
            request = {"action": mt5.TRADE_ACTION_SLTP, "position": held["ticket"], **levels}
            sign, old, new = (1 if side == "buy" else -1), held["sl"], levels["sl"]
            # Only a stop as near as before, or nearer, risks no more.
            reduces = new == old or (new > 0 and (old == 0 or sign * (new - old) >= 0))
            return request, reduces, (caps.frozen_reason(symbol, tick, old, held["tp"])
                                      or caps.prices_reason(symbol, side, payload | {"price": None}, tick))
        order = next((row for row in self.terminal.orders() if row["ticket"] == payload["order"]), None)
        if order is None or order["symbol"] != payload["symbol"]:
            return None, True, (f"there is no pending order {payload['order']} in {payload['symbol']}", "read /orders again")
        price = payload["price"] if payload["price"] is not None else order["price_open"]
        side = "buy" if order["type"] % 2 == 0 else "sell"
        kind = "limit" if order["type"] in (mt5.ORDER_TYPE_BUY_LIMIT, mt5.ORDER_TYPE_SELL_LIMIT) else "stop"
        request = {"action": mt5.TRADE_ACTION_MODIFY, "order": order["ticket"], "price": price, **levels,
                   "type_time": order["type_time"], "expiration": order["time_expiration"]}
        reason = caps.frozen_reason(symbol, tick, order["price_open"])
        return request, False, reason or caps.prices_reason(symbol, side, payload | {"price": price, "action": kind}, tick)

    def _cancel(self, payload: dict, symbol: dict, tick: dict, positions: list[dict]):
        row = next((row for row in self.terminal.orders() if row["ticket"] == payload["order"]), None)
        if row is None or row["symbol"] != payload["symbol"]:
            return None, True, (f"there is no pending order {payload['order']} in {payload['symbol']}", "read /orders again")
        frozen = caps.frozen_reason(symbol, tick, row["price_open"])
        return {"action": self.terminal.mt5.TRADE_ACTION_REMOVE, "order": row["ticket"]}, True, frozen

    # -- sending, and what came of it

    def _send(self, intent: Intent) -> None:
        self.journal.write(intent)
        sent = self.terminal.send(intent.request)
        retcode = sent.retcode
        if retcode == self.terminal.mt5.RES_E_INVALID_PARAMS:
            # The package refused the request before it sent anything.
            self._settle(intent, "refused", retcode, f"the package refused the request: {sent.text}", "compare it with /symbol")
        elif retcode in codes.TAKEN:
            intent.seen = UNSEEN
            # A pending order was taken, and nothing of it traded yet.
            traded = intent.payload["action"] in ("market", "close")
            self._settle(intent, "confirmed", retcode, *codes.meaning(retcode), order=sent.order, deals=sent.deals,
                         volume=sent.volume if traded else 0.0, price=sent.price if traded else None)
            self.look_again(intent)
        elif retcode in codes.DEFINITE:
            self._settle(intent, "refused", retcode, *codes.meaning(retcode))
        else:
            what, advice = codes.meaning(retcode) if retcode is not None and retcode > 0 else (sent.text, codes.meaning(10012)[1])
            try:
                # It may have hung for long: whatever shows its lack must be younger than its return.
                returned = {"returned_ms": self._now_ms()}
            except Unreadable:
                returned = {}
            self._settle(intent, "unknown", retcode, what, advice, **returned)
            self.resolve(intent)

    def _settle(self, intent: Intent, state: str, retcode: int | None, reason: str, advice: str, **more) -> None:
        intent.state = state
        intent.outcome = {"sent": True, "late": False, **intent.outcome, "retcode": retcode, "reason": reason, "advice": advice, **more}
        self.journal.update(intent)
        log.info(state, extra={"intent": intent.id, "reason": reason, "retcode": retcode})

    def look_again(self, intent: Intent) -> None:
        """Whatever more can be known of `intent` by now."""
        if intent.state in OPEN:
            self.resolve(intent)
        elif intent.seen == UNSEEN:
            try:
                found = lookup.look(self.terminal, intent)
                seen = lookup.seen(self.terminal, intent, found)
            except Unreadable:
                return
            if found is not None and found.state == "refused":
                # It was taken, and then turned away.
                intent.seen = SEEN
                self._settle(intent, "refused", intent.outcome.get("retcode"), found.reason, "decide again", volume=0.0, deals=[])
            elif seen != UNSEEN:
                intent.seen = seen
                if found is not None and found.deals:
                    intent.outcome |= {"order": found.order, "deals": found.deals, "volume": found.volume, "price": found.price}
                self.journal.update(intent)

    def resolve(self, intent: Intent) -> None:
        """Looks for what became of `intent`. It stays unknown where a book cannot be read, or could lack it yet."""
        retcode = intent.outcome.get("retcode")
        try:
            certain = self._is_certain(intent)
            found = lookup.look(self.terminal, intent)
            gone = found is None and certain and self._is_certain(intent) and self._lacked_before(intent)
        except Unreadable as error:
            if intent.state == "written":
                self._settle(intent, "unknown", retcode, str(error), codes.meaning(10012)[1])
            return
        if found is not None and found.state is not None:
            intent.seen = UNSEEN if found.state == "confirmed" else SEEN
            self._settle(intent, found.state, retcode, found.reason, "nothing", order=found.order, deals=found.deals,
                         volume=found.volume, price=found.price)
            self.look_again(intent)
        elif gone:
            self._settle(intent, "absent", retcode, "none of the terminal's books has it: it never arrived",
                         "decide again on the position as it is now; this id is retired")
        elif intent.state == "written":
            self._settle(intent, "unknown", retcode, "the bridge ended while it was under way", codes.meaning(10012)[1])

    def _is_certain(self, intent: Intent) -> bool:
        """Whether the terminal's books would have it by now: it is connected, and prices have come in that are younger, by the grace and
        by as much as the server's clock may be off, than the sending's end, this bridge and the connection."""
        if not self.terminal.is_connected():
            return False
        begun = max(self.begun_ms, round(1000 * (self.terminal.since or 0)))
        past = max(intent.outcome.get("returned_ms", begun), intent.sent_ms, begun) + 1000 * (self.config.grace_s + self.config.clock_tolerance_s)
        tick = self.terminal.tick(intent.symbol)
        return self._now_ms() >= past and tick["time_ms"] >= past

    def _lacked_before(self, intent: Intent) -> bool:
        """Whether an earlier look, a moment ago at least, lacked it too."""
        first = self.lacked.setdefault(intent.id, time.monotonic())
        return time.monotonic() - first >= _MOMENT_S

    def release(self, id: str, reason: str) -> str:
        """An operator answers for what the books will never show: an intent is in play no more, and the reason is kept."""
        intent = self.journal.intent(id)
        if intent is None or (intent.state not in OPEN and intent.seen != UNSEEN):
            return "nothing"
        intent.seen = SEEN
        state = "absent" if intent.state in OPEN else intent.state
        self._settle(intent, state, intent.outcome.get("retcode"), f"released: {reason}", "read /positions again")
        return f"{id} as {state}"

    # -- what the bridge does by itself

    def resolve_all(self) -> list[Intent]:
        """Looks for everything that is in play; returns what has become clear."""
        before = self.journal.open()
        self._note_gone(self.terminal.orders())
        for intent in self.journal.in_play():
            self.look_again(intent)
        after = {intent.id for intent in self.journal.open()}
        return [self.journal.intent(intent.id) for intent in before if intent.id not in after]

    def adopt_late(self, since_ms: int) -> list[Intent]:
        """Intents that were given up and turn up in the books all the same; and marks of this strategy that no intent has, which
        pauses trading until somebody answers for them."""
        adopted, strays = [], set()
        rows = self.terminal.deals(since_ms / 1000) + self.terminal.orders() + self.terminal.positions()
        for magic in sorted({row["magic"] for row in rows if row["magic"] >> _BITS == self.config.strategy}):
            intent = self.journal.of_magic(magic)
            if intent is None:
                strays.add(magic)
            elif intent.state in ("absent", "refused") and intent.request is not None:
                found = lookup.look(self.terminal, intent)
                if found is not None and found.state == "confirmed":
                    intent.seen = UNSEEN
                    self._settle(intent, "confirmed", intent.outcome.get("retcode"), "it arrived late, and is adopted",
                                 "read /positions again", late=True, order=found.order, deals=found.deals, volume=found.volume,
                                 price=found.price)
                    self.journal.set_mark("trim", "a late order")
                    log.warning("late", extra={"intent": intent.id})
                    adopted.append(intent)
        self.watch.note_strays(strays)
        return adopted

    def trim(self) -> None:
        """Brings net positions that late orders took past caps.max_net_lots back to it, as far as they are this strategy's."""
        if self.journal.mark("trim") is None:
            return
        left, busy = False, {intent.symbol for intent in self.journal.in_play()}
        for symbol in set(self.config.caps.symbols) - busy:
            positions = [row for row in self.terminal.positions() if row["symbol"] == symbol]
            net = caps.net_lots(self.terminal, symbol, positions)
            excess, step = abs(net) - self.config.caps.max_net_lots, self.terminal.symbol(symbol)["volume_step"]
            if excess > 1e-9:
                left = True
                self._reduce(symbol, net > 0, caps.on_step(excess, step, up=True), "trim")
        if not left and not busy:
            self.journal.set_mark("trim", None)

    def flatten(self, why: str) -> None:
        """Cancels this strategy's pending orders and closes its positions, one thing after another whatever fails."""
        with contextlib.suppress(Unreadable):
            for row in self.terminal.orders():
                if row["magic"] >> _BITS == self.config.strategy:
                    self._by_itself({"action": "cancel", "symbol": row["symbol"], "order": row["ticket"]}, why, row["ticket"])
        for symbol in sorted({row["symbol"] for row in self.terminal.positions()}):
            for long in (True, False):
                with contextlib.suppress(Unreadable):
                    self._reduce(symbol, long, math.inf, why)

    def _own_lots(self, row: dict) -> float:
        """Lots of a position that are this strategy's: a netting account puts everybody's into one."""
        if self.terminal.is_hedging():
            return row["volume"] if row["magic"] >> _BITS == self.config.strategy else 0.0
        own = lookup.net_of(self.terminal, row["identifier"], lambda deal: deal["magic"] >> _BITS == self.config.strategy)
        sign = 1 if row["type"] == self.terminal.mt5.POSITION_TYPE_BUY else -1
        return max(0.0, min(row["volume"], sign * own))

    def _reduce(self, symbol: str, long: bool, lots: float, why: str) -> None:
        """Closes up to `lots` of this strategy's positions on one side, the youngest first."""
        info = self.terminal.symbol(symbol)
        for row in sorted(self.terminal.positions(), key=lambda row: -row["ticket"]):
            if row["symbol"] != symbol or (row["type"] == self.terminal.mt5.POSITION_TYPE_BUY) != long:
                continue
            own = self._own_lots(row)
            volume = min(lots, own, info["volume_max"])
            volume = row["volume"] if volume == row["volume"] else caps.on_step(volume, info["volume_step"])
            if volume > 0:
                lots -= volume
                self._by_itself({"action": "close", "symbol": symbol, "position": row["ticket"], "volume": volume,
                                 "deviation_points": 1000}, why, row["ticket"], row["volume"])

    def _by_itself(self, payload: dict, why: str, *parts) -> None:
        """Sends an order of the bridge's own, unless one with the same end is open; after each that failed it waits twice as long."""
        attempt, earliest = self._attempts.get((why, *parts), (0, 0.0))
        if time.monotonic() < earliest:
            return
        while (before := self.journal.intent(id := own_id(self.config.login, why, *parts, attempt))) is not None:
            if before.state in OPEN or before.seen == UNSEEN:
                return
            attempt += 1
        self._attempts[(why, *parts)] = attempt, time.monotonic() + min(_LONGEST_S, _FIRST_S * 2**min(attempt, 20))
        try:
            self.submit({"id": id, "comment": f"cambist {why}", **payload})
        except (Problem, Unreadable) as problem:
            log.warning("not yet", extra={"intent": id, "reason": str(problem)})
