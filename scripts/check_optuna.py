"""What Optuna sees of a study: one JSON object. With --add N it first adds N trials of its own, as a Python worker would.

    python scripts/check_optuna.py URL STUDY [--add N]
"""

import json
import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)


def space(study):
    """The distributions of the study's trials, by name."""
    out = {}
    for trial in study.trials:
        out.update(trial.distributions)
    return out


def main():
    url, name = sys.argv[1:3]
    n_added = int(sys.argv[4]) if "--add" in sys.argv else 0
    study = optuna.load_study(storage=url, study_name=name)
    for _ in range(n_added):
        trial = study.ask(space(study))
        trial.report(-0.5, 0)
        trial.set_user_attr("by", "python")
        study.tell(trial, -0.25)
    trials = [
        {
            "number": t.number,
            "state": t.state.name,
            "values": t.values,
            "params": t.params,
            "intermediate": {str(k): v for k, v in t.intermediate_values.items()},
            "retry_history": optuna.storages.RetryHeartbeatStaleTrialCallback.retry_history(t),
            "by": t.user_attrs.get("by", ""),
        }
        for t in study.trials
    ]
    best = study.best_trial
    print(
        json.dumps(
            {
                "version": optuna.__version__,
                "direction": study.direction.name,
                "best": {"number": best.number, "value": best.value, "params": best.params},
                "trials": trials,
            }
        )
    )


main()
