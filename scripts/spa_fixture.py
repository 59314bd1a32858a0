"""Writes crates/evaluate/tests/fixtures/spa.json: excess returns and the p-values that `arch` finds (Hansen's test, three versions).

    python3 -m venv .venv && .venv/bin/pip install arch && .venv/bin/python scripts/spa_fixture.py
"""

import json
from pathlib import Path

import arch
import numpy as np
from arch.bootstrap import SPA

BLOCK, REPS = 5, 20_000
cases = []
for seed, edge in [(1, 0.0), (2, 0.0008), (3, 0.002)]:
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((400, 8)) * 0.01
    # A little autocorrelation, so that blocks matter.
    excess = np.round(noise + 0.3 * np.vstack([np.zeros(8), noise[:-1]]), 6)
    excess[:, 0] += edge
    excess[:, 1] -= 0.004
    # SPA takes losses: the benchmark's are zero, a model's are what it did not earn.
    test = SPA(np.zeros(400), -excess, block_size=BLOCK, reps=REPS, bootstrap="stationary", seed=np.random.default_rng(7))
    test.compute()
    p = test.pvalues
    cases.append(
        {
            "excess": [[round(float(x), 6) for x in column] for column in excess.T],
            "lower": float(p["lower"]),
            "consistent": float(p["consistent"]),
            "upper": float(p["upper"]),
        }
    )
out = Path(__file__).parent.parent / "crates/evaluate/tests/fixtures/spa.json"
out.write_text(json.dumps({"arch": arch.__version__, "block": BLOCK, "reps": REPS, "cases": cases}) + "\n")
