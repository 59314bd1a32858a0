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
outcomes = sorted(tag for tag in tags if tag.startswith("judgement/"))
tags = [tag for tag in tags if tag not in outcomes]
assert sorted(tags) == expected, (tags, expected)
for tag in tags:
    ours = [(row["step"], row[tag]) for row in rows if tag in row]
    theirs = [(event.step, event.value) for event in events.Scalars(tag)]
    assert len(ours) == len(theirs), tag
    for (step, value), (their_step, their_value) in zip(ours, theirs):
        same = value is None or abs(value - their_value) <= 1e-6 * max(1.0, abs(value))
        assert step == their_step and same, (tag, step, value, their_step, their_value)
# Hyper-parameters with their outcome, through the plugin's own messages.
from tensorboard.plugins.hparams import plugin_data_pb2


def plugin(tag):
    content = events.SummaryMetadata(f"_hparams_/{tag}").plugin_data.content
    return plugin_data_pb2.HParamsPluginData.FromString(content)


experiment, start = plugin("experiment").experiment, plugin("session_start_info").session_start_info
assert plugin("session_end_info").session_end_info.status == 1
assert start.hparams["ppo.gamma"].number_value == 0.99, start
assert start.hparams["data.symbol"].string_value == "REGIME", start
assert sorted(metric.name.tag for metric in experiment.metric_infos) == outcomes and len(outcomes) == 4, outcomes
outcome = json.loads((run / "outcome.json").read_text())["judgement"]["scores"][0]
shown = events.Scalars("judgement/sharpe")[-1].value
assert abs(shown - outcome["sharpe"]) < 1e-6 * max(1.0, abs(shown)), (shown, outcome["sharpe"])
print(f"{len(tags)} scalars, {len(rows)} steps, read alike; {len(start.hparams)} hyper-parameters and {len(outcomes)} outcomes")
