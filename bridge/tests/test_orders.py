"""Orders, over the bridge that ships and a terminal that trades."""

import os
import subprocess
import sys

import pytest

from cambist_bridge.orders import magic_of


def refused(answer, *words):
    body = answer.json()
    assert answer.status_code == 409 and body["state"] == "refused" and body["detail"], answer.text
    for word in words:
        assert word in body["detail"], body["detail"]
    return body


def test_an_id_is_used_once(make):
    bridge = make()
    first = bridge.order("market", id="0123456789ab", side="buy", volume=0.1, stop_loss=50.0)
    assert first.status_code == 200, first.text
    deal, = bridge.terminal.deals()
    assert deal["magic"] == magic_of(7, "0123456789ab") and [deal["ticket"]] == first.json()["deals"]
    assert first.json()["price"] == deal["price"] and first.json()["volume"] == deal["volume"] == 0.1
    again = bridge.order("market", id="0123456789ab", side="buy", volume=0.1, stop_loss=50.0)
    assert again.status_code == 200 and again.json() == first.json() | {"repeated": True}
    assert bridge.get("/order/0123456789ab") == again.json()
    other = bridge.order("market", id="0123456789ab", side="buy", volume=0.2, stop_loss=50.0)
    assert other.status_code == 409 and other.headers["content-type"] == "application/problem+json"
    # What was refused stays refused, whatever has changed since.
    refused(bridge.order("market", id="000000000bad", side="buy", volume=0.015), "step of 0.01")
    refused(bridge.order("market", id="000000000bad", side="buy", volume=0.015))
    bridge.kill()
    bridge.begin()
    assert bridge.order("market", id="0123456789ab", side="buy", volume=0.1, stop_loss=50.0).json() == again.json()
    assert len(bridge.terminal.deals()) == 1


def test_orders_are_placed_changed_cancelled_and_closed(make):
    bridge = make()
    ask = bridge.get("/symbol/BTCUSD")["ask"]
    bought = bridge.order("market", side="buy", volume=0.3).json()
    protected = bridge.order("modify", position=bought["order"], stop_loss=round(ask / 2, 2), take_profit=round(2 * ask, 2))
    assert protected.status_code == 200, protected.text
    position, = bridge.get("/positions")
    assert (position["sl"], position["tp"]) == (round(ask / 2, 2), round(2 * ask, 2)) and position["volume"] == 0.3
    same = bridge.order("modify", position=bought["order"], stop_loss=round(ask / 2, 2), take_profit=round(2 * ask, 2)).json()
    assert same["state"] == "confirmed" and same["retcode"] == 10025, "nothing to change is no failure"
    pending = bridge.order("limit", side="buy", volume=0.1, price=1.0, expires_ms=bridge.get("/health")["now_ms"] + 864_000_000)
    assert pending.status_code == 200, pending.text
    order, = bridge.get("/orders")
    assert order["ticket"] == pending.json()["order"] and order["price_open"] == 1.0
    assert bridge.order("modify", order=order["ticket"], price=2.0).status_code == 200
    assert bridge.get("/orders")[0]["price_open"] == 2.0
    assert bridge.order("cancel", order=order["ticket"]).status_code == 200
    assert bridge.get("/orders") == []
    refused(bridge.order("cancel", order=order["ticket"]), "no pending order")
    part = bridge.order("close", position=bought["order"], volume=0.1)
    assert part.status_code == 200 and bridge.get("/positions")[0]["volume"] == 0.2
    assert bridge.order("close", position=bought["order"]).status_code == 200 and bridge.get("/positions") == []
    refused(bridge.order("close", position=bought["order"]), "no position")
    traded = bridge.terminal.deals()
    assert [(deal["volume"], deal["entry"]) for deal in traded] == [(0.3, 0), (0.1, 1), (0.2, 1)]


def test_what_the_broker_would_refuse_is_refused_before_it_is_sent(make):
    bridge = make()
    tick = bridge.get("/symbol/BTCUSD")
    for words, fields in [
        (["least of 0.01", "step"], dict(side="buy", volume=0.001)),
        (["stop_loss", "wrong side"], dict(side="buy", volume=0.1, stop_loss=round(tick["ask"] + 1, 2))),
        (["take_profit", "wrong side"], dict(side="sell", volume=0.1, take_profit=round(tick["ask"] + 1, 2))),
        (["tick of 0.01"], dict(side="buy", volume=0.1, stop_loss=1.001)),
    ]:
        body = bridge.order("market", **fields).json()
        assert body["state"] == "refused" and not body["sent"] and any(word in body["detail"] for word in words), body
    refused(bridge.order("limit", side="buy", volume=0.1, price=round(tick["ask"] + 1, 2)), "wrong side of the market")
    refused(bridge.order("stop", side="buy", volume=0.1, price=round(tick["ask"] - 1, 2)), "wrong side of the market")
    refused(bridge.order("limit", side="buy", volume=0.1, price=1.0, expires_ms=1), "expires_ms has passed")
    refused(bridge.order("market", symbol="EURUSD", side="buy", volume=0.1), "caps.symbols")
    refused(bridge.order("modify", price=1.0), "a position or an order")
    assert bridge.terminal.deals() == []


def test_a_refusal_of_the_broker_comes_in_words(make):
    bridge = make(cash=2)
    part = bridge.order("market", side="sell", volume=0.5).json()
    assert part["retcode"] == 10010 and part["volume"] == 0.34 and "only a part" in part["reason"], part
    body = refused(bridge.order("market", side="sell", volume=0.1), "not enough money", "trade less")
    assert body["retcode"] == 10019 and body["sent"], body


