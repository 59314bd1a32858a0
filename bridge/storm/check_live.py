#!/usr/bin/env python3
"""Whether a day's decisions became orders once: the terminal's own books beside the journals of live loop and bridge. What `check.py`
finds between terminal and bridge is found here too. A line per finding; exit 1 if there is any.
"""

import collections
import json
import pathlib
import sqlite3
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "standin"), str(HERE.parent), str(HERE)]

import check  # noqa: E402
import limits  # noqa: E402
from conftest import BINARY  # noqa: E402

STEP, MARK = 0.01, (1 << 48) - 1


def decided(folder):
    """Every intent of the loop's journal by its id, and the last outcome of each."""
    db = sqlite3.connect(folder / "live" / "journal.sqlite")
    intents, outcomes = {}, {}
    for seq, body in db.execute("select seq, body from records order by seq"):
        record = json.loads(body)
        if record["record"] in ("step", "flatten"):
            for intent in (record.get("decision") or record)["intents"]:
                yield_twice = intent["id"] in intents
                intents[intent["id"]] = intent | {"seq": seq, "twice": yield_twice}
        elif record["record"] == "outcome":
            kind, said = next(iter(record["outcome"].items()))
            outcomes.setdefault(record["id"], []).append((kind, said))
    return intents, outcomes


def decisions(folder):
    """Every bar that the loop decided on, by its close, with the equity it knew, and the marks of what it wanted then."""
    db = sqlite3.connect(folder / "live" / "journal.sqlite")
    for body, in db.execute("select body from records order by seq"):
        record = json.loads(body)
        if record["record"] == "step":
            decision = record["decision"]
            yield decision["close"], decision["equity"], [int(intent["id"], 16) for intent in decision["intents"]]


def findings(folder):
    *found, n_orders = check.findings(folder)
    yield from found
    intents, outcomes = decided(folder)
    db = sqlite3.connect(folder / "journal.sqlite")
    of_bridge = {id: state for id, state in db.execute("select id, state from intents")}
    books = check.terminal_books(folder)
    ours = [order for order in books["orders"] if order["magic"] >> 48 == check.STRATEGY and order["reason"] in check.CLIENT_REASONS]

    # No order without a decision that was written down; no decision made twice.
    known = {int(id, 16) for id in intents}
    for order in ours:
        if order["magic"] & MARK not in known:
            yield f"order {order['ticket']} was decided by nobody: no intent of the loop's has its mark"
    for id, intent in intents.items():
        if intent["twice"]:
            yield f"{id} was decided twice"
        told = [kind for kind, _ in outcomes.get(id, [])]
        if not told or told[-1] == "unknown":
            yield f"{id}: the loop does not know what became of it ({told})"
        elif told[-1] == "confirmed" and of_bridge.get(id) != "confirmed":
            yield f"{id}: the loop was told confirmed, the bridge says {of_bridge.get(id)}"
        elif told[-1] == "refused" and of_bridge.get(id) in ("confirmed", "written", "unknown"):
            yield f"{id}: the loop was told refused, the bridge says {of_bridge.get(id)}"
        if len([kind for kind in told if kind != "unknown"]) > 1:
            yield f"{id} has {told}"

    # Books equal broker, and no limit was passed.
    status = json.loads((folder / "told.json").read_text())["status"]
    if status is None:
        yield "the loop did not answer after the storm"
    else:
        balance = sum(deal["profit"] + deal["commission"] + deal["swap"] + deal["fee"] for deal in books["deals"])
        lots = sum(p["volume"] if p["type"] == 0 else -p["volume"] for p in books["positions"])
        if abs(status["balance"] - balance) > 0.02:
            yield f"the loop's balance is {status['balance']}, the terminal's {balance:.2f}"
        if books["positions"]:
            yield f"it was killed to be flat, and {lots:g} lots are held"
        if abs(status["lots"] - lots) > STEP / 2:
            yield f"the loop holds {status['lots']} lots, the terminal {lots}"
        if status["standing"]["disagreement"] is not None:
            yield f"books and broker disagree: {status['standing']['disagreement']}"
    tickets = collections.defaultdict(list)
    for order in ours:
        tickets[order["magic"] & MARK].append(order["ticket"])
    yield from limits.findings(books, decisions(folder), tickets)

    # What was decided is decided again.
    replayed = subprocess.run([BINARY, "live", "replay", str(folder / "live")], capture_output=True, text=True)
    if replayed.returncode != 0:
        yield f"replay: {replayed.stdout}{replayed.stderr}"
    yield n_orders


def main():
    folder = pathlib.Path(sys.argv[1])
    *found, n_orders = findings(folder)
    print(f"{n_orders} orders, {len(found)} findings")
    for finding in found:
        print(f"  {finding}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
