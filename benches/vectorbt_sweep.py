"""Runs vectorbt and Cambist on the same sixteen moving-average strategies over a year of minutes, by turns, and compares.

    python3 -m venv .venv && .venv/bin/pip install "vectorbt>=1.0"
    cargo build --release && .venv/bin/python benches/vectorbt_sweep.py [repeats]

Speed: averages, fees, slippage and Sharpe ratios reckoned inside; vectorbt's `from_signals` after its compilation, Cambist
as `cambist bench backtest` prints it; the medians are divided. Equality: vectorbt's `from_orders` is given Cambist's fills
(decided and sized at a close, filled at the next open, all costs as one fee) and must agree in returns and Sharpe ratios.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd
import vectorbt as vbt

N_BARS = 525_600
FAST, SLOW = (5, 10, 20, 40), (50, 100, 200, 400)
FEES, SLIPPAGE = 0.0002, 0.0001
ONE_WAY = FEES + SLIPPAGE
BINARY = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release" / "cambist"
CONFIG = f"""
[data]
source = "store"
symbol = "WALK"
timeframe = "1m"
[features]
columns = ["return(1)"]
[windows]
train_until = "2023-06-01"
validation_until = "2023-09-01"
[execution]
commission_bp = {FEES * 1e4}
half_spread_bp = 0.0
slippage_bp = {SLIPPAGE * 1e4}
borrow_rate = 0.0
margin = false
initial_cash = 10000.0
ruin_fraction = 0.0
max_exposure = 1.0
"""


def walk():
    """A year of minutes in cents."""
    rng = np.random.default_rng(1)
    close = np.round(20_000 * np.exp(np.cumsum(rng.normal(0, 4e-4, N_BARS))), 2)
    open_ = np.round(np.concatenate([[20_000], close[:-1]]) * (1 + rng.normal(0, 2e-5, N_BARS)), 2)
    high = np.round(np.maximum(open_, close) * (1 + np.abs(rng.normal(0, 1e-4, N_BARS))), 2)
    low = np.round(np.minimum(open_, close) * (1 - np.abs(rng.normal(0, 1e-4, N_BARS))), 2)
    index = pd.date_range("2023-01-01", periods=N_BARS, freq="1min")
    return pd.DataFrame({"open": open_, "high": high, "low": low, "close": close, "volume": 1.0}, index=index)


def cambist(folder, *arguments):
    command = [str(BINARY), *arguments, "--data-dir", str(folder / "data")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def signals(close):
    """Whether the fast average is above the slow one, a column a strategy; in whole cents, so that no rounding decides."""
    cents = np.round(close.to_numpy() * 100).astype(np.int64)
    sums = np.concatenate([[0], np.cumsum(cents)])
    columns = {}
    for fast in FAST:
        for slow in SLOW:
            above = np.zeros(len(cents), bool)
            mine = sums[slow:] - sums[:-slow]
            quick = sums[fast:] - sums[:-fast]
            above[slow - 1 :] = quick[slow - fast :] * slow > mine * fast
            columns[fast, slow] = above
    return pd.DataFrame(columns, index=close.index)


def theirs(bars):
    """One run as a user writes it: averages, signals, portfolio, Sharpe ratios."""
    fast = vbt.MA.run(bars["close"], [f for f in FAST for _ in SLOW], short_name="fast")
    slow = vbt.MA.run(bars["close"], [s for _ in FAST for s in SLOW], short_name="slow")
    above = fast.ma.to_numpy() > slow.ma.to_numpy()
    portfolio = vbt.Portfolio.from_signals(
        bars["close"], above, ~above, price=bars["open"].shift(-1).bfill().ffill(), fees=FEES, slippage=SLIPPAGE, freq="1min",
    )
    return portfolio.sharpe_ratio()


def equal(bars, ours):
    """vectorbt with our fills: a target sized at the close before, filled at this open, the cash deciding."""
    above = signals(bars["close"])
    # The first decision is made at the first bar whose features are ready: the second.
    above.iloc[0] = False
    wanted = above.shift(1, fill_value=False).to_numpy()
    before = np.vstack([np.zeros((1, wanted.shape[1]), bool), wanted[:-1]])
    size = np.where(wanted & ~before, 1 / (1 + ONE_WAY), np.where(~wanted & before, 0.0, np.nan))
    shape = dict(index=bars.index, columns=above.columns)
    spread = lambda column: pd.DataFrame(np.repeat(column.to_numpy()[:, None], wanted.shape[1], 1), **shape)
    portfolio = vbt.Portfolio.from_orders(
        spread(bars["close"]), pd.DataFrame(size, **shape), size_type="targetpercent", price=spread(bars["open"]),
        val_price=spread(bars["close"].shift(1).bfill()), fees=ONE_WAY, init_cash=10_000.0, freq="1min", direction="longonly",
    )
    worst = [0.0, 0.0]
    for row in ours:
        column = (int(row["fast"]), int(row["slow"]))
        value = portfolio.value()[column].to_numpy()[1:]
        returns = value[1:] / value[:-1] - 1
        total = value[-1] / value[0] - 1
        # A Julian year of minutes, as Cambist annualises.
        sharpe = returns.mean() / returns.std(ddof=1) * np.sqrt(365.25 * 1440)
        worst[0] = max(worst[0], abs(total - row["return"]))
        worst[1] = max(worst[1], abs(sharpe - row["sharpe"]) / max(1.0, abs(sharpe)))
    return worst


def main():
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    bars = walk()
    folder = pathlib.Path(tempfile.mkdtemp())
    (folder / "config.toml").write_text(CONFIG)
    table = bars.reset_index(names="timestamp")
    table["timestamp"] = table["timestamp"].dt.strftime("%Y-%m-%d %H:%M:%S")
    table.to_csv(folder / "walk.csv", index=False)
    cambist(folder, "data", "import", str(folder / "walk.csv"), "--symbol", "WALK", "--timeframe", "1m", "--venue", "made-up")
    config = str(folder / "config.toml")
    axes = ["--grid", "fast=" + ",".join(map(str, FAST)), "--grid", "slow=" + ",".join(map(str, SLOW))]
    lines = cambist(folder, "backtest", config, "--rule", "sma_cross", "--long-only", "--json", *axes).splitlines()
    ours = [json.loads(line) for line in lines]
    difference = equal(bars, ours)
    print(f"largest difference of 16 strategies: return {difference[0]:.1e}, Sharpe ratio {difference[1]:.1e}")
    theirs(bars)  # compiled
    speeds = {"vectorbt": [], "cambist": []}
    for turn in range(repeats):
        begun = time.perf_counter()
        theirs(bars)
        speeds["vectorbt"].append(16 * N_BARS / (time.perf_counter() - begun))
        lines = cambist(folder, "bench", "backtest", config, "--repeats", "3", "--json").splitlines()
        reading = next(r for r in map(json.loads, lines) if r["what"] == "backtests")
        speeds["cambist"].append(statistics.median(reading["values"]))
        print(f"turn {turn + 1}: vectorbt {speeds['vectorbt'][-1] / 1e6:.2f} M, cambist {speeds['cambist'][-1] / 1e6:.0f} M bar-strategies/s", flush=True)
    median = {name: statistics.median(values) for name, values in speeds.items()}
    print(f"medians, vectorbt {vbt.__version__}: {median['vectorbt'] / 1e6:.2f} M, cambist {median['cambist'] / 1e6:.0f} M: ratio {median['cambist'] / median['vectorbt']:.0f}")
    if max(difference) > 1e-9:
        sys.exit("error: returns or Sharpe ratios differ by more than 1e-9")


main()
