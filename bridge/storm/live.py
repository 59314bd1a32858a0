#!/usr/bin/env python3
"""A storm over everything between a policy and an account: live loop, bridge, terminal, each a process of its own.

    CAMBIST_BINARY=target/release/cambist python bridge/storm/live.py --runs 20 --seed 1

Each run is two simulated days or more: a promoted policy trades nearly every hour through `cambist serve --live`, with seeded faults on
the terminal's line. Loop, bridge and terminal are killed in mid-order (`kill -9`), the loop and the bridge in each of their windows:
before the journal, between journal and sending, between sending and the answer, between the answer and its record. Then the storm is
over, everything must come clear, and `check_live.py`, a process of its own, reads the terminal's books beside both journals.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "standin"), str(HERE.parent), str(HERE)]

import httpx  # noqa: E402
from conftest import BINARY, TOKEN, Bridge, Terminal, _free_port  # noqa: E402
from limits import LIMITS  # noqa: E402
from storm import FAULTS, WINDOWS, Stormy, enough  # noqa: E402

# What a thorough storm must have seen: orders in a run, orders that met each fault, kills in each window, orders held back by each limit.
THOROUGH = 20, 100, 50, 50
# A policy that decides every hour wants no second order in one; that none is doubled is seen all the same.
UNREACHED = {"orders_per_hour"}
PHRASE = "a phrase for storms and nothing else"
# In the last the order is still on its way when the loop is killed, and comes in seconds later.
LIVE_WINDOWS = ["before_journal", "journal_to_send", "send_to_answer", "answer_to_record", "late"]
LATE_S = 4.0
# Safeguards that can be taken away: of the bridge, of the loop.
WITHOUT, LOOPS = ["duplicates", "lookup", "journal"], ["loops-journal", "loops-lookup", "fence", "limits"]
SWEEP = """
[study]
name = "storm"
base = "policy.toml"
set = ["ppo.total_steps=4096"]
trials = 10
sampler = "random"
pruner = "none"

[[parameter]]
name = "ppo.learning_rate"
domain = { float = { low = 1e-5, high = 1e-3, log = true } }
"""
CONFIG = """
[limits]
{limits}

