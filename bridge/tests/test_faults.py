"""What happens when it is not known what happened: every order exactly once, or not at all and known not to be."""

import time

import httpx
import pytest

BUY = dict(side="buy", volume=0.1)
ID = "0000000000f0"


@pytest.mark.parametrize("fault", ["none_after", "timeout_after", "locked_after", "placed_after", "anothers_after", "odd_after", "fail_after"])
def test_an_order_whose_answer_was_lost_is_found(make, fault):
    bridge = make()
    bridge.fault(fault)
    answer = bridge.order("market", id=ID, **BUY)
    assert answer.status_code == 200, answer.text
    deal, = bridge.terminal.deals()
    assert answer.json()["deals"] == [deal["ticket"]] and answer.json()["price"] == deal["price"]
    assert bridge.order("market", id=ID, **BUY).json()["repeated"] and len(bridge.terminal.deals()) == 1


@pytest.mark.parametrize("fault", ["none_before", "timeout_before", "locked_before", "raise_before"])
def test_an_order_that_never_arrived_is_retired_when_that_is_certain(make, fault):
    bridge = make()
    bridge.fault(fault)
    answer = bridge.order("market", id=ID, **BUY)
    assert answer.status_code == 202 and answer.json()["state"] == "unknown", answer.text
    # Nothing is younger than it yet: it may still come. Until then nothing else is done in this symbol.
    assert bridge.get(f"/order/{ID}")["state"] == "unknown"
    other = bridge.order("market", id="0000000000f1", **BUY)
    assert other.status_code == 409 and other.json()["unresolved"] == [ID]
    assert bridge.order("market", id=ID, **BUY).status_code == 202
    bridge.terminal.advance(bars=2)
    absent = bridge.settled(ID)
    assert absent["state"] == "absent" and absent["sent"], absent
    # Retired: it is not sent when it is asked for again, and what was turned away meanwhile was not used up.
    assert bridge.order("market", id=ID, **BUY).json()["state"] == "absent"
    assert bridge.terminal.deals() == []
    assert bridge.order("market", id="0000000000f1", **BUY).status_code == 200
    assert len(bridge.terminal.deals()) == 1


@pytest.mark.parametrize("fault, n_deals", [("die_before", 0), ("die_after", 1)])
@pytest.mark.parametrize("action, fields", [("market", BUY), ("limit", dict(BUY, price=1.0))])
def test_a_bridge_that_died_knows_what_it_did(make, fault, n_deals, action, fields):
    bridge = make()
    bridge.order("market", id="0000000000ff", **BUY)
    bridge.fault(fault)
    with pytest.raises(httpx.TransportError):
        bridge.order(action, id=ID, **fields)
    bridge.process.wait()
    bridge.begin()
    found = bridge.get(f"/order/{ID}")
    assert found["state"] == ("confirmed" if n_deals else "unknown"), found
    answer = bridge.order(action, id=ID, **fields)
    assert answer.json()["repeated"] and answer.status_code == (200 if n_deals else 202), answer.text
    bridge.terminal.advance(bars=2)
    assert bridge.settled(ID)["state"] == ("confirmed" if n_deals else "absent")
    if action == "market":
        assert len(bridge.terminal.deals()) == 1 + n_deals
    else:
        assert len(bridge.get("/orders")) == n_deals


@pytest.mark.parametrize("fault, state", [("none_before", "absent"), ("none_after", "confirmed")])
def test_closing_changing_and_cancelling_are_looked_for_too(make, fault, state):
    bridge = make()
    position = bridge.order("market", **BUY).json()["order"]
    order = bridge.order("limit", side="buy", volume=0.1, price=1.0).json()["order"]
    for action, fields in [
        ("modify", dict(position=position, stop_loss=1.0)), ("modify", dict(order=order, price=2.0)), ("cancel", dict(order=order)),
        ("close", dict(position=position)),
    ]:
        bridge.fault(fault)
        answer = bridge.order(action, **fields)
        assert answer.status_code == (202 if state == "absent" else 200), answer.text
        bridge.terminal.advance(bars=2)
        assert bridge.settled(answer.json()["id"])["state"] == state
    assert len(bridge.get("/positions")) == len(bridge.get("/orders")) == (1 if state == "absent" else 0)


def test_an_order_that_comes_late_is_adopted_and_capped(make):
    """Taken for absent, and then it arrives: it is ours all the same, and what is too much is closed."""
    bridge = make()
    bridge.fault("none_before")
    big = dict(side="buy", volume=0.5)
    assert bridge.order("market", id=ID, **big).status_code == 202
    bridge.terminal.advance(bars=2)
    assert bridge.settled(ID)["state"] == "absent"
    for n in (1, 2):
        assert bridge.order("market", id=f"0000000000e{n}", **big).status_code == 200
    late = {"action": 1, "symbol": "BTCUSD", "volume": 0.5, "type": 0, "type_filling": 1, "magic": 7 << 48 | int(ID, 16)}
    assert bridge.terminal.ask("order_send", request=late)["retcode"] == 10009
    for _ in range(100):
        time.sleep(0.1)
        if sum(position["volume"] for position in bridge.get("/positions")) < 1.1:
            break
    assert sum(position["volume"] for position in bridge.get("/positions")) == pytest.approx(1.0), "caps.max_net_lots"
    adopted = bridge.get(f"/order/{ID}")
    assert adopted["state"] == "confirmed" and adopted["late"] and adopted["volume"] == 0.5, adopted


