"""Calibrates the built-in regime market (`crates/data/src/synth/regime.rs`) to hourly BTC.

    python3 scripts/calibrate_regimes.py PATH_TO_1M_PARQUETS    (needs numpy and polars)

Days are labelled by hindsight, as a description and never as a feature: bull or bear when the centred 21-day log return
is beyond +/-10 %, range otherwise; wild when the day's realised volatility is above its centred 91-day median, calm
otherwise. Printed per state: hours, mean dwell in hours, drift and standard deviation of the hourly log return, and the
transition matrix of the days. Prices are only read; nothing of them is stored.
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl

files = sorted(Path(sys.argv[1]).glob("*.parquet"))
bars = pl.concat([pl.read_parquet(f).select("timestamp", "close") for f in files]).sort("timestamp")
hourly = bars.group_by(pl.col("timestamp") // 3_600_000).agg(pl.col("close").last()).sort("timestamp")
close = np.log(hourly["close"].to_numpy())
day = hourly["timestamp"].to_numpy()[1:] // 24
returns = np.diff(close)

days = np.unique(day)
last = np.array([close[1:][day == d][-1] for d in days])
realised = np.array([np.sqrt((returns[day == d] ** 2).mean()) for d in days])
half = 10
trend = np.array([last[min(i + half, len(last) - 1)] - last[max(i - half, 0)] for i in range(len(days))])
median = np.array([np.median(realised[max(i - 45, 0) : i + 46]) for i in range(len(days))])
label = np.where(trend > 0.10, 0, np.where(trend < -0.10, 1, 2)) * 2 + (realised > median)
names = ["bull calm", "bull wild", "bear calm", "bear wild", "range calm", "range wild"]

print(f"all: {len(returns)} hours, std {returns.std():.5f}, kurtosis {((returns - returns.mean())**4).mean() / returns.var()**2:.1f}")
for state, name in enumerate(names):
    inside = np.isin(day, days[label == state])
    r = returns[inside]
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], (label == state).astype(int), [0]]))))[::2]
    kurt = ((r - r.mean()) ** 4).mean() / r.var() ** 2
    print(f"{name:12s} share {inside.mean():.3f} dwell {24 * runs.mean():6.1f} h  drift {r.mean():+.6f}  std {r.std():.5f}  kurt {kurt:.1f}")
for coarse, mask in (("bull", label // 2 == 0), ("bear", label // 2 == 1), ("range", label // 2 == 2)):
    inside = np.isin(day, days[mask])
    r = returns[inside]
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]]))))[::2]
    print(f"{coarse:6s} share {inside.mean():.3f} dwell {runs.mean():5.1f} d drift {r.mean():+.6f} std {r.std():.5f}")
counts = np.zeros((6, 6))
for a, b in zip(label[:-1], label[1:]):
    counts[a, b] += 1
print(np.round(counts / counts.sum(1, keepdims=True), 3))
