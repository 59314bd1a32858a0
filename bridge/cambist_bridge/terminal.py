"""The terminal behind the package MetaTrader5: its calls, what they must have, and their times in UTC.

The package is not safe on several threads, so all of this runs on one (`worker.py`). A read that fails raises `Unreadable`; it is
never an empty list.
"""

import importlib
import math
import time
from dataclasses import dataclass, field

from .config import Config
from .problems import Unreadable

_NEEDED = """
    TRADE_ACTION_DEAL TRADE_ACTION_PENDING TRADE_ACTION_SLTP TRADE_ACTION_MODIFY TRADE_ACTION_REMOVE ORDER_TYPE_BUY ORDER_TYPE_SELL
    ORDER_TYPE_BUY_LIMIT ORDER_TYPE_SELL_LIMIT ORDER_TYPE_BUY_STOP ORDER_TYPE_SELL_STOP ORDER_FILLING_FOK ORDER_FILLING_IOC
    ORDER_FILLING_RETURN ORDER_TIME_GTC ORDER_TIME_SPECIFIED ORDER_STATE_PLACED ORDER_STATE_PARTIAL ORDER_STATE_CANCELED
    ORDER_STATE_FILLED ORDER_STATE_REJECTED ORDER_STATE_EXPIRED ORDER_REASON_SL ORDER_REASON_TP ORDER_REASON_SO DEAL_REASON_SL
    DEAL_REASON_TP DEAL_REASON_SO DEAL_TYPE_BUY DEAL_TYPE_SELL POSITION_TYPE_BUY POSITION_TYPE_SELL
    ACCOUNT_MARGIN_MODE_RETAIL_HEDGING SYMBOL_TRADE_EXECUTION_MARKET TRADE_RETCODE_DONE TIMEFRAME_M1 RES_E_INTERNAL_FAIL
""".split()

_ACCOUNT = """login trade_mode leverage margin_mode balance equity profit margin margin_free margin_level currency server name
    trade_allowed margin_so_mode margin_so_call margin_so_so""".split()
_SYMBOL = """name digits point trade_tick_size trade_tick_value trade_contract_size volume_min volume_max volume_step volume_limit
    filling_mode trade_mode trade_exemode trade_calc_mode trade_stops_level trade_freeze_level swap_mode swap_long swap_short
    swap_rollover3days currency_base currency_profit currency_margin margin_hedged bid ask spread""".split()
_POSITION = "ticket time_msc time_update_msc type magic identifier volume price_open sl tp price_current swap profit symbol comment".split()
_ORDER = """ticket time_setup_msc time_done_msc time_expiration type type_time type_filling state magic position_id reason
    volume_initial volume_current price_open sl tp price_current symbol comment""".split()
_DEAL = "ticket order time_msc type entry magic position_id reason volume price commission swap profit fee symbol comment".split()
_TICK = "time time_msc bid ask last volume flags".split()

# MetaTrader's bits of `filling_mode`; its orders number the same ways otherwise (FOK 0, IOC 1, RETURN 2).
_MAY_FOK, _MAY_IOC = 1, 2

# History is asked for a day more on both sides: its clock may have been put back in between, and marks are looked at anyway.
_MARGIN_S, _AHEAD_S = 86_400, 2 * 86_400


class NoPackage(Exception):
    """There is no package MetaTrader5, or not one that can be used; what to do."""


@dataclass
class Sent:
    """What `order_send` said: the server's retcode, a negative code of the package's, or None where there was no answer that makes
    sense."""

    retcode: int | None
    text: str
    order: int | None = None
    deals: list[int] = field(default_factory=list)
    volume: float = 0.0
    price: float | None = None


