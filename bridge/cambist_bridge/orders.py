"""An order happens once.

An id is answered from the journal if it is there. If not, it is checked, written to the journal and flushed to the disk, sent once,
and its outcome recorded. What is ambiguous is looked for in the terminal's own books until it is found, or until it is certain
that it is not there: then it is retired, and only a new decision, on a position freshly read, makes a new id. Nothing here ever
sends an intent a second time.
"""

import hashlib
import json
import logging
import time

from . import caps, codes, lookup
from .config import Config
from .journal import OPEN, SEEN, UNSEEN, Intent, Journal
from .problems import Problem, Unreadable
from .requests import MAKERS
from .terminal import Terminal

log = logging.getLogger("cambist.orders")

BITS = 48

# Between the two looks without which nothing is taken for absent.
_MOMENT_S = 0.5


def magic_of(strategy: int, id: str) -> int:
    """`magic`: 15 bits of the strategy, and the id's 48."""
    return strategy << BITS | int(id, 16)


class Orders:
    """The only way to `order_send`. Everything here runs on the terminal's thread, one thing at a time."""

    def __init__(self, config: Config, terminal: Terminal, journal: Journal, watch):
        self.config, self.terminal, self.journal, self.watch = config, terminal, journal, watch
        # When this bridge first read the terminal, in the market's time; and when intents were first not found in its books.
        self.begun_ms = 0
        self.lacked: dict[str, float] = {}

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
        request, reduces, reason = MAKERS[payload["action"]](terminal, self.config.clock, payload, symbol, tick, positions)
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

    # -- sending, and what came of it

    def _send(self, intent: Intent) -> None:
        self.journal.write(intent)
        sent = self.terminal.send(intent.request)
        retcode = sent.retcode
        if retcode == self.terminal.mt5.RES_E_INVALID_PARAMS:
            # The package refused the request before it sent anything.
            self.settle(intent, "refused", retcode, f"the package refused the request: {sent.text}", "compare it with /symbol")
        elif retcode in codes.TAKEN:
            intent.seen = UNSEEN
            # A pending order was taken, and nothing of it traded yet.
            traded = intent.payload["action"] in ("market", "close")
            self.settle(intent, "confirmed", retcode, *codes.meaning(retcode), order=sent.order, deals=sent.deals,
                         volume=sent.volume if traded else 0.0, price=sent.price if traded else None)
            self.look_again(intent)
        elif retcode in codes.DEFINITE:
            self.settle(intent, "refused", retcode, *codes.meaning(retcode))
        else:
            what, advice = codes.meaning(retcode) if retcode is not None and retcode > 0 else (sent.text, codes.meaning(10012)[1])
            try:
                # It may have hung for long: whatever shows its lack must be younger than its return.
                returned = {"returned_ms": self._now_ms()}
            except Unreadable:
                returned = {}
            self.settle(intent, "unknown", retcode, what, advice, **returned)
            self.resolve(intent)

    def settle(self, intent: Intent, state: str, retcode: int | None, reason: str, advice: str, **more) -> None:
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
                self.settle(intent, "refused", intent.outcome.get("retcode"), found.reason, "decide again", volume=0.0, deals=[])
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
                self.settle(intent, "unknown", retcode, str(error), codes.meaning(10012)[1])
            return
        if found is not None and found.state is not None:
            intent.seen = UNSEEN if found.state == "confirmed" else SEEN
            self.settle(intent, found.state, retcode, found.reason, "nothing", order=found.order, deals=found.deals,
                         volume=found.volume, price=found.price)
            self.look_again(intent)
        elif gone:
            self.settle(intent, "absent", retcode, "none of the terminal's books has it: it never arrived",
                         "decide again on the position as it is now; this id is retired")
        elif intent.state == "written":
            self.settle(intent, "unknown", retcode, "the bridge ended while it was under way", codes.meaning(10012)[1])

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
        self.settle(intent, state, intent.outcome.get("retcode"), f"released: {reason}", "read /positions again")
        return f"{id} as {state}"

    def resolve_all(self) -> list[Intent]:
        """Looks for everything that is in play; returns what has become clear."""
        before = self.journal.open()
        self._note_gone(self.terminal.orders())
        for intent in self.journal.in_play():
            self.look_again(intent)
        after = {intent.id for intent in self.journal.open()}
        return [self.journal.intent(intent.id) for intent in before if intent.id not in after]
