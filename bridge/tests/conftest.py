"""A simulated terminal and the bridge that ships, each a process of its own."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import httpx
import pytest

import cambist_terminal

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
BINARY = str(pathlib.Path(os.environ.get("CAMBIST_BINARY", ROOT / "target" / "release" / "cambist")).absolute())
TOKEN = "a-token-for-tests-and-nothing-else"

_TAPE = """
    data.source=synthetic data.kind=regime data.start=2022-06-01 data.n_bars=20000 broker.spread=fixed broker.spread_ticks=3
    broker.slippage_ticks=1 windows.train_until=2022-12-01 windows.validation_until=2023-01-01 windows.test_until=2023-06-01
    windows.sealed_from=2024-09-01 broker.latency_ms=0
""".split()


class Terminal:
    """`cambist terminal simulate`; `line` moves its time."""

    def __init__(self, begin, books, cash, journal=None, faults=None, config=None, more=()):
        self.begun, self.books, self.cash, self.journal, self.faults, self.config = begin, books, cash, journal, faults, config
        self.more = list(more)
        self.address = "127.0.0.1:0"
        self.begin()

    def begin(self):
        """Begins the process, where it listened before."""
        begin, books, cash, journal = self.begun, self.books, self.cash, self.journal
        config, tape = (self.config, []) if self.config else ("configs/btc_broker.toml", _TAPE)
        command = [BINARY, "terminal", "simulate", str(config), "--from", begin, "--listen", self.address]
        for setting in [*tape, f"broker.books={books}", f"broker.initial_cash={cash}"]:
            command += ["--set", setting]
        command += self.more
        command += ["--journal", str(journal)] if journal else []
        command += ["--faults", str(self.faults)] if self.faults else []
        if journal:
            journal.with_name("books").write_text(books)
        self.process = subprocess.Popen(command, cwd=self.config.parent if self.config else ROOT, stdout=subprocess.PIPE, text=True)
        words = self.process.stdout.readline().split()
        self.address = next(word.rstrip(",") for word in words if ":" in word and word[0].isdigit())
        self.line = cambist_terminal.Line(self.address)

    def advance(self, bars=None, to=None):
        return cambist_terminal.advance(self.line, to=to, bars=bars)

    def ask(self, call, **arguments):
        return self.line.call(call, **arguments)["ok"]

    def deals(self):
        """All that were traded: the first is the deposit."""
        return [deal for deal in self.ask("history_deals_get", **{"from": 0}, until=1 << 40) if deal["type"] < 2]

    def kill_and_begin(self):
        """As `kill -9` does, and then from its journal."""
        self.close()
        self.begin()

    def close(self):
        self.line.close()
        self.process.kill()
        self.process.wait()


def books_of(folder):
    """Of which kind the account of the terminal in `folder` was."""
    return (folder / "books").read_text()


_CONFIG = """
[account]
login = 1
strategy = 7
journal = "journal.sqlite"
[clock]
server_offset_minutes = 120
daylight_saving = "{saving}"
source = "simulated"
[serve]
port = {port}
poll_ms = 50
requests_per_second = {requests_per_second}
[caps]
symbols = ["BTCUSD"]
max_lots = 0.5
max_net_lots = 1.0
orders_per_minute = {orders_per_minute}
[safety]
dead_man_s = {dead_man_s}
dead_man = "{dead_man}"
lease_s = {lease_s}
"""


class Bridge:
    """`python -m cambist_bridge`, and a client of it."""

    def __init__(self, folder, terminal, **settings):
        self.folder, self.terminal = folder, terminal
        self.port = _free_port()
        self.settings = {"saving": "us", "orders_per_minute": 100, "dead_man_s": 600, "dead_man": "freeze", "lease_s": 600,
                         "requests_per_second": 100, "tls": None} | settings
        self.lease, self.n, self.more = None, 0, []
        self.begin()

    def begin(self):
        """Begins the process, anew if it is gone; with the same journal."""
        text, tls = _CONFIG.format(port=self.port, **self.settings), self.settings["tls"]
        if tls:
            text = text.replace("[serve]\n", f'[serve]\ncertificate = "{tls["certificate"]}"\nkey = "{tls["key"]}"\n')
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        (self.folder / "bridge.toml").write_text(text)
        self.log = open(self.folder / "log.jsonl", "ab")
        self.process = subprocess.Popen(
            [sys.executable, *self.command(), str(self.folder / "bridge.toml"), *self.more], cwd=HERE.parent, stderr=self.log,
            env=os.environ | self.environment())
        self.http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20,
            verify=tls["context"] if tls else True)
        for _ in range(400):
            try:
                return self.http.get("/health")
            except httpx.TransportError:
                assert self.process.poll() is None, self.said()
                time.sleep(0.05)
        raise AssertionError("the bridge does not answer")

    def command(self):
        return ["-m", "cambist_bridge"]

    def environment(self):
        path = os.pathsep.join(str(p) for p in (HERE / "faulty", HERE.parent, HERE.parent / "standin"))
        return {"PYTHONPATH": path, "CAMBIST_TERMINAL": self.terminal.address, "CAMBIST_BRIDGE_TOKEN": TOKEN,
                "CAMBIST_FAULT": str(self.folder / "fault")}

    def said(self):
        return (self.folder / "log.jsonl").read_text()

    def fault(self, name):
        (self.folder / "fault").write_text(name)

    def spell(self, name, lasts=True):
        """Begins or ends what lasts: `lag` of positions, another `login`."""
        path = self.folder / f"fault.{name}"
        path.touch() if lasts else path.unlink()

    def take_lease(self, holder="tests", previous=None):
        answer = self.http.post("/lease", json={"holder": holder, "previous": previous})
        if answer.status_code == 200:
            self.lease = answer.json()["token"]
        return answer

    def order(self, action, id=None, symbol="BTCUSD", **fields):
        """Sends an order, with an id of its own where none is given."""
        if self.lease is None:
            assert self.take_lease().status_code == 200
        self.n += 1
        body = {"action": action, "id": id or f"{self.n:012x}", "symbol": symbol, **fields}
        return self.http.post("/order", json=body, headers={"Cambist-Lease": str(self.lease)})

    def get(self, path, **query):
        answer = self.http.get(path, params=query)
        assert answer.status_code in (200, 202), answer.text
        return answer.json()

    def settled(self, id):
        """What became of `id`, when it is known: a lack is only believed when it is seen twice."""
        for _ in range(100):
            found = self.http.get(f"/order/{id}").json()
            if found["state"] != "unknown":
                return found
            time.sleep(0.1)
        return found

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self):
        self.http.close()
        self.kill()
        self.log.close()


def _free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def make(tmp_path):
    """Makes a terminal and a bridge over it; both end with the test."""
    made = []

    def build(begin="2023-03-10", books="hedging", cash=10_000, **settings):
        terminal = Terminal(begin, books, cash)
        made.append(terminal)
        bridge = Bridge(tmp_path, terminal, **settings)
        made.append(bridge)
        return bridge

    yield build
    for one in reversed(made):
        one.close()
