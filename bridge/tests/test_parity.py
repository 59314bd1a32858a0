"""The same days twice: through loop, bridge and terminal, and in the environment that the policy was trained in."""

import csv
import datetime
import pathlib
import random
import subprocess
import sys
import time

import pytest

from conftest import BINARY, Bridge, Terminal

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / "storm")]

from limits import LIMITS  # noqa: E402
from live import Live, Promoted, cambist  # noqa: E402

BARS = 60


def bars(path):
    """Hours of a market whose prices are written in cents, as a terminal's are."""
    chance, price = random.Random(1), 20_000.0
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["timestamp", "open", "high", "low", "close", "volume"])
        for hour in range(9_000):
            time = datetime.datetime(2022, 6, 1) + datetime.timedelta(hours=hour)
            opened = price
            price = opened * (1 + chance.gauss(0, 0.004))
            ends = opened, price
            low, high = min(ends) * (1 - abs(chance.gauss(0, 0.001))), max(ends) * (1 + abs(chance.gauss(0, 0.001)))
            rows.writerow([time.isoformat(sep=" "), *(f"{value:.2f}" for value in (opened, high, low, price)), chance.randint(100, 900)])


def stored(text):
    """The storm's policy, on bars that were imported."""
    lines = [line for line in text.splitlines() if not line.startswith(("kind =", "n_bars =", "start ="))]
    return "\n".join(lines).replace('source = "synthetic"', 'source = "store"').replace("stop_loss_atr = 8.0", "stop_loss_atr = 1.5")


@pytest.mark.parametrize("books", ["netting", "hedging"])
def test_days_through_the_bridge_are_the_environments_days(books, tmp_path):
    folder = tmp_path / "policy"
    folder.mkdir()
    bars(folder / "bars.csv")
    cambist(folder, "data", "import", "bars.csv", "--symbol", "BTCUSD", "--timeframe", "1h", "--venue", "made")
    promoted = Promoted(folder, books, stored)
    terminal = Terminal("2023-03-10", books, 10_000, config=folder / "policy.toml")
    bridge = Bridge(tmp_path, terminal)
    # The environment knows no limits.
    live = Live(tmp_path, promoted, bridge, **dict.fromkeys(LIMITS))
    try:
        live.begin()
        assert until(lambda: live.status() is not None)
        for _ in range(BARS):
            now = terminal.advance(bars=1)["now"]
            assert until(lambda: (status := live.status()) and status["close"] >= now[:19] and not status["unresolved"]), now
        live.end()
    finally:
        live.close()
        bridge.close()
        terminal.close()
    said = {command: subprocess.run([BINARY, "live", command, str(tmp_path / "live")], cwd=folder, capture_output=True, text=True)
            for command in ("replay", "compare")}
    assert said["replay"].returncode == 0 and "\n0 differences" in said["replay"].stdout, said
    compared = said["compare"].stdout
    assert said["compare"].returncode == 0 and f"{BARS} bars, 5" in compared, said
    # A bar's close is seen with the open of the next: at the server's midnight, 22:00 UTC, its swap is booked by then.
    differ = [line for line in compared.splitlines() if " live, " in line and line.endswith(" there")]
    assert len(differ) <= 6 and all(line[11:19] == "21:00:00" for line in differ), compared
    assert not differ or (" 0 fills of" in compared and "left over +0.00" in compared), compared


def until(done, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.01)
    return False
