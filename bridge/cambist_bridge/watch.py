"""What holds trading: no connection, a clock that is not what the config says, old prices, marks nobody answers for, a client gone
silent. And who may trade: the lease.
"""

import json
import logging
import threading
import time

from .config import Config
from .journal import Journal, Lease
from .problems import Problem, Unreadable
from .terminal import Terminal, system_ms

log = logging.getLogger("cambist.watch")

_FROZEN, _STRAYS, _KNOWN, _TURNED = "frozen", "strays", "known_strays", "turned_ms"

# A tick that was not there so long ago is fresh.
_MOMENT_S = 3.0

# How far back the books are looked through at least, and how often that is written down.
_LATE_MS, _NOTE_MS = 86_400_000, 60_000


class Watch:
    """The reasons for which trading is paused, and who holds the lease. How long somebody has been silent is told by a clock that only
    goes on; a bridge that has just begun gives its client the full time again."""

    def __init__(self, config: Config, terminal: Terminal, journal: Journal):
        self.config, self.terminal, self.journal = config, terminal, journal
        self.measured: dict[str, float] = {}
        self._ready, self._connected, self._frozen = False, False, journal.mark(_FROZEN)
        self._stale: dict[str, str] = {}
        self._trouble: str | None = None
        self._last_tick: dict[str, tuple[int, float]] = {}
        lease, now = journal.lease(), time.monotonic()
        # Heartbeats are noted where they arrive, on whatever thread: a terminal that hangs is not the client's silence.
        self.heard, self._hearing = (lease.token if lease else 0, now), threading.Lock()

    # -- the clock, and whether there are prices

    def look_at(self, symbol: str) -> None:
        """Looks at connection and prices. Raises `Unreadable` when there is no terminal."""
        self._connected = self.terminal.is_connected() and self.terminal.may_trade()
        tick, now = self.terminal.tick(symbol), self.terminal.clock.now()
        last, looked = self._last_tick.get(symbol, (tick["time_ms"], 0.0))
        # New since a moment ago: what has come in after a long while may have come at any time in it.
        fresh = last != tick["time_ms"] and time.monotonic() - looked < _MOMENT_S and symbol in self.config.caps.symbols
        self._last_tick[symbol] = tick["time_ms"], time.monotonic()
        age = now - tick["time_ms"] / 1000
        # `time_ms` went through the law of the config. A tick that has just come shows what the clock really is.
        if fresh or age < -self.config.clock_tolerance_s:
            self.measured[symbol] = self.config.clock.offset(now) - age
        if age > self.config.fresh_s:
            self._stale[symbol] = f"the last price of {symbol} is {age:.0f} s old; safety.fresh_s is {self.config.fresh_s:g}"
        else:
            self._stale.pop(symbol, None)

    def _clock_reasons(self) -> list[str]:
        if not self.measured:
            return []
        wanted = self.config.clock.offset(self.terminal.clock.now())
        return [f"the server's clock is {measured:.0f} s ahead of UTC by {symbol}, and by the config {wanted} s: compare "
                "clock.server_offset_minutes and clock.daylight_saving with the broker's, and this machine's time"
                for symbol, measured in self.measured.items() if abs(measured - wanted) > self.config.clock_tolerance_s]

    def paused(self, symbol: str | None = None) -> list[str]:
        """Why nothing but reducing is let through, in `symbol` or anywhere; empty when trading goes on."""
        reasons = [] if self._connected else ["the terminal has no connection, or trading by programs is not allowed in it"]
        reasons += [] if self._ready else ["the terminal's books have not been looked through yet"]
        reasons += self._clock_reasons()
        reasons += [reason for name, reason in self._stale.items() if symbol in (None, name)]
        strays = self.journal.mark(_STRAYS)
        if strays:
            reasons.append(f"marks {strays} are this strategy's, and no intent has them: find out who sent them, and begin the bridge with "
                           "--adopt-strays REASON")
        return reasons + ([self._frozen] if self._frozen else [])

    # -- marks nobody here sent

    def note_strays(self, magics: set[int]) -> None:
        known = json.loads(self.journal.mark(_KNOWN) or "{}")
        strays = sorted({f"{magic:x}" for magic in magics} - set(known))
        if strays:
            before = json.loads(self.journal.mark(_STRAYS) or "[]")
            if set(strays) - set(before):
                log.error("strays", extra={"reason": ", ".join(strays)})
                self.journal.set_mark(_STRAYS, json.dumps(sorted(set(strays) | set(before))))

    def adopt_strays(self, reason: str) -> list[str]:
        """Somebody answers for the marks: they pause nothing any more, and the reason is kept."""
        strays = json.loads(self.journal.mark(_STRAYS) or "[]")
        known = json.loads(self.journal.mark(_KNOWN) or "{}") | dict.fromkeys(strays, reason)
        self.journal.set_mark(_KNOWN, json.dumps(known))
        self.journal.set_mark(_STRAYS, None)
        return strays

    # -- the lease

    def _is_held(self, lease: Lease | None) -> bool:
        return lease is not None and not lease.let_go and self._silence() < self.config.lease_s

    def _silence(self) -> float:
        return time.monotonic() - self.heard[1]

    def hear(self, token: int) -> None:
        """A heartbeat, as it arrives; of the present lease, as long as the dead-man's switch has not fallen."""
        with self._hearing:
            if token == self.heard[0] and self._silence() < max(self.config.lease_s, self.config.dead_man_s):
                self.heard = (token, time.monotonic())

    def take_lease(self, holder: str, previous: int | None) -> Lease:
        """A new lease for `holder`, where none is held, or the one that is held is its own of before."""
        before = self.journal.lease()
        if self._is_held(before) and before.token != previous:
            raise Problem(409, "lease-held", f"{before.holder} trades this account, and its lease ends in "
                          f"{self.config.lease_s - self._silence():.0f} s at the earliest: one writer at a time", holder=before.holder)
        lease = self._lease((before.token if before else 0) + 1, holder)
        with self._hearing:
            self.heard = (lease.token, time.monotonic())
        self.journal.set_lease(lease)
        self._frozen = None
        self.journal.set_mark(_FROZEN, None)
        log.info("lease", extra={"holder": holder, "token": lease.token})
        return lease

    def _lease(self, token: int, holder: str, let_go: bool = False) -> Lease:
        now = system_ms()
        return Lease(token, holder, now + round(1000 * self.config.lease_s), now, let_go)

    def holds(self, token: int) -> Lease:
        """The lease, if `token` is its fencing token and it has not ended. Raises 409 otherwise."""
        lease = self.journal.lease()
        if lease is None or lease.let_go or lease.token != token:
            raise Problem(409, "lease-lost", f"lease {token} is not the present one: another process has taken over, or it was let go; "
                          "stop, and take a new one only if no other process trades")
        if not self._is_held(lease):
            raise Problem(409, "lease-lost", f"lease {token} has ended: take a new one, and read the positions again")
        return lease

    def renew(self, token: int) -> Lease:
        lease = self.holds(token)
        self.hear(token)
        return self._lease(token, lease.holder)

    def let_go(self, token: int) -> None:
        lease = self.holds(token)
        self.journal.set_lease(self._lease(token, lease.holder, let_go=True))

    # -- the dead-man's switch

    def is_dead(self) -> bool:
        """Whether the client that traded has been silent for too long. Nothing but reducing is let through from then on, until a new
        lease is taken."""
        lease = self.journal.lease()
        silent = lease is not None and not lease.let_go and self._silence() > self.config.dead_man_s
        if silent and self._frozen is None:
            self._frozen = (f"{lease.holder} has been silent for more than {self.config.dead_man_s:g} s (dead-man's switch: "
                            f"{self.config.dead_man}); take a new lease to go on")
            log.error("dead-man", extra={"holder": lease.holder, "token": lease.token})
            self.journal.set_mark(_FROZEN, self._frozen)
        return silent

    # -- every second

    def turn(self, orders, caretaker) -> list:
        """Flattens for a client that is dead, looks for what is in play, adopts what came late; each of it whatever became of the
        others. Returns the intents of which something new is known."""
        news, well = [], True

        def attempt(work, *arguments):
            nonlocal well
            try:
                return work(*arguments)
            except Unreadable as error:
                well = False
                # Once, not every second.
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    log.warning("unreadable", extra={"reason": self._trouble})
            except Exception:
                well = False
                log.exception("a part of a turn failed")

        if attempt(self.is_dead) and self.config.dead_man == "flatten":
            attempt(caretaker.flatten, "dead-man")
        for symbol in self.config.caps.symbols:
            attempt(self.look_at, symbol)
        news += attempt(orders.resolve_all) or []
        news += attempt(self._adopt, orders, caretaker) or []
        attempt(caretaker.trim)
        self._ready = self._ready or well
        self._trouble = None if well else self._trouble
        return news

    def _adopt(self, orders, caretaker) -> list:
        now = round(1000 * self.terminal.clock.now())
        orders.begun_ms = orders.begun_ms or now
        turned = int(self.journal.mark(_TURNED) or now)
        adopted = caretaker.adopt_late(min(now, turned) - _LATE_MS)
        if now - turned > _NOTE_MS or self.journal.mark(_TURNED) is None:
            self.journal.set_mark(_TURNED, str(now))
        return adopted
