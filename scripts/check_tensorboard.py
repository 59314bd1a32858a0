"""Reads a run's events with TensorBoard itself and compares them with metrics.jsonl.

    python3 scripts/check_tensorboard.py RUN_FOLDER      (needs tensorboard from the Python registry)
"""

import json
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = Path(sys.argv[1])
events = EventAccumulator(str(run))
events.Reload()
rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
tags = events.Tags()["scalars"]
expected = sorted({name for row in rows for name in row if name != "step"})
assert sorted(tags) == expected, (tags, expected)
for tag in tags:
    ours = [(row["step"], row[tag]) for row in rows if tag in row]
    theirs = [(event.step, event.value) for event in events.Scalars(tag)]
    assert len(ours) == len(theirs), tag
    for (step, value), (their_step, their_value) in zip(ours, theirs):
        same = value is None or abs(value - their_value) <= 1e-6 * max(1.0, abs(value))
        assert step == their_step and same, (tag, step, value, their_step, their_value)
print(f"{len(tags)} scalars, {len(rows)} steps, read alike")
