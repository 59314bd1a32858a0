#!/usr/bin/env python3
"""Whether a day's orders happened once: the terminal's own books beside the bridge's journal. Reads `FOLDER/books.json` (written by
no bridge: `terminal.jsonl` lived through again), `journal.sqlite` and `told.json`. A line per finding; exit 1 if there is any.
"""

import collections
import json
import pathlib
import sqlite3
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "standin"), str(HERE.parent)]

from conftest import Terminal, books_of  # noqa: E402

STRATEGY, MAX_LOTS, MAX_NET = 7, 0.5, 1.0
# MetaTrader's own numbers, written out: what is checked is not asked what they mean.
CLIENT_REASONS = {0, 3}
BUY, CANCELED, H1 = 0, 2, 16385


def terminal_books(folder):
    """What the terminal did, by living through its journal again in a process of its own."""
    terminal = Terminal("2023-03-10", books_of(folder), 10_000, folder / "terminal.jsonl")
    try:
        span = {"from": 0, "until": 1 << 40}
        return {
            "orders": terminal.ask("orders_get") + terminal.ask("history_orders_get", **span),
            "deals": terminal.ask("history_deals_get", **span), "positions": terminal.ask("positions_get"),
            "bars": terminal.ask("copy_rates_from_pos", symbol="BTCUSD", timeframe=H1, start=0, count=1000)}
    finally:
        terminal.close()


def findings(folder):
    books = terminal_books(folder)
    told = json.loads((folder / "told.json").read_text())
    db = sqlite3.connect(folder / "journal.sqlite")
    intents = {
        magic: {"id": id, "state": state, "payload": json.loads(payload), "request": request and json.loads(request),
                "outcome": json.loads(outcome)}
        for id, magic, state, payload, request, outcome in db.execute(
            "select id, magic, state, payload, request, outcome from intents")}
    ours = [order for order in books["orders"] if order["magic"] >> 48 == STRATEGY and order["reason"] in CLIENT_REASONS]
    by_magic = collections.defaultdict(list)
    for order in ours:
        by_magic[order["magic"]].append(order)
    deals = [deal for deal in books["deals"] if deal["type"] < 2]

    # No order is doubled, none is without an intent.
    for magic, orders in by_magic.items():
        if len(orders) > 1:
            yield f"doubled: {len(orders)} orders with the mark {magic:x}: {[order['ticket'] for order in orders]}"
        if magic not in intents:
            yield f"an order without an intent: {orders[0]['ticket']} with the mark {magic:x}"
        elif intents[magic]["request"] is None:
            yield f"{intents[magic]['id']} was refused before it was sent, and there is an order of it"

    # What the journal says is what the terminal did.
    cancelled = {}
    for magic, intent in intents.items():
        kind, state = intent["payload"]["action"], intent["state"]
        if state in ("written", "unknown"):
            yield f"{intent['id']} is still {state}"
        if kind in ("market", "limit", "stop", "close"):
            done = [deal for deal in deals if deal["order"] in {order["ticket"] for order in by_magic[magic]}]
            volume = round(sum(deal["volume"] for deal in done), 8)
            if state == "confirmed" and not by_magic[magic]:
                yield f"{intent['id']} is confirmed, and the terminal has no order of it"
            if state in ("absent", "refused") and volume > 0:
                yield f"{intent['id']} is {state}, and {volume} lots of it were traded"
            if state == "absent" and by_magic[magic]:
                yield f"{intent['id']} is absent, and the terminal has an order of it"
            if state == "confirmed" and kind in ("market", "close") and abs(intent["outcome"]["volume"] - volume) > 1e-9:
                yield f"{intent['id']}: {intent['outcome']['volume']} lots in the journal, {volume} in the terminal"
            wanted = intent["payload"]["volume"]
            if wanted is not None and volume > wanted + 1e-9:
                yield f"{intent['id']}: more was traded than wanted"
        if kind == "cancel":
            ticket = intent["payload"]["order"]
            order = next((order for order in books["orders"] if order["ticket"] == ticket), None)
            if state == "confirmed" and (order is None or order["state"] != CANCELED):
                yield f"{intent['id']}: cancelling {ticket} is confirmed, and the terminal has {order}"
            cancelled.setdefault(ticket, set()).add(state)
    for ticket, states in cancelled.items():
        order = next((order for order in books["orders"] if order["ticket"] == ticket), None)
        if order is not None and order["state"] == CANCELED and "confirmed" not in states:
            yield f"order {ticket} is cancelled, and those who asked for it were told {states}"

    # What the client was told for good is what the journal says.
    by_id = {intent["id"]: intent["state"] for intent in intents.values()}
    for said in told["told"]:
        if said["state"] in ("confirmed", "refused", "absent") and by_id.get(said["id"]) != said["state"]:
            yield f"{said['id']}: the client was told {said['state']}, the journal says {by_id.get(said['id'])}"
    if not told["settled"]:
        yield "not everything came clear after the storm"

    # No limit was ever passed.
    net = 0.0
    for deal in sorted(deals, key=lambda deal: (deal["time_msc"], deal["ticket"])):
        net += deal["volume"] if deal["type"] == BUY else -deal["volume"]
        if abs(net) > MAX_NET + 1e-9:
            yield f"{net:g} lots net after deal {deal['ticket']}"
    for order in ours:
        if order["volume_initial"] > MAX_LOTS + 1e-9 and intents.get(order["magic"], {"payload": {"action": ""}})["payload"]["action"] != "close":
            yield f"order {order['ticket']} of {order['volume_initial']} lots"
    yield len(ours)


def main():
    folder = pathlib.Path(sys.argv[1])
    *found, n_orders = findings(folder)
    print(f"{n_orders} orders, {len(found)} findings")
    for finding in found:
        print(f"  {finding}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
