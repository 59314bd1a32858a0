#!/usr/bin/env python3
"""Trades an account of a simulated terminal through the stand-in of the package MetaTrader5, as a client of the real one would.

    cambist terminal simulate CONFIG --from 2023-03-10 --listen 127.0.0.1:18812
    PYTHONPATH=bridge/standin python3 scripts/check_standin.py trade     # and, after the terminal was killed and begun again,
    PYTHONPATH=bridge/standin python3 scripts/check_standin.py again
"""

import json
import pathlib
import sys
from datetime import datetime, timezone

import cambist_terminal
import MetaTrader5 as mt5
import numpy as np


def books():
    """Everything that must be the same after a crash."""
    everything = (0, 1 << 40)
    return json.loads(json.dumps({
        "account": mt5.account_info()._asdict(),
        "positions": [row._asdict() for row in mt5.positions_get()],
        "orders": [row._asdict() for row in mt5.orders_get()],
        "deals": [row._asdict() for row in mt5.history_deals_get(*everything)],
        "done": [row._asdict() for row in mt5.history_orders_get(*everything)],
    }))


def trade(symbol):
    info, tick = mt5.symbol_info(symbol), mt5.symbol_info_tick(symbol)
    assert info.volume_step == 0.01 and info.digits == 2 and tick.ask > tick.bid > 0
    assert info.filling_mode == 3, "a bit mask: FOK 1, IOC 2"
    assert mt5.symbol_info("NOTHERE") is None and mt5.last_error()[0] == mt5.RES_E_NOT_FOUND

    # The server's wall clock: two hours ahead of UTC, three from the Sunday on which New York's summer begins.
    line = cambist_terminal.Line()
    for at, hours in [("2023-03-10T12:00", 2), ("2023-03-13T12:00", 3)]:
        cambist_terminal.advance(line, to=at)
        shown = datetime.fromtimestamp(mt5.symbol_info_tick(symbol).time, timezone.utc)
        utc = datetime.fromisoformat(at).replace(tzinfo=timezone.utc)
        assert (shown - utc).total_seconds() == 3600 * hours, (shown, utc)

    rates = mt5.copy_rates_from_pos(symbol, mt5.TIMEFRAME_H1, 0, 3)
    assert rates.dtype.names == ("time", "open", "high", "low", "close", "tick_volume", "spread", "real_volume")
    assert len(rates) == 3 and list(rates["time"][1:] - rates["time"][:-1]) == [3600, 3600]
    ticks = mt5.copy_ticks_from(symbol, 0, 1000, mt5.COPY_TICKS_ALL)
    assert ticks.dtype.names == ("time", "bid", "ask", "last", "volume", "time_msc", "flags", "volume_real") and len(ticks) > 80
    latest = mt5.symbol_info_tick(symbol)
    assert (ticks["time"][-1], ticks["bid"][-1], ticks["ask"][-1]) == (latest.time, latest.bid, latest.ask)
    assert len(mt5.copy_ticks_range(symbol, int(ticks["time"][4]), int(ticks["time"][8]), mt5.COPY_TICKS_INFO)) == 5
    assert len(mt5.copy_ticks_from(symbol, 0, 1000, mt5.COPY_TICKS_TRADE)) == 0
    assert rates["open"][2] == rates["high"][2] == rates["close"][2], "the last bar is unfinished"
    assert mt5.copy_rates_from_pos(symbol, mt5.TIMEFRAME_M1, 0, 3) is None

    request = {
        "action": mt5.TRADE_ACTION_DEAL, "symbol": symbol, "volume": 0.1, "type": mt5.ORDER_TYPE_BUY,
        "type_filling": mt5.ORDER_FILLING_IOC, "magic": 0x43_0000_0000_2A, "comment": "first", "deviation": 20,
        "price": mt5.symbol_info_tick(symbol).ask}
    assert mt5.order_check(request).retcode == 0
    bought = mt5.order_send(request)
    assert bought.retcode == mt5.TRADE_RETCODE_DONE and bought.volume == 0.1 and bought.request.comment == "first", bought
    position, = mt5.positions_get(symbol=symbol)
    assert (position.magic, position.volume, position.ticket) == (request["magic"], 0.1, bought.order)
    deal, = mt5.history_deals_get(ticket=bought.order)
    assert (deal.ticket, deal.price, deal.entry) == (bought.deal, bought.price, mt5.DEAL_ENTRY_IN)
    assert mt5.order_send({**request, "volume": 0.015}).retcode == mt5.TRADE_RETCODE_INVALID_VOLUME
    assert mt5.order_send({**request, "comment": "x" * 32}) is None
    assert mt5.last_error() == (mt5.RES_E_INVALID_PARAMS, 'Invalid "comment" argument')

    pending = mt5.order_send({
        **request, "action": mt5.TRADE_ACTION_PENDING, "type": mt5.ORDER_TYPE_BUY_LIMIT, "price": 1.0,
        "type_filling": mt5.ORDER_FILLING_RETURN})
    assert mt5.orders_total() == 1 and mt5.orders_get()[0].ticket == pending.order
    cambist_terminal.advance(line, bars=30)
    sold = mt5.order_send({**request, "type": mt5.ORDER_TYPE_SELL, "volume": 0.04, "position": position.ticket})
    assert sold.retcode == mt5.TRADE_RETCODE_DONE, sold
    out = mt5.history_deals_get(ticket=sold.order)[0]
    assert out.entry == mt5.DEAL_ENTRY_OUT and out.position_id == position.ticket and out.swap < 0
    checked = mt5.order_check({**request, "volume": np.float64(0.1)})
    assert checked.retcode == 0 and checked.margin > mt5.account_info().margin, "the account as it would be"
    # Time that has passed is not taken back by a crash: what was seen since the last order is seen again.
    cambist_terminal.advance(line, bars=5)
    balance = sum(d.profit + d.swap + d.commission + d.fee for d in mt5.history_deals_get())
    assert abs(mt5.account_info().balance - balance) < 0.02, "deals are what the balance is made of, to the cents rounded"
    line.close()


def main():
    mode, state = sys.argv[1], pathlib.Path(sys.argv[2])
    assert mt5.initialize(), mt5.last_error()
    assert not mt5.login(12345) and mt5.last_error()[0] == mt5.RES_E_AUTH_FAILED
    symbol = mt5.symbols_get()[0].name
    if mode == "trade":
        trade(symbol)
        state.write_text(json.dumps(books()))
    else:
        assert books() == json.loads(state.read_text())
    mt5.shutdown()
    assert mt5.account_info() is None and mt5.last_error()[0] == mt5.RES_E_INTERNAL_FAIL_CONNECT
    print("the stand-in answers as the package would")


if __name__ == "__main__":
    main()
