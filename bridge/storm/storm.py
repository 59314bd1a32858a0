#!/usr/bin/env python3
"""A storm over bridge and terminal: days of random orders, with faults on the terminal's line and processes killed in mid-order.

    CAMBIST_BINARY=target/release/cambist python bridge/storm/storm.py --runs 20 --seed 1

Each run is two simulated days or more: a terminal with seeded faults, the bridge that ships, and a client that sends an order a bar and never
believes anything but an outcome. The bridge is killed in every window (before the journal, between journal and sending, between
sending and the answer, between the answer and its record), the terminal too. Then `check.py`, a process of its own, reads the
terminal's books and the bridge's journal. `--without duplicates|lookup|journal` takes one safeguard away: the checker must then
find something.
"""

import argparse
import collections
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "standin"), str(HERE.parent)]

import httpx  # noqa: E402
from conftest import Bridge, Terminal  # noqa: E402

# At least so many bars, until so many orders have reached the terminal, and no more.
BARS, ORDERS, MOST_BARS = 48, 25, 250
WINDOWS = ["die_early", "die_before", "die_after", "die_answered"]
FAULTS = """
seed = {seed}
delay = {rate}
delay_ms = 30
timeout_before = {rate}
timeout_after = {rate}
none_before = {rate}
none_after = {rate}
reset_before = {rate}
reset_after = {rate}
restart_before = {rate}
restart_after = {rate}
lost_before = {rate}
lost_after = {rate}
anothers = {rate}
requote = {rate}
partial = {rate}
stale_ticks = {spells}
history_lag = {spells}
clock_jump = {jumps}
disconnected = {cuts}
lag_s = 5
spell = 25
"""


class Stormy(Bridge):
    """The bridge, perhaps without one of its safeguards."""

    without = None

    def command(self):
        return [str(HERE / "without.py"), self.without] if self.without else ["-m", "cambist_bridge"]


def enough(folder, bars):
    """Whether a run of so many bars has had its orders, by the terminal's journal: to ask it would be another call that meets the weather."""
    sent = sum(line.startswith('{"request"') for line in (folder / "terminal.jsonl").open())
    return bars >= MOST_BARS or (bars >= BARS and sent >= ORDERS)


class Client:
    """Decides at random, and asks until it knows."""

    def __init__(self, bridge, seed, told):
        self.bridge, self.random, self.told, self.n, self.seed = bridge, random.Random(seed), told, 0, seed
        self.kills = collections.Counter()

    def revive(self):
        """The bridge, if it is gone; and its lease, as a client that knows it may have lost it."""
        for _ in range(20):
            try:
                if self.bridge.process.poll() is not None:
                    self.bridge.http.close()
                    self.bridge.begin()
                return self.bridge.take_lease(previous=self.bridge.lease)
            except httpx.TransportError:
                # It is about to be gone.
                time.sleep(0.1)
        raise RuntimeError(f"the bridge does not come back: {self.bridge.said()[-2000:]}")

    def speak(self, body):
        try:
            return self.bridge.http.post("/order", json=body, headers={"Cambist-Lease": str(self.bridge.lease)})
        except httpx.TransportError:
            return None

    def decide(self):
        """An order on the positions as they are read now, or None when they cannot be read."""
        try:
            positions, orders = self.bridge.get("/positions"), self.bridge.get("/orders")
        except (httpx.TransportError, AssertionError):
            return None
        self.n += 1
        body = {"id": f"{self.seed & 0xFFFFFF:06x}{self.n:06x}", "symbol": "BTCUSD"}
        kind = self.random.random()
        if positions and kind < 0.35:
            position = self.random.choice(positions)
            return body | {"action": "close", "position": position["ticket"]}
        if orders and kind < 0.45:
            return body | {"action": "cancel", "order": self.random.choice(orders)["ticket"]}
        side = self.random.choice(["buy", "sell"])
        volume = round(self.random.randint(1, 40) / 100, 2)
        if kind < 0.6:
            return body | {"action": "limit", "side": side, "volume": volume, "price": 1.0 if side == "buy" else 9999.0}
        return body | {"action": "market", "side": side, "volume": volume}

    def trade(self):
        """One order to its end, as far as time at a standstill lets it come."""
        body = self.decide()
        if body is None:
            return self.revive()
        if self.random.random() < 0.25:
            window = self.random.choice(WINDOWS)
            self.bridge.fault(window)
            self.kills[window] += 1
        answer = self.speak(body)
        if self.random.random() < 0.3:
            # A client that was not answered, or forgot it, asks for the same again.
            self.revive()
            answer = self.speak(body) or answer
        self.note(body, answer)
        (self.bridge.folder / "fault").unlink(missing_ok=True)

    def note(self, body, answer):
        state = None
        if answer is not None and answer.status_code in (200, 202, 409):
            state = answer.json().get("state")
        self.told.append({"id": body["id"], "body": body, "state": state})


