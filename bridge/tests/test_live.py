"""Before the first order: what `cambist serve --live` and `cambist live preflight` refuse, over the bridge that ships."""

import collections
import json
import pathlib
import sqlite3
import subprocess
import sys
import time

import pytest

from conftest import BINARY, TOKEN

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / "storm")]

from live import Live, Promoted, config_of  # noqa: E402


@pytest.fixture(scope="module")
def promoted(tmp_path_factory):
    return Promoted(tmp_path_factory.mktemp("policies") / "netting", "netting")


def config(folder, bridge, **limits):
    (folder / "bridge-token").write_text(TOKEN + "\n")
    (folder / "live.toml").write_text(config_of(bridge.port, folder / "bridge-token", **limits))
    return str(folder / "live.toml")


def cambist(folder, *arguments):
    return subprocess.run([BINARY, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=60)


def test_an_account_of_another_kind_is_named_and_not_traded(make, promoted, tmp_path):
    good = make(books="netting")
    preflight = ["live", "preflight", promoted.run, "--config", config(tmp_path, good), "--account", 1]
    said = cambist(promoted.folder, *preflight)
    assert said.returncode == 0 and said.stdout.count("good") >= 14, said.stdout + said.stderr
    assert cambist(promoted.folder, *preflight[:-1], 2).stderr.count("logged in to 1, not to 2") == 1
    good.close()
    other = make(books="hedging")
    said = cambist(promoted.folder, "live", "preflight", promoted.run, "--config", config(tmp_path, other), "--account", 1)
    assert said.returncode == 1 and "account kind" in said.stdout and "differs" in said.stdout and "1 fields differ" in said.stderr
    serve = ["serve", promoted.run, "--live", "--account", 1, "--config", config(tmp_path, other), "--state", tmp_path / "live"]
    said = cambist(promoted.folder, *serve, "--trust", promoted.key)
    assert said.returncode == 1 and "account kind is hedging at the broker, netting in training" in said.stderr, said.stderr
    assert other.terminal.deals() == []


def test_live_needs_a_promotion_a_stop_grace_and_its_own_account(make, promoted, tmp_path):
    bridge = make(books="netting")
    serve = ["serve", promoted.run, "--live", "--config", config(tmp_path, bridge), "--state", tmp_path / "live"]
    said = cambist(promoted.folder, *serve, "--account", 1, "--trust", "0" * 64)
    assert said.returncode == 1 and "whom nobody here trusts" in said.stderr, said.stderr
    said = cambist(promoted.folder, *serve, "--account", 2, "--trust", promoted.key)
    assert said.returncode == 1 and "account 2, here it is 1" in said.stderr, said.stderr
    config(tmp_path, bridge, stop_grace=None)
    said = cambist(promoted.folder, *serve, "--account", 1, "--trust", promoted.key)
    assert said.returncode == 1 and "write limits.stop_grace" in said.stderr, said.stderr
    assert not (tmp_path / "live" / "journal.sqlite").exists()


def records(folder):
    """How many records of each kind the loop's journal has."""
    db = sqlite3.connect(folder / "live" / "journal.sqlite")
    return collections.Counter(json.loads(body)["record"] for body, in db.execute("select body from records"))


def test_a_loop_that_was_away_sees_every_bar_and_trades_over_no_hole(make, promoted, tmp_path):
    bridge = make(books="netting")
    live = Live(tmp_path, promoted, bridge)
    try:
        live.begin()
        wait(live.status)
        decided(live, bridge.terminal.advance(bars=1)["now"])
        live.end()
        # Of the bars that it missed the terminal has loaded five.
        bridge.spell("short")
        now = bridge.terminal.advance(bars=40)["now"]
        live.begin()
        wait(lambda: "do not reach back to" in (tmp_path / "live" / "log.jsonl").read_text())
        assert records(tmp_path)["missed"] == 0 and records(tmp_path)["step"] == 1
        bridge.spell("short", lasts=False)
        decided(live, now)
        assert records(tmp_path)["missed"] == 39 and records(tmp_path)["step"] == 2
    finally:
        live.close()


def decided(live, now):
    wait(lambda: (status := live.status()) and status["close"] >= now[:19])


def wait(done, seconds=30):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)
