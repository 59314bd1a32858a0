"""Writes `crates/features/tests/fixtures/talib.csv`: made-up bars and TA-Lib's values for them.

    python3 scripts/talib_fixture.py        (needs TA-Lib and numpy from the Python registry)

The bars are a seeded random walk, hourly from 2020-01-01, so the fixture holds nobody's prices. Prices have four
decimals, values twelve digits. The first line names the versions.
"""

from pathlib import Path

import numpy as np
import talib

N = 2600
rng = np.random.default_rng(20200101)
close = 100 * np.exp(np.cumsum(0.006 * rng.standard_t(4, N)))
open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(0.0005 * rng.standard_normal(N))
high = np.maximum(open_, close) * np.exp(np.abs(0.003 * rng.standard_normal(N)))
low = np.minimum(open_, close) * np.exp(-np.abs(0.003 * rng.standard_normal(N)))
volume = np.exp(5 + 0.7 * rng.standard_normal(N))
open_, high, low, close, volume = (np.round(c, 4) for c in (open_, high, low, close, volume))

upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
line, signal, histogram = talib.MACD(close, 12, 26, 9)
k, d = talib.STOCH(high, low, close, 5, 3, 0, 3, 0)
obv = talib.OBV(close, volume)
columns = {
    "open": open_, "high": high, "low": low, "close": close, "volume": volume,
    "sma(20)": talib.SMA(close, 20), "ema(20)": talib.EMA(close, 20), "wma(20)": talib.WMA(close, 20),
    "rsi(14)": talib.RSI(close, 14),
    "macd(12,26,9)#0": line, "macd(12,26,9)#1": signal, "macd(12,26,9)#2": histogram,
    "bollinger(20,2)#0": upper, "bollinger(20,2)#1": middle, "bollinger(20,2)#2": lower,
    "atr(14)": talib.ATR(high, low, close, 14),
    "adx(14)#0": talib.ADX(high, low, close, 14),
    "adx(14)#1": talib.PLUS_DI(high, low, close, 14), "adx(14)#2": talib.MINUS_DI(high, low, close, 14),
    "stochastic(5,3,3)#0": k, "stochastic(5,3,3)#1": d,
    "cci(14)": talib.CCI(high, low, close, 14), "roc(10)": talib.ROC(close, 10),
    "williams(14)": talib.WILLR(high, low, close, 14), "mfi(14)": talib.MFI(high, low, close, volume, 14),
    "obv(20)": obv - np.concatenate([np.full(20, np.nan), obv[:-20]]),
    "donchian(20)#0": talib.MAX(high, 20), "donchian(20)#1": talib.MIN(low, 20),
}
out = Path(__file__).parent.parent / "crates/features/tests/fixtures/talib.csv"
with out.open("w") as f:
    f.write(f"# TA-Lib {talib.__ta_version__.decode()}, Python wrapper {talib.__version__}, numpy {np.__version__}\n")
    f.write(";".join(columns) + "\n")
    for row in range(N):
        f.write(";".join("" if np.isnan(c[row]) else f"{c[row]:.12g}" for c in columns.values()) + "\n")
print(out, N, "bars")