class Terminal:
    """The terminal of `config`'s account. Every record is a dict of the package's own fields, with `*_ms` times in UTC for the
    package's `*_msc` in the server's."""

    def __init__(self, config: Config, clock):
        self.config, self.clock, self._connected = config, clock, False
        # Since when, in the market's time, there has been a connection to the trade server without a break.
        self.since: float | None = None
        try:
            self.mt5 = importlib.import_module("MetaTrader5")
        except ImportError as error:
            raise NoPackage(
                f"cannot import the package MetaTrader5 ({error}): it exists for Windows only; elsewhere put the stand-in "
                "(bridge/standin) on PYTHONPATH and begin a simulated terminal") from error
        missing = [name for name in _NEEDED if not isinstance(getattr(self.mt5, name, None), int)]
        if missing:
            raise NoPackage(f"this package MetaTrader5 has no {missing[0]}: install a newer one")

    # -- connection

    def connect(self) -> None:
        """Connects anew where there is no connection, and makes sure that it is the config's account."""
        if self._connected:
            return
        path = () if self.config.terminal is None else (self.config.terminal,)
        if not self.mt5.initialize(*path, timeout=10_000):
            raise Unreadable("a connection", *self.mt5.last_error())
        self._connected = True
        try:
            self.account()
            for symbol in self.config.caps.symbols:
                if not self.mt5.symbol_select(symbol, True):
                    raise Unreadable(f"symbol {symbol}", *self.mt5.last_error())
            self._keeps_marks(self.config.caps.symbols[0])
        except Unreadable:
            self.disconnect()
            raise

    def _keeps_marks(self, symbol: str) -> None:
        """Whether `magic` comes back whole, with all its bits: an order is known by nothing else."""
        info = self.symbol(symbol)
        magic = self.config.strategy << 48 | (1 << 48) - 1
        checked = self._asked("a check of an order", self.mt5.order_check({
            "action": self.mt5.TRADE_ACTION_DEAL, "symbol": symbol, "volume": info["volume_min"], "type": self.mt5.ORDER_TYPE_BUY,
            "price": info["ask"], "type_filling": self.filling(info, True), "type_time": self.mt5.ORDER_TIME_GTC, "magic": magic}))
        if checked.request.magic != magic:
            raise Unreadable("marks", 0, f"of magic {magic} it keeps {checked.request.magic}: no order could be known again")

    def disconnect(self) -> None:
        self._connected, self.since = False, None
        self.mt5.shutdown()

    def _asked(self, what: str, answer):
        if answer is None:
            code, text = self.mt5.last_error()
            # Codes of the line between package and terminal: it is begun anew with the next call.
            if code <= self.mt5.RES_E_INTERNAL_FAIL:
                self.disconnect()
            raise Unreadable(what, code, text)
        return answer

    def _fields(self, what: str, record, names: list[str]) -> dict:
        try:
            fields = {name: getattr(record, name) for name in names}
        except AttributeError as error:
            raise Unreadable(what, 0, f"its record has no such field: {error}") from None
        for name, value in fields.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise Unreadable(what, 0, f"{name} is {value}")
            if name.startswith("volume") and not value >= 0:
                raise Unreadable(what, 0, f"{name} is {value}")
        return fields

    def _rows(self, what: str, rows, names: list[str]) -> list[dict]:
        return [self._utc(self._fields(what, row, names)) for row in self._asked(what, rows)]

    def _utc(self, fields: dict) -> dict:
        for name in [name for name in fields if name.endswith("_msc")]:
            fields[name[:-1]] = self.utc_ms(fields.pop(name))
        return fields

    def utc_ms(self, server_ms: int) -> int:
        """UTC, in milliseconds; 0 stays 0: MetaTrader's way to say never."""
        if server_ms == 0:
            return 0
        now = self.clock.now()
        return round(1000 * self.config.clock.when(server_ms // 1000, near=now)) + server_ms % 1000

    # -- reading

    def is_connected(self) -> bool:
        """Whether the terminal runs and has its trade server."""
        self.connect()
        connected = bool(self._asked("its state", self.mt5.terminal_info()).connected)
        if not connected:
            self.since = None
        elif self.since is None:
            self.since = self.clock.now()
        return connected

    def may_trade(self) -> bool:
        return bool(self._asked("its state", self.mt5.terminal_info()).trade_allowed) and self.account()["trade_allowed"]

    def account(self) -> dict:
        """The account, if it is the config's: somebody may log in to another at any time."""
        self.connect()
        account = self._fields("the account", self._asked("the account", self.mt5.account_info()), _ACCOUNT)
        if account["login"] != self.config.login or self.config.server not in (None, account["server"]):
            self.disconnect()
            raise Unreadable(
                f"account {self.config.login}", 0, f"it is logged in to {account['login']} at {account['server']}")
        return account

    def is_hedging(self) -> bool:
        return self.account()["margin_mode"] == self.mt5.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING

    def symbol(self, name: str) -> dict:
        self.connect()
        return self._fields("the symbol", self._asked(f"symbol {name}", self.mt5.symbol_info(name)), _SYMBOL)

    def tick(self, name: str) -> dict:
        self.connect()
        tick = self._fields("a tick", self._asked(f"a tick of {name}", self.mt5.symbol_info_tick(name)), _TICK)
        if tick["bid"] <= 0 or tick["ask"] < tick["bid"]:
            raise Unreadable(f"a tick of {name}", 0, f"bid {tick['bid']} and ask {tick['ask']} are no prices")
        return self._utc(tick)

    def positions(self) -> list[dict]:
        self.connect()
        return self._rows("positions", self.mt5.positions_get(), _POSITION)

    def orders(self) -> list[dict]:
        self.connect()
        return self._rows("orders", self.mt5.orders_get(), _ORDER)

    def _span(self, from_utc: float, to_utc: float | None) -> tuple[int, int]:
        show = self.config.clock.shows
        until = self.clock.now() + _AHEAD_S if to_utc is None else to_utc
        return max(0, math.floor(show(from_utc)) - _MARGIN_S), math.ceil(show(until)) + _MARGIN_S

    def history_orders(self, from_utc: float, to_utc: float | None = None) -> list[dict]:
        """Orders that are done, set up since `from_utc` or a little before."""
        self.connect()
        return self._rows("the history of orders", self.mt5.history_orders_get(*self._span(from_utc, to_utc)), _ORDER)

    def deals(self, from_utc: float, to_utc: float | None = None) -> list[dict]:
        """Deals since `from_utc` or a little before."""
        self.connect()
        return self._rows("the history of deals", self.mt5.history_deals_get(*self._span(from_utc, to_utc)), _DEAL)

    def deals_of(self, position: int) -> list[dict]:
        """All deals of a position."""
        self.connect()
        return self._rows("the deals of a position", self.mt5.history_deals_get(position=position), _DEAL)

    def timeframe(self, name: str) -> tuple[int, int]:
        """MetaTrader's constant of a timeframe such as M1, H4 or D1, and its seconds."""
        unit = {"M": 60, "H": 3600, "D": 86_400, "W": 604_800}.get(name[:1])
        constant = getattr(self.mt5, f"TIMEFRAME_{name}", None)
        if unit is None or not name[1:].isdigit() or not isinstance(constant, int):
            raise KeyError(name)
        return constant, unit * int(name[1:])

    def bars(self, symbol: str, timeframe: str, count: int) -> list[dict]:
        """The last `count` bars, oldest first; the last of them is unfinished where `complete` is false."""
        self.connect()
        constant, seconds = self.timeframe(timeframe)
        # A bar is over when there is one after it, or a tick: not when some clock says so. The tick is looked at first: one that comes
        # after the bars were read says nothing of what was read.
        seen = self.tick(symbol)["time_ms"] / 1000
        rows = self._asked(f"bars of {symbol}", self.mt5.copy_rates_from_pos(symbol, constant, 0, count))
        out, after = [], 0.0
        for index, row in enumerate(rows):
            shown = int(row["time"])
            # Of the hour that is shown twice the second comes after the first.
            opened = self.config.clock.when(shown, near=after or self.clock.now() - seconds * (len(rows) - 1 - index))
            after = opened + seconds
            out.append({
                "time_ms": round(1000 * opened), **{name: float(row[name]) for name in ("open", "high", "low", "close")},
                "tick_volume": int(row["tick_volume"]), "spread": int(row["spread"]), "real_volume": int(row["real_volume"]),
                "complete": index + 1 < len(rows) or opened + seconds <= seen})
        return out

    def ticks(self, symbol: str, from_ms: int, count: int) -> list[dict]:
        """At most `count` ticks from `from_ms` on, oldest first."""
        self.connect()
        start = self.config.clock.shows(from_ms / 1000)
        rows = self.mt5.copy_ticks_from(symbol, math.floor(start), count, self.mt5.COPY_TICKS_ALL)
        out = [{"time_ms": self.utc_ms(int(row["time_msc"])), "bid": float(row["bid"]), "ask": float(row["ask"]),
                "last": float(row["last"]), "volume": float(row["volume"]), "flags": int(row["flags"])}
               for row in self._asked(f"ticks of {symbol}", rows)]
        return [tick for tick in out if tick["time_ms"] >= from_ms]

    # -- trading

    def filling(self, symbol: dict, at_market: bool) -> int:
        """`type_filling`, from the bit mask of the symbol: what cannot be filled at once is not left in the book."""
        if at_market and symbol["filling_mode"] & _MAY_IOC:
            return self.mt5.ORDER_FILLING_IOC
        if at_market and symbol["filling_mode"] & _MAY_FOK:
            return self.mt5.ORDER_FILLING_FOK
        return self.mt5.ORDER_FILLING_RETURN

    def send(self, request: dict) -> Sent:
        """`order_send`, once."""
        try:
            result = self.mt5.order_send(request)
            if result is None:
                code, text = self.mt5.last_error()
                if code <= self.mt5.RES_E_INTERNAL_FAIL:
                    self.disconnect()
                return Sent(code if code < 0 else None, text)
            asked = result.request
            if (asked.magic, asked.action, asked.order) != (request["magic"], request["action"], request.get("order", 0)):
                return Sent(None, "the terminal answered another request")
            volume, price = float(result.volume), float(result.price)
            return Sent(int(result.retcode), str(result.comment), int(result.order) or None,
                        [int(result.deal)] if result.deal else [], volume if math.isfinite(volume) else 0.0,
                        price if price > 0 and math.isfinite(price) else None)
        except Exception as error:  # Whatever it is, the order may be on its way.
            return Sent(None, f"order_send failed: {type(error).__name__}: {error}")


def system_ms() -> int:
    """This machine's time, for leases: how long a client has been silent has nothing to do with a market's clock."""
    return round(1000 * time.time())