def test_a_mark_without_an_intent_pauses_trading(make):
    bridge = make()
    stray = {"action": 1, "symbol": "BTCUSD", "volume": 0.1, "type": 0, "type_filling": 1, "magic": 7 << 48 | 12345}
    assert bridge.terminal.ask("order_send", request=stray)["retcode"] == 10009
    for _ in range(100):
        time.sleep(0.1)
        if bridge.get("/health")["paused"]:
            break
    paused = bridge.order("market", **BUY)
    assert paused.status_code == 503 and "no intent" in paused.json()["detail"]
    assert bridge.order("close", position=bridge.get("/positions")[0]["ticket"]).status_code == 200


def test_a_terminal_that_is_gone_is_an_error_and_never_an_empty_list(make):
    bridge = make()
    bridge.terminal.process.kill()
    bridge.terminal.process.wait()
    for path in ("/positions", "/orders", "/account", "/deals?from_ms=0", "/symbol/BTCUSD"):
        answer = bridge.http.get(path)
        assert answer.status_code == 502 and answer.json()["type"].endswith("terminal-unreadable"), (path, answer.text)
    answer = bridge.order("market", **BUY)
    assert answer.status_code == 502, answer.text
    assert not bridge.get("/health")["connected"]


def test_what_lacks_an_order_must_be_younger_than_its_end_and_than_the_bridge(make):
    """An order that hangs may arrive long after it was written down; and a bridge that begins late has seen nothing yet."""
    bridge = make()
    bridge.fault("die_before")
    with pytest.raises(httpx.TransportError):
        bridge.order("market", id=ID, **BUY)
    bridge.process.wait()
    # The tape goes on while no bridge is there: the intent is old when the next one begins.
    bridge.terminal.advance(bars=5)
    bridge.begin()
    for _ in range(12):
        assert bridge.get(f"/order/{ID}")["state"] == "unknown"
        time.sleep(0.1)
    bridge.terminal.advance(bars=1)
    assert bridge.settled(ID)["state"] == "absent"


@pytest.mark.parametrize("books", ["hedging", "netting"])
def test_positions_that_lag_let_nothing_past_the_caps(make, books):
    """What was confirmed and is not to be seen yet stays in play: no cap and no close rests on positions of before."""
    bridge = make(books=books)
    assert bridge.order("market", side="buy", volume=0.4).status_code == 200
    bridge.spell("lag")
    assert bridge.order("market", side="buy", volume=0.4).status_code == 200
    blocked = bridge.order("market", side="buy", volume=0.4)
    assert blocked.status_code == 409 and "do not show all of it" in blocked.json()["detail"], blocked.text
    position = bridge.get("/positions")[0]["ticket"]
    # 0.4 lots are to be seen. They are closed once; in a netting account, where what was seen is then right by chance, once more.
    closes = [bridge.order("close", position=position).status_code for _ in range(3)]
    assert closes == ([200, 409, 409] if books == "hedging" else [200, 200, 409])
    assert bridge.order("market", side="sell", volume=0.4).status_code == 409
    bridge.spell("lag", lasts=False)
    time.sleep(1.5)
    net = sum(row["volume"] for row in bridge.get("/positions"))
    assert net == pytest.approx(0.4 if books == "hedging" else 0.0)
    while (answer := bridge.order("market", side="buy", volume=0.5)).status_code == 200:
        net += 0.5
        assert net <= 1.0
    assert answer.status_code == 409 and "max_net_lots" in answer.json()["detail"]


def test_another_account_is_not_traded(make):
    bridge = make()
    assert bridge.order("market", **BUY).status_code == 200
    bridge.spell("login")
    for answer in (bridge.order("market", **BUY), bridge.http.get("/account")):
        assert answer.status_code == 502 and "logged in to 2" in answer.json()["detail"], answer.text
    assert not bridge.get("/health")["connected"] and len(bridge.terminal.deals()) == 1
    bridge.spell("login", lasts=False)
    assert bridge.order("market", **BUY).status_code == 200


