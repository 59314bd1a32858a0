"""A terminal whose time passes by itself."""

import datetime
import time

import pytest

import cambist_terminal
from conftest import Terminal


@pytest.fixture
def terminal(tmp_path):
    # An hour a second; orders are under way for an hour.
    terminal = Terminal("2023-03-10", "netting", 10_000, tmp_path / "terminal.jsonl", more=["--speed", "3600", "--latency-ms", "3600000"])
    yield terminal
    terminal.close()


def now(terminal):
    return datetime.datetime.fromisoformat(cambist_terminal.standing(terminal.line)["now"])


def test_time_passes_by_itself_and_goes_on_after_a_crash(terminal):
    begun = now(terminal)
    time.sleep(2.2)
    later = now(terminal)
    assert later >= begun + datetime.timedelta(hours=2)
    with pytest.raises(ValueError, match="by itself"):
        terminal.advance(bars=1)
    terminal.kill_and_begin()
    assert now(terminal) >= later


def test_an_order_is_filled_at_the_price_of_its_arrival(terminal):
    bars = terminal.ask("copy_rates_from_pos", symbol="BTCUSD", timeframe=0x4001, start=0, count=1)
    sold = terminal.ask("order_send", request={"action": 1, "symbol": "BTCUSD", "volume": 0.1, "type": 1, "type_filling": 1})
    assert sold["retcode"] == 10009
    deal, = terminal.deals()
    assert deal["time"] >= bars[0]["time"] + 3600
    hours = terminal.ask("copy_rates_range", symbol="BTCUSD", timeframe=0x4001, **{"from": deal["time"]}, until=deal["time"])
    assert abs(deal["price"] - hours[0]["open"]) < 0.1
