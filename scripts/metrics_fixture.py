"""Writes `crates/evaluate/tests/fixtures/metrics.csv`: made-up returns and what other people's code says of them.

    python3 scripts/metrics_fixture.py     (needs numpy, scipy, empyrical-reloaded, arch and statsmodels from the Python registry)
"""

from pathlib import Path

import arch
import empyrical
import numpy as np
import pandas as pd
import scipy
import statsmodels
from arch.bootstrap import optimal_block_length
import statsmodels.api as sm
from scipy import stats



def newey_west(y, x):
    lags = int(4 * (len(y) / 100) ** (2 / 9))
    return sm.OLS(y, sm.add_constant(x)).fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False})


N, YEAR = 1500, 252
rng = np.random.default_rng(7)
noise = 0.01 * rng.standard_t(5, N)
returns = np.empty(N)
last = 0.0
for i in range(N):  # a little autocorrelation, so that blocks matter
    last = 0.25 * last + noise[i]
    returns[i] = round(0.0004 + last, 8)
market = np.round(0.5 * returns + 0.008 * rng.standard_normal(N), 8)
series, factor = pd.Series(returns), pd.Series(market)
quantile = np.quantile(returns, 0.05)
values = {
    "total_return": empyrical.cum_returns_final(series),
    "cagr": empyrical.annual_return(series, annualization=YEAR),
    "volatility": empyrical.annual_volatility(series, annualization=YEAR),
    "sharpe": empyrical.sharpe_ratio(series, annualization=YEAR),
    "sortino": empyrical.sortino_ratio(series, annualization=YEAR),
    "calmar": empyrical.calmar_ratio(series, annualization=YEAR),
    "max_drawdown": -empyrical.max_drawdown(series),
    "value_at_risk": -quantile,
    "conditional_value_at_risk": -returns[returns <= quantile].mean(),
    "hit_rate": (returns > 0).mean(),
    "profit_factor": returns[returns > 0].sum() / -returns[returns < 0].sum(),
    "beta": empyrical.beta(series, factor),
    "alpha": (series.mean() - empyrical.beta(series, factor) * factor.mean()) * YEAR,
    **dict(zip(("t_alpha", "t_beta"), newey_west(returns, market).tvalues)),
    "skewness": stats.skew(returns),
    "kurtosis": stats.kurtosis(returns, fisher=False),
    "block": float(optimal_block_length(series)["stationary"].iloc[0]),
}
out = Path(__file__).parent.parent / "crates/evaluate/tests/fixtures/metrics.csv"
out.parent.mkdir(parents=True, exist_ok=True)
with out.open("w") as f:
    f.write(f"# empyrical-reloaded {empyrical.__version__}, arch {arch.__version__}, scipy {scipy.__version__}, statsmodels {statsmodels.__version__}, numpy {np.__version__}\n")
    f.writelines(f"{name};{value:.12g}\n" for name, value in values.items())
    f.writelines(f"row;{r:.8f};{m:.8f}\n" for r, m in zip(returns, market))
print(out)