[bridge]
url = "http://127.0.0.1:{port}"
token_file = "{token}"
symbol = "BTCUSD"
poll_ms = 40
absent_after_s = 2
"""


def cambist(folder, *arguments):
    environment = os.environ | {"CAMBIST_KEY_PASSPHRASE": PHRASE}
    done = subprocess.run([BINARY, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{arguments}: {done.stdout}{done.stderr}")
    return done.stdout


class Promoted:
    """A policy for accounts of a kind, trained and promoted; with the key to trust. `adapt` may change its config."""

    def __init__(self, folder, books, adapt=lambda text: text):
        policy = adapt((HERE / "policy.toml").read_text().replace('books = "netting"', f'books = "{books}"'))
        folder.mkdir(exist_ok=True)
        shutil.copy(HERE / "gate.toml", folder)
        for name, text in [("policy.toml", policy), ("sweep.toml", SWEEP)]:
            (folder / name).write_text(text)
        cambist(folder, "sweep", "sweep.toml", "--quiet")
        cambist(folder, "train", "runs/sweep-storm/best.toml", "--quiet")
        said = cambist(folder, "promote", "keygen", "--out", "key.json")
        self.key = next(line.split()[1] for line in said.splitlines() if line.startswith("public"))
        cambist(folder, "promote", "latest", "--gate", "gate.toml", "--study", "storm", "--key", "key.json")
        self.run = sorted(folder.glob("runs/2*"))[-1]
        self.folder = folder


class Proxy:
    """Between loop and bridge: passes everything on, and kills the loop, or lets the bridge die, in the window it is armed for."""

    # A safeguard of the loop's that is taken away: its look-up is told that there is nothing, its new lease is the old one.
    without = None

    def __init__(self, bridge, kill):
        self.port, self.bridge, self.kill = bridge.port, bridge, kill
        self.window, self.killed, self.lease = None, collections.Counter(), None
        self.lock = threading.Lock()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def hung_up(self):
                self.close_connection = True

            def any(self):
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length)
                order = self.command == "POST" and self.path == "/order"
                if self.path.startswith("/symbol/") and proxy.strikes("before_journal"):
                    return self.hung_up()
                if order and proxy.strikes("journal_to_send"):
                    return self.hung_up()
                if order and proxy.strikes("late"):
                    time.sleep(LATE_S)
                    with contextlib.suppress(OSError):
                        proxy.forward(self.command, self.path, self.headers, body)
                    return self.hung_up()
                dies = proxy.lets_die() if order else None
                try:
                    status, headers, answer = proxy.forward(self.command, self.path, self.headers, body)
                except OSError:
                    return self.hung_up()
                finally:
                    proxy.look_after(dies)
                if order and proxy.strikes("send_to_answer"):
                    return self.hung_up()
                stop = order and proxy.takes("answer_to_record")
                if stop:
                    # What is stopped cannot write down what it is told.
                    proxy.kill(signal.SIGSTOP)
                self.send_response(status)
                for name, value in headers:
                    if name.lower() in ("content-type", "www-authenticate"):
                        self.send_header(name, value)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
                self.wfile.flush()
                if stop:
                    proxy.kill(signal.SIGKILL)

            do_GET = do_POST = do_PUT = do_DELETE = any

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                """Who was killed does not listen any more."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def takes(self, window):
        with self.lock:
            if self.window != window:
                return False
            self.window = None
            self.killed["live " + window] += 1
            return True

    def lets_die(self):
        """The window in which the bridge is to die of the order that is on its way, if it is."""
        with self.lock:
            if self.window not in WINDOWS:
                return None
            dies, self.window = self.window, None
            self.bridge.fault(dies)
            return dies

    def look_after(self, dies):
        """Counts a bridge that died where it was to; one that sent nothing, and lives, is to die no more."""
        if dies is None:
            return
        (self.bridge.folder / "fault").unlink(missing_ok=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.killed["bridge " + dies] += self.bridge.process.wait(0.5) == -signal.SIGKILL

    def strikes(self, window):
        if not self.takes(window):
            return False
        self.kill(signal.SIGKILL)
        return True

    def forward(self, method, path, headers, body):
        asks, leases = method == "GET" and path.startswith("/order/"), method == "POST" and path == "/lease"
        if self.without == "loops-lookup" and asks:
            problem = {"type": "/problems/no-such-id", "title": "no such id", "status": 404, "detail": "nothing", "instance": path}
            return 404, [("content-type", "application/problem+json")], json.dumps(problem).encode()
        if self.without == "fence" and leases and self.lease is not None:
            return self.lease
        answer = self.sent_on(method, path, headers, body)
        if leases and answer[0] == 200:
            self.lease = answer
        return answer

    def sent_on(self, method, path, headers, body):
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            kept = {k: v for k, v in headers.items() if k.lower() not in ("host", "connection", "content-length")}
            line.request(method, path, body or None, kept)
            answer = line.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            line.close()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def config_of(port, token, **others):
    """What an operator writes down of a loop whose bridge listens at `port`, with the storm's limits and others; None leaves one out."""
    limits = {"stop_grace": 60.0} | ({} if Proxy.without == "limits" else LIMITS) | others
    lines = [f"{name} = {value:.6f}" if isinstance(value, float) else f"{name} = {value}" for name, value in limits.items() if value is not None]
    return CONFIG.format(limits="\n".join(lines), port=port, token=token)


class Live:
    """`cambist serve --live`."""

    without_journal = False

    def __init__(self, folder, promoted, bridge, **limits):
        self.folder, self.promoted = folder, promoted
        self.port, self.process, self.begun = _free_port(), None, 0
        (folder / "bridge-token").write_text(TOKEN + "\n")
        (folder / "api-token").write_text(TOKEN + "\n")
        self.proxy = Proxy(bridge, self.kill)
        (folder / "live.toml").write_text(config_of(self.proxy.server.server_port, folder / "bridge-token", **limits))
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=5, headers={"Authorization": f"Bearer {TOKEN}"})

    def begin(self):
        command = [
            BINARY, "serve", str(self.promoted.run), "--live", "--account", "1", "--trust", self.promoted.key, "--config",
            str(self.folder / "live.toml"), "--state", str(self.folder / "live"), "--listen", f"127.0.0.1:{self.port}", "--token-file",
            str(self.folder / "api-token"), "--runs-dir", str(self.promoted.folder / "runs"), "--quiet"]
        self.begun += 1
        if self.without_journal:
            for path in (self.folder / "live").glob("journal.[sh]*"):
                path.unlink()
        with (self.folder / "live.log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self, number=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)

    def is_gone(self):
        return self.process is None or self.process.poll() is not None

    def status(self):
        try:
            answer = self.http.get("/status")
            return answer.json() if answer.status_code == 200 else None
        except httpx.TransportError:
            return None

    def end(self):
        """In good order."""
        self.kill(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait()

    def close(self):
        self.kill()
        if self.process:
            self.process.wait()
        self.proxy.close()
        self.http.close()


class Run:
    """Two days, or until there were orders enough; or so many hours."""

    hours = None

    def __init__(self, folder, seed, promoted):
        self.folder, self.chance = folder, random.Random(seed)
        (folder / "faults.toml").write_text(FAULTS.format(seed=seed, rate=0.05, spells=0.004, jumps=0.003, cuts=0.002))
        books = self.chance.choice(["hedging", "netting"])
        self.terminal = Terminal("2023-03-10", books, 10_000, folder / "terminal.jsonl", folder / "faults.toml")
        self.bridge = Stormy(folder, self.terminal)
        self.live = Live(folder, promoted[books], self.bridge)
        self.met, self.kills, self.slow = collections.Counter(), collections.Counter(), 0

    def keep_alive(self):
        if self.bridge.process.poll() is not None:
            self.bridge.http.close()
            self.bridge.begin()
        if self.live.is_gone():
            self.live.begin()

    def wait(self, seconds, done):
        """Until `done` says so of the loop's status, or time is over. The status, if it was."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.keep_alive()
            status = self.live.status()
            if status is not None and done(status):
                return status
            time.sleep(0.02)
        return None

    def bar(self):
        """One hour: what may go wrong in it is chosen, time passes, and the loop decides."""
        what = self.chance.random()
        if Proxy.without in LOOPS[:3]:
            # A lack of the fence shows in orders that are late, of the others in those whose answer nobody was there to hear.
            self.live.proxy.window = "late" if Proxy.without == "fence" else "send_to_answer"
        elif what < 0.3:
            self.live.proxy.window = self.chance.choice(WINDOWS if what < 0.12 else LIVE_WINDOWS)
        elif what < 0.33:
            self.met.update(self.terminal.ask("weather"))
            self.kills["terminal"] += 1
            self.terminal.kill_and_begin()
        elif what < 0.36:
            self.kills["bridge"] += 1
            self.bridge.kill()
        now = self.terminal.advance(bars=1)["now"]
        decided = self.wait(4, lambda status: status["close"] >= now[:19])
        self.slow += decided is None
        self.live.proxy.window = None

    def live_through(self):
        self.wait(20, lambda status: True)
        n = 0
        while n < self.hours if self.hours else not enough(self.folder, n):
            n += 1
            self.bar()
        self.met.update(self.terminal.ask("weather"))
        # The storm is over: the same terminal, with a quiet line, and everything must come clear.
        self.terminal.faults = None
        self.terminal.kill_and_begin()
        clear = None
        for _ in range(6):
            now = self.terminal.advance(bars=1)["now"]
            clear = self.wait(16, lambda status: status["close"] >= now[:19] and not status["unresolved"])
        # Killed by hand it must end flat; what the last bars did is in the books of the bars after them.
        with contextlib.suppress(httpx.TransportError):
            self.live.http.post("/kill", json={"why": "the storm is over"})
        for _ in range(4):
            now = self.terminal.advance(bars=1)["now"]
            self.wait(16, lambda status: status["close"] >= now[:19] and not status["unresolved"])
        status = self.live.status()
        self.live.end()
        settled = clear is not None and not self.bridge.get("/health")["open_intents"]
        (self.folder / "told.json").write_text(json.dumps({"told": [], "settled": settled, "status": status}))
        self.kills.update(self.live.proxy.killed)
        self.held = collections.Counter(held_back(self.folder))

    def close(self):
        self.live.close()
        self.bridge.close()
        self.terminal.close()


def held_back(folder):
    """The limit that kept an order back, for every decision of which one did."""
    with contextlib.closing(sqlite3.connect(folder / "live" / "journal.sqlite")) as db:
        for body, in db.execute("select body from records"):
            named = re.search(r"; limits\.(\w+)", json.loads(body).get("decision", {}).get("reason", ""))
            if named:
                yield named[1]


def judged(seed, promoted, keep):
    """One run and what the checker says of it: the run, orders, findings."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        run = Run(folder, seed, promoted)
        try:
            run.live_through()
        finally:
            run.close()
        checked = subprocess.run([sys.executable, str(HERE / "check_live.py"), str(folder)], capture_output=True, text=True)
        said = "" if checked.returncode == 0 else f"run {seed}: {checked.stdout}{checked.stderr}"
        if said and keep:
            shutil.copytree(folder, pathlib.Path(keep) / str(seed))
        return run, int((checked.stdout.split() or ["0"])[0]), said


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=4, help="runs at once")
    parser.add_argument("--keep", help="folder for what is left of runs with findings")
    parser.add_argument("--without", choices=[*WITHOUT, *LOOPS], help="a safeguard that is taken away")
    parser.add_argument("--hours", type=int, help="so many, however few orders there are; for a storm in small")
    parser.add_argument("--thorough", action="store_true", help="fail where too little was met: every run, fault and window counts")
    arguments = parser.parse_args()
    Run.hours = arguments.hours
    Stormy.without = arguments.without if arguments.without in WITHOUT else None
    Live.without_journal, Proxy.without = arguments.without == "loops-journal", arguments.without
    met, kills, held, failed, orders, slow = collections.Counter(), collections.Counter(), collections.Counter(), 0, [], 0
    with tempfile.TemporaryDirectory() as of_policies:
        promoted = {books: Promoted(pathlib.Path(of_policies) / books, books) for books in ["hedging", "netting"]}
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            seeds = range(arguments.seed, arguments.seed + arguments.runs)
            for run, n_orders, said in pool.map(lambda seed: judged(seed, promoted, arguments.keep), seeds):
                met, kills, held = met + run.met, kills + run.kills, held + run.held
                slow, orders = slow + run.slow, [*orders, n_orders]
                failed += bool(said)
                if said:
                    print(said, flush=True)
    print(f"{arguments.runs} runs, {sum(orders)} orders in the terminal's books ({min(orders)} or more in each), {failed} runs with findings, {slow} bars undecided in time")
    print("orders met   " + ", ".join(f"{name} {n}" for name, n in sorted(met.items())))
    print("killed       " + ", ".join(f"{name} {n}" for name, n in sorted(kills.items())))
    print("held back by " + ", ".join(f"{name} {n}" for name, n in sorted(held.items())))
    lacking = [f"{n} times {name}, {least} were wanted" for name, n, least in wanted(orders, met, kills, held) if n < least]
    if arguments.thorough:
        print("\n".join(lacking) or "nothing was met too rarely")
    return 1 if failed or (arguments.thorough and lacking) else 0


def wanted(orders, met, kills, held):
    """What a thorough storm counts: name, how often, how often at least."""
    per_run, per_fault, per_window, per_limit = THOROUGH
    yield "orders in a run", min(orders), per_run
    faults = [line.split(" = ")[0] for line in FAULTS.splitlines() if "{" in line and "seed" not in line]
    yield from ((name, met[name], per_fault) for name in faults)
    windows = [f"bridge {name}" for name in WINDOWS] + [f"live {name}" for name in LIVE_WINDOWS]
    yield from ((f"killed: {name}", kills[name], per_window) for name in windows)
    yield from ((f"held back by {name}", held[name], per_limit) for name in LIMITS if name not in UNREACHED)


if __name__ == "__main__":
    sys.exit(main())
