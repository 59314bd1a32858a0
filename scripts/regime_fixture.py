#!/usr/bin/env python3
"""Writes crates/regime/tests/fixtures/regime.json: a filter by hmmlearn's forward pass, change points by SciPy's t.

    pip install hmmlearn scipy numpy && python3 scripts/regime_fixture.py
"""

import json
import pathlib

import hmmlearn
import numpy as np
import scipy
from hmmlearn.hmm import GaussianHMM
from scipy import stats

rng = np.random.default_rng(7)
x = np.concatenate([rng.normal(0.001, 0.005, 40), rng.normal(-0.002, 0.02, 40)])

model = GaussianHMM(n_components=3, covariance_type="diag")
model.startprob_ = np.array([0.5, 0.3, 0.2])
model.transmat_ = np.array([[0.95, 0.03, 0.02], [0.04, 0.9, 0.06], [0.02, 0.08, 0.9]])
model.means_ = np.array([[0.001], [0.0], [-0.003]])
model.covars_ = np.array([[0.004**2], [0.01**2], [0.02**2]])
# Filtered at t is what the smoother says of the last bar when it has seen no more than t.
filtered = [model.predict_proba(x[: t + 1].reshape(-1, 1))[-1].tolist() for t in range(len(x))]
log_likelihood = model.score(x.reshape(-1, 1))

prior = {"mean_run": 50.0, "mean": 0.0, "kappa": 0.5, "alpha": 1.5, "beta": 1e-4}
hazard = 1 / prior["mean_run"]
probability = np.array([1.0])
mean, kappa, alpha, beta = (np.array([prior[k]]) for k in ("mean", "kappa", "alpha", "beta"))
run_lengths = []
for v in x:
    scale = np.sqrt(beta * (kappa + 1) / (alpha * kappa))
    joint = probability * stats.t.pdf(v, 2 * alpha, mean, scale)
    probability = np.append(joint.sum() * hazard, joint * (1 - hazard))
    probability /= probability.sum()
    run_lengths.append(probability.tolist())
    beta = np.append(prior["beta"], beta + kappa * (v - mean) ** 2 / (2 * (kappa + 1)))
    mean = np.append(prior["mean"], (kappa * mean + v) / (kappa + 1))
    kappa, alpha = np.append(prior["kappa"], kappa + 1), np.append(prior["alpha"], alpha + 0.5)

out = {
    "made_by": f"hmmlearn {hmmlearn.__version__}, scipy {scipy.__version__}, numpy {np.__version__}",
    "x": x.tolist(),
    "hmm": {
        "initial": model.startprob_.tolist(),
        "transition": model.transmat_.ravel().tolist(),
        "mean": model.means_.ravel().tolist(),
        "variance": [0.004**2, 0.01**2, 0.02**2],
        "filtered": [p for row in filtered for p in row],
        "log_likelihood": log_likelihood,
    },
    "changes": {**prior, "run_lengths": run_lengths},
}
path = pathlib.Path(__file__).parent.parent / "crates/regime/tests/fixtures/regime.json"
path.write_text(json.dumps(out))
