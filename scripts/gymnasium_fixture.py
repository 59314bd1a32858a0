"""Writes `envs/analytic/tests/fixtures/gymnasium.json`: trajectories of Gymnasium's CartPole-v1 and Pendulum-v1.

    python3 -m venv .venv && .venv/bin/pip install gymnasium && .venv/bin/python scripts/gymnasium_fixture.py

Five trajectories each, from seeded starts and with seeded random actions, up to 60 steps (CartPole: until it
terminates). `initial_state` and `states` are the internal float64 state (CartPole x, x_dot, theta, theta_dot; Pendulum
theta, theta_dot) in full; `observations` are what `step` returned, float32 with nine significant digits. The last
trajectory starts from a state set by hand: CartPole leaves by its position, Pendulum meets its speed limit. Torques are
multiples of 1/256, which Gymnasium's float32 torque times three represents exactly, and some are beyond the limit of 2,
to be clipped by the environment; the 0.001 torque^2 of the reward is rounded to float32 by Gymnasium.
"""

import json
from pathlib import Path

import gymnasium as gym
import numpy as np

TRAJECTORIES, STEPS = 5, 60


def trajectory(name, seed, start, draw):
    env = gym.make(name).unwrapped
    env.reset(seed=seed)
    if start is not None:
        env.state = np.array(start, dtype=np.float64)
    rng = np.random.default_rng(1000 + seed)
    out = {"initial_state": [float(v) for v in env.state]}
    out.update({key: [] for key in ["actions", "observations", "rewards", "terminated", "states"]})
    for _ in range(STEPS):
        action, given = draw(rng)
        observation, reward, terminated, _, _ = env.step(given)
        assert observation.dtype == np.float32 and env.state.dtype == np.float64
        out["actions"].append(action)
        out["observations"].append([float(f"{float(v):.9g}") for v in observation])
        out["rewards"].append(float(reward))
        out["terminated"].append(bool(terminated))
        out["states"].append([float(v) for v in env.state])
        if terminated:
            break
    return out


def push(rng):
    action = int(rng.integers(2))
    return action, action


def torque(rng):
    action = round(float(rng.uniform(-2.5, 2.5)) * 256) / 256
    return action, np.array([action], dtype=np.float32)


def trajectories(name, start, draw):
    last = TRAJECTORIES - 1
    return [trajectory(name, seed, start if seed == last else None, draw) for seed in range(TRAJECTORIES)]


fixture = {
    "gymnasium": gym.__version__,
    "numpy": np.__version__,
    "CartPole-v1": trajectories("CartPole-v1", [-2.2, -0.9, 0.01, 0.02], push),
    "Pendulum-v1": trajectories("Pendulum-v1", [1.5, 7.6], torque),
}
out = Path(__file__).parent.parent / "envs/analytic/tests/fixtures/gymnasium.json"
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
print(out.name, out.stat().st_size)
