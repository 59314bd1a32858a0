"""Writes `agents/ppo/tests/fixtures/sb3_update.json`: one minibatch update by Stable-Baselines3's own `PPO.train()`.

    python3 -m venv .venv && .venv/bin/pip install stable-baselines3 && .venv/bin/python scripts/sb3_update_fixture.py

Two cases, a discrete and a continuous action. A rollout is collected by SB3 from a dummy environment of random
observations, rewards and episode ends; then the old log-probabilities are perturbed, so that the clip bites; then
`train()` makes three steps of Adam, each on all the rows as one minibatch. Rows are in step-major order (row = step * n_envs +
environment); the `gae_*` entries are `[n_steps][n_envs]`. The value is not clipped, as is SB3's default: its
`clip_range_vf` drops the larger of both losses. Continuous actions are those sampled, unclipped. `gradients` are the last
step's and `gradient_norm` the mean of all, before the norm is clipped; what is logged is the mean, `loss` the last. Weight matrices are `[in][out]`, row-major; a float32 is written
with nine significant digits.
"""

import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import stable_baselines3
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

N_ENVS, N_STEPS, HIDDEN, HEAD_SCALE = 4, 16, [16, 12], 150.0
CONFIG = {"n_steps": N_STEPS, "batch_size": N_ENVS * N_STEPS, "n_epochs": 3, "gamma": 0.99, "gae_lambda": 0.95,
          "clip_range": 0.2, "ent_coef": 0.01, "vf_coef": 0.5, "max_grad_norm": 0.5, "learning_rate": 3e-4,
          "normalize_advantage": True}
NAMES = {"mlp_extractor.policy_net.0": "actor.0", "mlp_extractor.policy_net.2": "actor.1", "action_net": "actor.2",
         "mlp_extractor.value_net.0": "critic.0", "mlp_extractor.value_net.2": "critic.1", "value_net": "critic.2"}
LOGGED = "policy_gradient_loss value_loss entropy_loss approx_kl clip_fraction loss explained_variance".split()


class Noise(gym.Env):
    """Random observations, rewards and terminations: only the arithmetic of the update is of interest."""

    def __init__(self, seed, action_space):
        self.rng = np.random.default_rng(seed)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (5,), np.float32)
        self.action_space = action_space

    def reset(self, *, seed=None, options=None):
        return self.rng.normal(size=5).astype(np.float32), {}

    def step(self, action):
        return self.reset()[0], float(self.rng.normal()), bool(self.rng.random() < 0.15), False, {}


def plain(array):
    """Nested lists; nine significant digits give every float32 back."""
    array = np.asarray(array)
    if array.ndim:
        return [plain(a) for a in array]
    return float(f"{float(array):.9g}") if array.dtype.kind == "f" else int(array)


def named(tensors):
    """SB3's names and `[out][in]` matrices to ours and `[in][out]`, flattened."""
    out = {}
    for name, tensor in tensors:
        layer, _, kind = name.rpartition(".")
        name = "head.log_deviation" if name == "log_std" else f"{NAMES[layer]}.{kind}"
        out[name] = plain(tensor.detach().numpy().T.flatten())
    return out


def case(action_space, seed):
    envs = DummyVecEnv([lambda i=i: Noise(100 * seed + i, action_space) for i in range(N_ENVS)])
    nets = {"net_arch": {"pi": HIDDEN, "vf": HIDDEN}, "activation_fn": torch.nn.Tanh}
    model = PPO("MlpPolicy", envs, policy_kwargs=nets, seed=seed, device="cpu", **CONFIG)
    policy, buffer = model.policy, model.rollout_buffer
    with torch.no_grad():  # away from the uniform policy, zero biases and unit deviations of the start
        policy.action_net.weight *= HEAD_SCALE
        for name, tensor in policy.named_parameters():
            if name.endswith("bias"):
                tensor += 0.1 * torch.randn_like(tensor)
            if name == "log_std":
                tensor.copy_(torch.tensor([-0.5, 0.25]))

    last, compute = {}, buffer.compute_returns_and_advantage
    def watched(last_values, dones):
        last.update(gae_last_values=plain(last_values.flatten()), gae_last_dones=plain(dones.astype(int)))
        compute(last_values=last_values, dones=dones)
    buffer.compute_returns_and_advantage = watched
    _, callback = model._setup_learn(N_ENVS * N_STEPS)
    model.collect_rollouts(model.env, callback, buffer, N_STEPS)
    record = {**last}
    for name in ["rewards", "episode_starts", "values", "advantages"]:
        record[f"gae_{name}"] = plain(getattr(buffer, name))

    rng = np.random.default_rng(1000 + seed)
    buffer.log_probs += rng.normal(0, 0.15, buffer.log_probs.shape).astype(np.float32)
    for name in ["observations", "actions", "log_probs", "values", "advantages", "returns"]:
        rows = getattr(buffer, name).reshape(N_ENVS * N_STEPS, -1)
        record[name] = plain(rows[:, 0] if rows.shape[1] == 1 else rows)
    record["weights_before"] = named(policy.named_parameters())

    norms, clip = [], torch.nn.utils.clip_grad_norm_
    def capture(parameters, max_norm):
        record["gradients"] = named((name, tensor.grad) for name, tensor in policy.named_parameters())
        norms.append(plain(clip(parameters, max_norm).numpy()))
        record["gradient_norm"] = sum(norms) / len(norms)
    torch.nn.utils.clip_grad_norm_ = capture
    model.train()
    torch.nn.utils.clip_grad_norm_ = clip
    record["weights_after"] = named(policy.named_parameters())
    record["logged"] = {name: plain(model.logger.name_to_value[f"train/{name}"]) for name in LOGGED}
    return record, {key: policy.optimizer.defaults[key] for key in ("betas", "eps")}


torch.set_num_threads(1)
discrete, adam = case(gym.spaces.Discrete(3), 1)
continuous, _ = case(gym.spaces.Box(-1.0, 1.0, (2,), np.float32), 2)
versions = {m.__name__: str(m.__version__) for m in (stable_baselines3, torch, np)}
config = {"n_envs": N_ENVS, "hidden": HIDDEN, "activation": "tanh", "head_scale": HEAD_SCALE, **CONFIG, "adam": adam}
out = Path(__file__).parent.parent / "agents/ppo/tests/fixtures/sb3_update.json"
out.parent.mkdir(parents=True, exist_ok=True)
fixture = {"versions": versions, "config": config, "discrete": discrete, "continuous": continuous}
out.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
print(out.name, out.stat().st_size)
