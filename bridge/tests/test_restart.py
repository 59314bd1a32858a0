"""A terminal that restarts while an order is on its way: every line of it is cut, and it has to find its server again."""

import pytest

import cambist_terminal
from conftest import Bridge, Terminal

ORDER = {"action": 1, "symbol": "BTCUSD", "volume": 0.1, "type": 0, "type_filling": 1, "magic": 9}


@pytest.fixture
def restarting(tmp_path):
    """Makes a terminal that every order restarts, before or after it is done."""
    made = []

    def build(when):
        (tmp_path / "faults.toml").write_text(f"restart_{when} = 1.0\nspell = 4\n")
        made.append(Terminal("2023-03-10", "hedging", 10_000, tmp_path / "terminal.jsonl", tmp_path / "faults.toml"))
        return made[0]

    yield build
    made[0].close()


def test_every_line_is_cut_but_the_simulators(restarting):
    terminal = restarting("after")
    package = cambist_terminal.Line(terminal.address)
    assert package.call("terminal_info")["ok"]["connected"]
    with pytest.raises(ConnectionError):
        cambist_terminal.Line(terminal.address).call("order_send", request=ORDER)
    with pytest.raises(ConnectionError):
        package.call("terminal_info")
    assert terminal.ask("weather") == {"restart_after": 1}
    again = cambist_terminal.Line(terminal.address)
    assert [again.call("terminal_info")["ok"]["connected"] for _ in range(5)] == [False] * 3 + [True] * 2
    assert [position["magic"] for position in again.call("positions_get")["ok"]] == [9]


@pytest.mark.parametrize("when, state, deals", [("after", "confirmed", 1), ("before", "absent", 0)])
def test_an_order_that_a_restart_met_is_done_once_or_given_up(restarting, tmp_path, when, state, deals):
    terminal = restarting(when)
    bridge = Bridge(tmp_path, terminal)
    try:
        # A restart is short: what was done may be found at once.
        assert bridge.order("market", id="0000000000f0", side="buy", volume=0.1).json()["state"] in ("unknown", state)
        terminal.advance(bars=2)
        assert bridge.settled("0000000000f0")["state"] == state
        assert bridge.order("market", id="0000000000f0", side="buy", volume=0.1).json()["state"] == state
        assert terminal.ask("weather")["restart_" + when] == 1, "it was sent once"
        assert len(cambist_terminal.Line(terminal.address).call("history_deals_get", **{"from": 0}, until=1 << 40)["ok"]) == 1 + deals
    finally:
        bridge.close()
