"""Runs a peer and Cambist by turns on this machine and prints the ratio of their training speeds.

    python3 -m venv .venv && .venv/bin/pip install jax optax                                 # for jax
    .venv/bin/pip install torch stable-baselines3 gym-trading-env                            # for sb3
    cargo build --release && .venv/bin/python benches/peer.py jax|sb3|jax-small [repeats]

`jax` and `sb3` are the reference PPO work beside each peer; `sb3-shape` and `jax-small` give everybody SB3's own shape,
8 environments x 512 steps in minibatches of 1,024. Each turn is a process of its own; the medians are divided.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
SMALL = ["ppo.n_envs=8", "ppo.horizon=512", "ppo.minibatch_size=1024", "ppo.total_steps=819200", "ppo.validate_every=100"]
# What runs beside us, and what we run with.
PEERS = {
    "jax": (["jax_ppo.py"], []),
    "sb3": (["sb3_ppo.py"], []),
    "jax-small": (["jax_ppo.py", "8", "512", "4"], SMALL),
    "sb3-shape": (["sb3_ppo.py"], SMALL),
}


def peer(arguments):
    command = [sys.executable, str(HERE / "peers" / arguments[0]), *arguments[1:]]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return float(next(line.split("=")[1] for line in lines if line.startswith("env_steps_per_s=")))


def ours(sets):
    binary = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release" / "cambist"
    command = [str(binary), "bench", "ppo", "--repeats", "1", "--json"]
    for text in sets:
        command += ["--set", text]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return next(reading["values"][0] for reading in map(json.loads, lines) if reading["what"] == "training")


def main():
    name = sys.argv[1] if len(sys.argv) > 1 else "jax"
    if name not in PEERS:
        sys.exit(f"there is no peer '{name}': choose one of {', '.join(PEERS)}")
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    arguments, sets = PEERS[name]
    theirs, own = [], []
    for turn in range(repeats):
        theirs.append(peer(arguments))
        own.append(ours(sets))
        print(f"turn {turn + 1}: {name} {theirs[-1]:,.0f}, cambist {own[-1]:,.0f} steps/s", flush=True)
    ratio = statistics.median(own) / statistics.median(theirs)
    print(f"medians: {name} {statistics.median(theirs):,.0f}, cambist {statistics.median(own):,.0f}: ratio {ratio:.2f}")


main()