@pytest.mark.parametrize("books", ["hedging", "netting"])
def test_no_client_gets_past_the_caps_and_reducing_is_let_through(make, books):
    bridge = make(books=books, orders_per_minute=6)
    refused(bridge.order("market", side="buy", volume=0.51), "caps.max_lots")
    for volume in (0.5, 0.4):
        assert bridge.order("market", side="buy", volume=volume).status_code == 200
    refused(bridge.order("market", side="buy", volume=0.2), "caps.max_net_lots")
    assert bridge.order("limit", side="buy", volume=0.1, price=1.0).status_code == 200
    refused(bridge.order("limit", side="buy", volume=0.01, price=1.0), "1.01 lots", "caps.max_net_lots")
    # The other way there is room.
    for _ in range(3):
        assert bridge.order("limit", side="sell", volume=0.01, price=1000.0).status_code == 200
    refused(bridge.order("limit", side="sell", volume=0.01, price=1000.0), "caps.orders_per_minute")
    for position in bridge.get("/positions"):
        closed = bridge.order("close", position=position["ticket"])
        assert closed.status_code == 200, closed.text
    assert bridge.get("/positions") == []


def test_a_smaller_opposite_order_reduces_a_netting_account(make):
    bridge = make(books="netting", orders_per_minute=1)
    assert bridge.order("market", side="buy", volume=0.4).status_code == 200
    refused(bridge.order("market", side="sell", volume=0.5), "orders_per_minute")
    assert bridge.order("market", side="sell", volume=0.4).status_code == 200
    assert bridge.get("/positions") == []


def test_one_writer_at_a_time(make):
    bridge = make(lease_s=1.5)
    assert bridge.take_lease("first").json()["token"] == 1
    held = bridge.http.post("/lease", json={"holder": "second"})
    assert held.status_code == 409 and held.json()["holder"] == "first"
    renewed = bridge.http.put("/lease", headers={"Cambist-Lease": "1"})
    assert renewed.status_code == 200
    # The first begins anew, which it shows by its token, and its past self is fenced off.
    assert bridge.take_lease("first").status_code == 409, "a name is no proof"
    assert bridge.take_lease("first", previous=1).json()["token"] == 2
    stale = bridge.http.post("/order", headers={"Cambist-Lease": "1"}, json={
        "action": "market", "id": "00000000aaaa", "symbol": "BTCUSD", "side": "buy", "volume": 0.1})
    assert stale.status_code == 409 and "another process has taken over" in stale.json()["detail"]
    assert bridge.http.put("/lease", headers={"Cambist-Lease": "1"}).status_code == 409
    # The lease is in the journal: another bridge knows of it.
    bridge.kill()
    bridge.begin()
    assert bridge.http.put("/lease", headers={"Cambist-Lease": "2"}).status_code == 200
    assert bridge.http.delete("/lease", headers={"Cambist-Lease": "2"}).status_code == 204
    assert bridge.order("market", side="buy", volume=0.1).status_code == 409
    assert bridge.take_lease("second").json()["token"] == 3
    assert bridge.order("market", side="buy", volume=0.1).status_code == 200
    no_lease = bridge.http.post("/order", json={"action": "cancel", "id": "00000000aaab", "symbol": "BTCUSD", "order": 1})
    assert no_lease.status_code == 422 and "Cambist-Lease" in no_lease.json()["detail"]


def test_two_bridges_share_neither_journal_nor_account(make):
    bridge = make()
    again = subprocess.run(
        [sys.executable, "-m", "cambist_bridge", str(bridge.folder / "bridge.toml")], cwd=bridge.folder, capture_output=True,
        env={**os.environ, **bridge.environment()}, text=True, timeout=30)
    assert again.returncode == 1 and "another bridge writes" in again.stderr, again.stderr
    # Nor the account, with another journal.
    other = bridge.folder / "other"
    other.mkdir()
    (other / "bridge.toml").write_text((bridge.folder / "bridge.toml").read_text())
    again = subprocess.run(
        [sys.executable, "-m", "cambist_bridge", str(other / "bridge.toml")], cwd=bridge.folder, capture_output=True,
        env={**os.environ, **bridge.environment()}, text=True, timeout=30)
    assert again.returncode == 1 and "another bridge trades account 1" in again.stderr, again.stderr


@pytest.mark.parametrize("way", ["flatten", "freeze"])
def test_a_client_that_falls_silent(make, way):
    """The switch falls when nothing was heard for `dead_man_s`; what others hold stays."""
    import time

    bridge = make(dead_man=way, dead_man_s=1, lease_s=1)
    foreign = {"action": 1, "symbol": "BTCUSD", "volume": 0.2, "type": 0, "type_filling": 1, "magic": 99}
    assert bridge.terminal.ask("order_send", request=foreign)["retcode"] == 10009
    assert bridge.order("market", side="buy", volume=0.3).status_code == 200
    assert bridge.order("limit", side="buy", volume=0.1, price=1.0).status_code == 200
    for _ in range(100):
        time.sleep(0.1)
        if any("dead-man" in reason for reason in bridge.get("/health")["paused"]):
            break
    for _ in range(100):
        left = [position["magic"] for position in bridge.get("/positions")]
        if way == "freeze" or (left == [99] and bridge.get("/orders") == []):
            break
        time.sleep(0.1)
    assert (left == [99]) == (way == "flatten") and len(bridge.get("/orders")) == (0 if way == "flatten" else 1)
    assert bridge.take_lease().status_code == 200
    assert bridge.order("market", side="buy", volume=0.1).status_code == 200, "a new lease ends it"
