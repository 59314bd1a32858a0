"""What became of an order: found in the terminal's own books, by the id that travels in `magic`, or shown not to be there."""

from dataclasses import dataclass, field

from .journal import SEEN, UNSEEN, WORKING, Intent
from .terminal import Terminal


@dataclass
class Found:
    """`state` is confirmed, refused, or None while it is under way."""

    state: str | None
    reason: str
    order: int | None = None
    deals: list[int] = field(default_factory=list)
    volume: float = 0.0
    price: float | None = None


def look(terminal: Terminal, intent: Intent) -> Found | None:
    """What the terminal's books say of `intent`; None where all four lack it. Raises `Unreadable` when one cannot be read."""
    payload = intent.payload
    if payload["action"] == "cancel":
        return _cancelled(terminal, intent)
    if payload["action"] == "modify":
        return _modified(terminal, intent)
    return _traded(terminal, intent)


def _traded(terminal: Terminal, intent: Intent) -> Found | None:
    mt5, since = terminal.mt5, intent.sent_ms / 1000
    # A position's stops carry its magic too: they are not what was sent.
    of_stops = (mt5.ORDER_REASON_SL, mt5.ORDER_REASON_TP, mt5.ORDER_REASON_SO)
    deal_of_stops = (mt5.DEAL_REASON_SL, mt5.DEAL_REASON_TP, mt5.DEAL_REASON_SO)
    wanted = intent.request["type"]

    def ours(row):
        return row["magic"] == intent.magic and row["type"] == wanted and row["reason"] not in of_stops

    working = [row for row in terminal.orders() if ours(row)]
    positions = [row for row in terminal.positions() if row["magic"] == intent.magic]
    done = [row for row in terminal.history_orders(since) if ours(row)]
    tickets = {row["ticket"] for row in working + done}
    buys = wanted % 2 == mt5.ORDER_TYPE_BUY
    deals = [row for row in terminal.deals(since)
             if row["order"] in tickets
             or (row["magic"] == intent.magic and row["reason"] not in deal_of_stops
                 and row["type"] == (mt5.DEAL_TYPE_BUY if buys else mt5.DEAL_TYPE_SELL))]
    if not (working or positions or done or deals):
        return None
    volume = sum(row["volume"] for row in deals)
    # What the orders say was traded of them, and the deals that are there of it.
    traded = sum(row["volume_initial"] - row["volume_current"] for row in working + done)
    found = Found(
        None, "it is under way", next(iter(tickets), deals[0]["order"] if deals else None), [row["ticket"] for row in deals],
        round(volume, 8), sum(row["volume"] * row["price"] for row in deals) / volume if volume else None)
    at_market = wanted in (mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_SELL)
    if abs(traded - volume) > 1e-9:
        found.reason = f"{traded:g} lots of it were traded, and of {volume:g} there are deals"
        return found
    if done and not deals and done[-1]["state"] in (mt5.ORDER_STATE_REJECTED, mt5.ORDER_STATE_CANCELED, mt5.ORDER_STATE_EXPIRED):
        found.state, found.reason = ("refused", "the broker ended the order without a deal") if at_market else (
            "confirmed", "the order was placed, and ended without a deal")
    elif at_market:
        if deals and not working:
            found.state, found.reason = "confirmed", "its deals are in the terminal's history"
    elif working or done or deals:
        found.state, found.reason = "confirmed", "the order is in the terminal's books"
    return found


def _cancelled(terminal: Terminal, intent: Intent) -> Found | None:
    mt5, ticket = terminal.mt5, intent.payload["order"]
    if any(row["ticket"] == ticket for row in terminal.orders()):
        return None
    row = next((row for row in terminal.history_orders(0) if row["ticket"] == ticket), None)
    if row is None:
        return Found(None, "the order is in neither book")
    if row["state"] == mt5.ORDER_STATE_CANCELED:
        return Found("confirmed", "the order is cancelled", ticket)
    return Found("refused", "the order had ended before it could be cancelled", ticket)


def _modified(terminal: Terminal, intent: Intent) -> Found | None:
    payload, request = intent.payload, intent.request
    if payload["position"] is not None:
        rows, ticket = terminal.positions(), payload["position"]
    else:
        rows, ticket = terminal.orders(), payload["order"]
    row = next((row for row in rows if row["ticket"] == ticket), None)
    if row is None:
        return Found("refused", "what was to be changed is gone", ticket)
    half = terminal.symbol(intent.symbol)["trade_tick_size"] / 2
    names = {"sl": "sl", "tp": "tp"} | ({} if payload["position"] is not None else {"price": "price_open"})
    if all(abs(row[place] - request[name]) < half for name, place in names.items()):
        return Found("confirmed", "it stands as it was wanted", ticket)
    return None


def seen(terminal: Terminal, intent: Intent, found: Found | None) -> int:
    """How much of a confirmed intent is in the books that decisions are made on: its deals, and the positions as their deals make
    them. `found` is what `look` says of it."""
    action = intent.payload["action"]
    if action not in ("market", "limit", "stop", "close"):
        return SEEN
    if found is None or found.state is None:
        return UNSEEN
    if action in ("market", "close") and found.volume < (intent.outcome.get("volume") or 0.0) - 1e-9:
        return UNSEEN
    held = {row["identifier"]: row for row in terminal.positions()}
    touched = {row["position_id"] for row in terminal.deals(intent.sent_ms / 1000) if row["ticket"] in found.deals}
    if any(abs(net_of(terminal, position) - _signed(terminal, held.get(position))) > 1e-9 for position in touched):
        return UNSEEN
    return WORKING if any(row["ticket"] == found.order for row in terminal.orders()) else SEEN


def net_of(terminal: Terminal, position: int, own=lambda row: True) -> float:
    """Signed lots that the deals of a position come to; of those that are `own`."""
    signs = {terminal.mt5.DEAL_TYPE_BUY: 1, terminal.mt5.DEAL_TYPE_SELL: -1}
    return sum(signs.get(row["type"], 0) * row["volume"] for row in terminal.deals_of(position) if own(row))


def _signed(terminal: Terminal, held: dict | None) -> float:
    if held is None:
        return 0.0
    return held["volume"] if held["type"] == terminal.mt5.POSITION_TYPE_BUY else -held["volume"]
