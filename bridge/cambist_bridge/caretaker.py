"""What the bridge does by itself: it adopts what turns up late, brings positions back under the caps, and closes all when nobody answers
for them. Its orders go the way of everybody's."""

import contextlib
import hashlib
import logging
import math
import time

from . import caps, lookup
from .config import Config
from .journal import OPEN, UNSEEN, Intent, Journal
from .orders import BITS, Orders
from .problems import Problem, Unreadable
from .terminal import Terminal

log = logging.getLogger("cambist.caretaker")

# How long the bridge waits before it tries something of its own again.
_FIRST_S, _LONGEST_S = 1.0, 300.0


def own_id(*parts) -> str:
    """An id of the bridge's own orders; the same parts give the same id."""
    return hashlib.sha256("\0".join(map(str, ("bridge", *parts))).encode()).hexdigest()[:12]


class Caretaker:
    """Looks after the account when no client asks for anything; on the terminal's thread, as `Orders`."""

    def __init__(self, config: Config, terminal: Terminal, journal: Journal, watch, orders: Orders):
        self.config, self.terminal, self.journal, self.watch, self.orders = config, terminal, journal, watch, orders
        self._attempts: dict[tuple, tuple[int, float]] = {}

    def adopt_late(self, since_ms: int) -> list[Intent]:
        """Intents that were given up and turn up in the books all the same; and marks of this strategy that no intent has, which
        pauses trading until somebody answers for them."""
        adopted, strays = [], set()
        rows = self.terminal.deals(since_ms / 1000) + self.terminal.orders() + self.terminal.positions()
        for magic in sorted({row["magic"] for row in rows if row["magic"] >> BITS == self.config.strategy}):
            intent = self.journal.of_magic(magic)
            if intent is None:
                strays.add(magic)
            elif intent.state in ("absent", "refused") and intent.request is not None:
                found = lookup.look(self.terminal, intent)
                if found is not None and found.state == "confirmed":
                    intent.seen = UNSEEN
                    self.orders.settle(intent, "confirmed", intent.outcome.get("retcode"), "it arrived late, and is adopted",
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
                if row["magic"] >> BITS == self.config.strategy:
                    self._by_itself({"action": "cancel", "symbol": row["symbol"], "order": row["ticket"]}, why, row["ticket"])
        for symbol in sorted({row["symbol"] for row in self.terminal.positions()}):
            for long in (True, False):
                with contextlib.suppress(Unreadable):
                    self._reduce(symbol, long, math.inf, why)

    def _own_lots(self, row: dict) -> float:
        """Lots of a position that are this strategy's: a netting account puts everybody's into one."""
        if self.terminal.is_hedging():
            return row["volume"] if row["magic"] >> BITS == self.config.strategy else 0.0
        own = lookup.net_of(self.terminal, row["identifier"], lambda deal: deal["magic"] >> BITS == self.config.strategy)
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
            self.orders.submit({"id": id, "comment": f"cambist {why}", **payload})
        except (Problem, Unreadable) as problem:
            log.warning("not yet", extra={"intent": id, "reason": str(problem)})
