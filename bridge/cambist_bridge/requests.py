"""From what a client asks to a request for the terminal: `(request, whether it only reduces, why there is none)`, by the symbol, its tick
and the positions as they have just been read."""

from . import caps
from .clock import ServerClock
from .terminal import Terminal


def opening(terminal: Terminal, clock: ServerClock, payload: dict, symbol: dict, tick: dict, positions: list[dict]):
    mt5, buys = terminal.mt5, payload["side"] == "buy"
    reason = caps.volume_reason(symbol, payload["volume"]) or caps.prices_reason(symbol, payload["side"], payload, tick)
    if reason is not None:
        return None, False, reason
    at_market = payload["action"] == "market"
    net = caps.net_lots(terminal, payload["symbol"], positions)
    opposite = net < 0 if buys else net > 0
    # In a hedging account an opposite order is a position of its own.
    reduces = at_market and opposite and payload["volume"] <= abs(net) + 1e-9 and not terminal.is_hedging()
    kinds = {"market": (mt5.ORDER_TYPE_BUY, mt5.ORDER_TYPE_SELL), "limit": (mt5.ORDER_TYPE_BUY_LIMIT, mt5.ORDER_TYPE_SELL_LIMIT),
             "stop": (mt5.ORDER_TYPE_BUY_STOP, mt5.ORDER_TYPE_SELL_STOP)}
    request = {
        "action": mt5.TRADE_ACTION_DEAL if at_market else mt5.TRADE_ACTION_PENDING,
        "type": kinds[payload["action"]][0 if buys else 1], "volume": payload["volume"],
        "price": payload.get("price") or (tick["ask"] if buys else tick["bid"]),
        "sl": payload["stop_loss"] or 0.0, "tp": payload["take_profit"] or 0.0,
        "deviation": payload.get("deviation_points", 0), "type_filling": terminal.filling(symbol, at_market),
        "type_time": mt5.ORDER_TIME_GTC}
    if payload.get("expires_ms"):
        seconds = payload["expires_ms"] / 1000
        if seconds <= terminal.clock.now():
            return None, False, ("expires_ms has passed", "give a time to come, by UTC")
        request |= {"type_time": mt5.ORDER_TIME_SPECIFIED, "expiration": int(clock.shows(seconds))}
    return request, reduces, None


def close(terminal: Terminal, clock: ServerClock, payload: dict, symbol: dict, tick: dict, positions: list[dict]):
    mt5 = terminal.mt5
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
        "deviation": payload["deviation_points"], "type_filling": terminal.filling(symbol, True),
        "type_time": mt5.ORDER_TIME_GTC}, True, None


def modify(terminal: Terminal, clock: ServerClock, payload: dict, symbol: dict, tick: dict, positions: list[dict]):
    mt5 = terminal.mt5
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
    order = next((row for row in terminal.orders() if row["ticket"] == payload["order"]), None)
    if order is None or order["symbol"] != payload["symbol"]:
        return None, True, (f"there is no pending order {payload['order']} in {payload['symbol']}", "read /orders again")
    price = payload["price"] if payload["price"] is not None else order["price_open"]
    side = "buy" if order["type"] % 2 == 0 else "sell"
    kind = "limit" if order["type"] in (mt5.ORDER_TYPE_BUY_LIMIT, mt5.ORDER_TYPE_SELL_LIMIT) else "stop"
    request = {"action": mt5.TRADE_ACTION_MODIFY, "order": order["ticket"], "price": price, **levels,
               "type_time": order["type_time"], "expiration": order["time_expiration"]}
    reason = caps.frozen_reason(symbol, tick, order["price_open"])
    return request, False, reason or caps.prices_reason(symbol, side, payload | {"price": price, "action": kind}, tick)


def cancel(terminal: Terminal, clock: ServerClock, payload: dict, symbol: dict, tick: dict, positions: list[dict]):
    row = next((row for row in terminal.orders() if row["ticket"] == payload["order"]), None)
    if row is None or row["symbol"] != payload["symbol"]:
        return None, True, (f"there is no pending order {payload['order']} in {payload['symbol']}", "read /orders again")
    frozen = caps.frozen_reason(symbol, tick, row["price_open"])
    return {"action": terminal.mt5.TRADE_ACTION_REMOVE, "order": row["ticket"]}, True, frozen


MAKERS = {"market": opening, "limit": opening, "stop": opening, "close": close, "modify": modify, "cancel": cancel}