@pytest.mark.parametrize("books", ["hedging", "netting"])
def test_reducing_goes_on_while_something_is_not_resolved(make, books):
    bridge = make(books=books)
    position = bridge.order("market", side="buy", volume=0.4).json()["order"]
    order = bridge.order("limit", side="buy", volume=0.1, price=1.0).json()["order"]
    bridge.fault("none_before")
    assert bridge.order("market", **BUY).status_code == 202
    assert bridge.order("modify", position=position, stop_loss=10.0).status_code == 200, "a stop where there was none"
    assert bridge.order("modify", position=position, stop_loss=9.0).status_code == 409, "farther away is more risk"
    assert bridge.order("modify", position=position).status_code == 409, "and none at all even more"
    assert bridge.order("modify", order=order, price=2.0).status_code == 409
    assert bridge.order("cancel", order=order).status_code == 200
    assert bridge.order("close", position=position, volume=0.3).status_code == 200
    assert bridge.order("close", position=position, volume=0.1).status_code == 200
    assert bridge.get("/positions") == []


def test_a_bridge_that_begins_gives_its_client_time(make):
    bridge = make(dead_man="flatten", dead_man_s=3, lease_s=3)
    assert bridge.order("market", **BUY).status_code == 200
    bridge.kill()
    time.sleep(4)
    bridge.begin()
    for _ in range(8):
        assert bridge.http.put("/lease", headers={"Cambist-Lease": str(bridge.lease)}).status_code == 200
        time.sleep(0.5)
    assert len(bridge.get("/positions")) == 1


def test_what_is_flattened_of_a_netting_account_is_our_own(make):
    bridge = make(books="netting", dead_man="flatten", dead_man_s=1, lease_s=1)
    foreign = {"action": 1, "symbol": "BTCUSD", "volume": 0.2, "type": 0, "type_filling": 1, "magic": 99}
    assert bridge.terminal.ask("order_send", request=foreign)["retcode"] == 10009
    assert bridge.order("market", side="buy", volume=0.3).status_code == 200
    for _ in range(100):
        time.sleep(0.1)
        if bridge.get("/positions")[0]["volume"] < 0.5:
            break
    time.sleep(2)
    assert bridge.get("/positions")[0]["volume"] == pytest.approx(0.2)


def test_marks_of_nobody_pause_until_somebody_answers_for_them(make):
    bridge = make()
    stray = {"action": 5, "symbol": "BTCUSD", "volume": 0.1, "type": 2, "price": 1.0, "type_filling": 2, "magic": 7 << 48 | 12345}
    assert bridge.terminal.ask("order_send", request=stray)["order"] > 0
    time.sleep(1.5)
    ticket = bridge.get("/orders")[0]["ticket"]
    assert bridge.order("cancel", order=ticket).status_code == 200
    # Gone from the book, and a bridge begun anew: it still has no intent.
    bridge.kill()
    bridge.begin()
    time.sleep(1.5)
    paused = bridge.order("market", **BUY)
    assert paused.status_code == 503 and "7000000003039" in paused.json()["detail"], paused.text
    bridge.kill()
    bridge.more = ["--adopt-strays", "an order by hand"]
    bridge.begin()
    time.sleep(1.5)
    assert bridge.order("market", **BUY).status_code == 200 and "an order by hand" in bridge.said()


def test_what_is_held_on_the_other_side_is_no_credit(make):
    """Long 1.0 and short 1.0 are flat until the long side is closed, which nothing holds up."""
    bridge = make()
    for _ in range(2):
        assert bridge.order("market", side="buy", volume=0.5).status_code == 200
        assert bridge.order("market", side="sell", volume=0.5).status_code == 200
    for side in ("buy", "sell"):
        answer = bridge.order("market", side=side, volume=0.1)
        assert answer.status_code == 409 and "max_net_lots" in answer.json()["detail"]


def test_a_pending_order_that_is_filled_gives_no_credit_either(make):
    bridge = make(books="netting")
    assert bridge.order("market", side="buy", volume=0.4).status_code == 200
    for _ in range(2):
        assert bridge.order("limit", side="sell", volume=0.5, price=9000.0).status_code == 200
    answer = bridge.order("limit", side="sell", volume=0.4, price=9000.0)
    assert answer.status_code == 409 and "max_net_lots" in answer.json()["detail"]


def test_an_id_that_is_known_is_answered_without_the_lease(make):
    bridge = make()
    assert bridge.order("market", id=ID, **BUY).status_code == 200
    assert bridge.take_lease(previous=1).json()["token"] == 2
    bridge.lease = 1
    assert bridge.order("market", id=ID, **BUY).json()["repeated"]
    assert bridge.order("market", id="0000000000f1", **BUY).status_code == 409


def test_an_operator_answers_for_what_will_never_be_known(make):
    bridge = make()
    bridge.fault("none_before")
    assert bridge.order("market", id=ID, **BUY).status_code == 202
    bridge.kill()
    bridge.more = ["--release", ID, "the broker says it never came"]
    bridge.begin()
    released = bridge.get(f"/order/{ID}")
    assert released["state"] == "absent" and "the broker says" in released["reason"]
    assert bridge.take_lease(previous=bridge.lease).status_code == 200
    assert bridge.order("market", id="0000000000f1", **BUY).status_code == 200
