"""What a request must keep to, whatever the client thinks: the symbol's own rules, and the config's caps.

A reason to refuse is a pair of words, what and what to do. What only reduces a position passes every cap.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from .config import Caps
from .terminal import Terminal

Reason = tuple[str, str]


def _off_grid(value: float, step: float) -> bool:
    return step > 0 and Decimal(str(value)) % Decimal(str(step)) != 0


def volume_reason(symbol: dict, volume: float, at_least: bool = True) -> Reason | None:
    """Against the lot step, and the least and most of an order."""
    least, most, step = symbol["volume_min"], symbol["volume_max"], symbol["volume_step"]
    if _off_grid(volume, step):
        return f"volume {volume} is not on the step of {step} lots", "round it down to the step"
    if at_least and volume < least:
        return f"volume {volume} is less than the least of {least} lots", "trade more, or nothing"
    if volume > most:
        return f"volume {volume} is more than the most of {most} lots", "trade less"
    return None


def prices_reason(symbol: dict, side: str, payload: dict, tick: dict) -> Reason | None:
    """Prices on the tick size; stops on their side, and as far from the price as the broker wants."""
    for name in ("price", "stop_loss", "take_profit"):
        if payload.get(name) is not None and _off_grid(payload[name], symbol["trade_tick_size"]):
            return f"{name} {payload[name]} is not on the tick of {symbol['trade_tick_size']}", "round it to the tick"
    sign = 1 if side == "buy" else -1
    market = tick["ask"] if side == "buy" else tick["bid"]
    price = payload.get("price")
    distance = symbol["trade_stops_level"] * symbol["point"]
    if price is not None:
        beyond = sign * (market - price) if payload["action"] == "limit" else sign * (price - market)
        if beyond < distance or beyond <= 0:
            return (f"{payload['action']} at {price} is on the wrong side of the market at {market}, or nearer than {distance:g}",
                    "place it farther away")
    # A position is closed on the other side of the spread.
    exits = price if price is not None else (tick["bid"] if side == "buy" else tick["ask"])
    for name, way in (("stop_loss", sign), ("take_profit", -sign)):
        level = payload.get(name)
        if level is not None and (way * (exits - level) < distance or way * (exits - level) <= 0):
            return (f"{name} {level} is on the wrong side of {exits}, or nearer than {distance:g}",
                    f"keep {symbol['trade_stops_level']} points away")
    return None


def frozen_reason(symbol: dict, tick: dict, *levels: float) -> Reason | None:
    """Against the freeze level: what is so near to the market cannot be changed any more."""
    distance = symbol["trade_freeze_level"] * symbol["point"]
    for level in levels:
        if level > 0 and distance > 0 and min(abs(level - tick["bid"]), abs(level - tick["ask"])) <= distance:
            return f"{level} is within {distance:g} of the market: the broker has frozen it", "wait until the market has moved away"
    return None


def on_step(lots: float, step: float, up: bool = False) -> float:
    """`lots` on the lot step, exactly, rounded down or up."""
    lots, step = Decimal(str(round(lots, 8))), Decimal(str(step))
    return float((lots / step).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR) * step)


def net_lots(terminal: Terminal, symbol: str, positions: list[dict]) -> float:
    """Signed lots held in `symbol`, by whomever."""
    buy = terminal.mt5.POSITION_TYPE_BUY
    return sum(row["volume"] if row["type"] == buy else -row["volume"] for row in positions if row["symbol"] == symbol)


def _working(symbol: str, side: str, orders: list[dict]) -> float:
    """Lots that orders in the book may yet add on `side`."""
    parity = 0 if side == "buy" else 1
    return sum(row["volume_current"] for row in orders if row["symbol"] == symbol and row["type"] % 2 == parity)


def cap_reason(
    caps: Caps, terminal: Terminal, payload: dict, orders: list[dict], positions: list[dict], n_last_minute: int,
) -> Reason | None:
    """Against the caps, counting what works in the book as if it were filled. Nothing else is in play in the symbol."""
    symbol, side, volume = payload["symbol"], payload.get("side"), payload.get("volume") or 0.0
    if side is not None and volume > caps.max_lots:
        return f"volume {volume} is more than caps.max_lots {caps.max_lots}", "trade less, or raise the cap in the bridge's config"
    if n_last_minute >= caps.orders_per_minute:
        return (f"{n_last_minute} orders were sent in the last minute; caps.orders_per_minute is {caps.orders_per_minute}",
                "wait, and look why so many were wanted")
    if side is None:
        return None
    buy, sign = terminal.mt5.POSITION_TYPE_BUY, 1 if side == "buy" else -1
    working = _working(symbol, side, orders)
    if terminal.is_hedging():
        # What is held on the other side may be closed at any time, past every cap: it is no credit.
        same = [row for row in positions if (row["type"] == buy) == (side == "buy")]
        net = abs(net_lots(terminal, symbol, same)) + working
    else:
        held = sign * net_lots(terminal, symbol, positions)
        # Nor for orders that fill later, when it may be gone.
        net = (held if payload["action"] == "market" and working == 0 else max(0.0, held)) + working
    if net + volume > caps.max_net_lots + 1e-9:
        return (f"{net + volume:g} lots of {symbol} on one side would be more than caps.max_net_lots {caps.max_net_lots}",
                "trade less, or raise the cap in the bridge's config")
    return None