def day(folder, seed, without=None):
    """One run: what the checker needs is in `folder`; returns how many orders met which fault, and how often was killed where."""
    (folder / "faults.toml").write_text(FAULTS.format(seed=seed, rate=0.025, spells=0.003, jumps=0.001, cuts=0.002))
    chance = random.Random(seed)
    books = chance.choice(["hedging", "netting"])
    terminal = Terminal("2023-03-10", books, 10_000, folder / "terminal.jsonl", folder / "faults.toml")
    Stormy.without = without
    bridge = Stormy(folder, terminal)
    told, met, kills = [], collections.Counter(), collections.Counter()
    client = Client(bridge, seed, told)
    try:
        n = 0
        while not enough(folder, n):
            n += 1
            client.trade()
            if chance.random() < 0.06:
                met.update(terminal.ask("weather"))
                kills["terminal"] += 1
                terminal.kill_and_begin()
            if chance.random() < 0.15:
                kills["bridge"] += 1
                bridge.kill()
            client.revive()
            terminal.advance(bars=1)
            wait(client)
        met.update(terminal.ask("weather"))
        # The storm is over: the same terminal, with a quiet line, and everything must come clear.
        terminal.faults = None
        terminal.kill_and_begin()
        client.revive()
        settled = False
        for _ in range(10):
            # What begins late believes in no lack before time has passed.
            terminal.advance(bars=1)
            if settled := wait(client, 30):
                break
        (folder / "told.json").write_text(json.dumps({"told": told, "settled": settled}))
    finally:
        bridge.close()
        terminal.close()
    return met, kills + client.kills


def wait(client, looks=12):
    """Asks what is open until it is clear, or cannot be yet. Whether all is."""
    for _ in range(looks):
        try:
            ids = client.bridge.get("/health")["open_intents"]
            if not ids:
                return True
            states = [client.bridge.http.get(f"/order/{id}").json().get("state") for id in ids]
            if "unknown" not in states:
                return True
        except (httpx.TransportError, AssertionError):
            client.revive()
        time.sleep(0.1)
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", choices=["duplicates", "lookup", "journal"])
    arguments = parser.parse_args()
    met, kills, failed, orders = collections.Counter(), collections.Counter(), [], []
    for seed in range(arguments.seed, arguments.seed + arguments.runs):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            of_faults, of_kills = day(folder, seed, arguments.without)
            met, kills = met + of_faults, kills + of_kills
            checked = subprocess.run([sys.executable, str(HERE / "check.py"), str(folder)], capture_output=True, text=True)
            orders.append(int((checked.stdout.split() or ["0"])[0]))
            if checked.returncode != 0:
                failed.append(seed)
                print(f"run {seed}: {checked.stdout}{checked.stderr}", flush=True)
    print(f"{arguments.runs} runs, {sum(orders)} orders in the terminal's books ({min(orders)} or more in each), {len(failed)} runs with findings")
    print("orders met   " + ", ".join(f"{name} {n}" for name, n in sorted(met.items())))
    print("killed       " + ", ".join(f"{name} {n}" for name, n in sorted(kills.items())))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
