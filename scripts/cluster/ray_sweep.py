"""Starts the workers of a sweep on a Ray cluster, and waits until the study is done.

    cambist sweep my_sweep.toml --storage URL --workers 0        # once: makes the study
    python ray_sweep.py URL STUDY --workers 8 --cpus-per-worker 4

Each worker is a Ray task that runs `cambist sweep worker`. Ray places it where its resources are free, asks
its autoscaler for nodes where none are, and starts it elsewhere when its node is lost. The trial of a lost
worker is failed after the study's grace period, and tried again once by another. Ctrl-C or SIGTERM here gives
all trials back; the same command goes on.

The last line says how the study stands. Exit: 0 when it is done, 1 otherwise. Linux only.
"""

import argparse
import ctypes
import signal
import subprocess
import sys
import time

import optuna
import ray


def work(command):
    """Runs one worker to its end, as a child that never outlives this process, and returns its exit."""
    libc = ctypes.CDLL(None)  # Loaded before the fork: only the call is made in the child.
    on_parent_death = 1  # PR_SET_PDEATHSIG; on SIGTERM the worker gives its trial back.
    child = subprocess.Popen(command, preexec_fn=lambda: libc.prctl(on_parent_death, signal.SIGTERM))
    try:
        while child.poll() is None:
            time.sleep(0.2)  # Ray can interrupt this, and could not interrupt a wait.
    finally:
        child.terminate()
        child.wait()
    if child.returncode not in (0, 75):  # 75: it was asked to stop.
        time.sleep(2)  # One that fails at once is not tried again in a tight loop.
        # Without the command, which holds the storage's password.
        raise subprocess.CalledProcessError(child.returncode, "cambist sweep worker")
    return child.returncode


def standing(study):
    """Trials of `study` that are complete, pruned and failed."""
    states = [trial.state.name for trial in study.get_trials(deepcopy=False)]
    return [states.count(state) for state in ("COMPLETE", "PRUNED", "FAIL")]


def arguments():
    """What is asked on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", metavar="URL", help="storage that every node reaches, as Optuna writes it")
    parser.add_argument("study", metavar="STUDY", help="name of the study, which is there already")
    parser.add_argument("--workers", type=int, default=1, help="workers on the whole cluster (1)")
    parser.add_argument("--cpus-per-worker", type=int, default=1, help="CPUs, and threads, of each (1)")
    parser.add_argument("--gpus-per-worker", type=float, default=0, help="GPUs of each (0)")
    parser.add_argument("--address", default="auto", help="address of the Ray cluster (auto)")
    parser.add_argument("--cambist", default="cambist", help="path of the binary on the nodes (cambist)")
    parser.add_argument(
        "--data-dir", help="folder of data sets on the nodes (CAMBIST_DATA_DIR there, or data)"
    )
    parser.add_argument("--runs-dir", help="folder of runs on the nodes (CAMBIST_RUNS_DIR there, or runs)")
    parser.add_argument(
        "--max-retries", type=int, default=20, help="times each worker is started again; -1 without end (20)"
    )
    return parser.parse_args()


def main():
    args = arguments()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.load_study(storage=args.url, study_name=args.study)
        asked = study.user_attrs["cambist:orders"]["trials"]
    except KeyError:
        sys.exit(f"there is no study '{args.study}' of cambist: make it with cambist sweep ... --workers 0")
    command = [args.cambist, "sweep", "worker", args.url, args.study, "--threads", str(args.cpus_per_worker)]
    for option, folder in (("--data-dir", args.data_dir), ("--runs-dir", args.runs_dir)):
        command += [option, folder] if folder else []

    ray.init(address=args.address)
    task = ray.remote(work).options(
        name=f"sweep {args.study}",
        num_cpus=args.cpus_per_worker,
        num_gpus=args.gpus_per_worker,
        max_retries=args.max_retries,
        retry_exceptions=[subprocess.CalledProcessError],
    )
    workers = [task.remote(command) for _ in range(args.workers)]
    exits = []
    try:
        for worker in workers:
            try:
                exits.append(ray.get(worker))
            except ray.exceptions.RayError as error:
                print(f"a worker is given up: {error}", file=sys.stderr)
    except (KeyboardInterrupt, SystemExit):  # Ray makes the second of SIGTERM.
        # Only what is under way is cancelled: Ray may crash where a task is that has just ended.
        for worker in ray.wait(workers, num_returns=len(workers), timeout=0)[1]:
            ray.cancel(worker)
        ray.wait(workers, num_returns=len(workers), timeout=60)  # Trials are given back.
    ray.shutdown()
    complete, pruned, failed = standing(study)
    print(f"{args.study}: {complete} complete, {pruned} pruned, {failed} failed; {asked} asked for")
    # A worker exits with 0 when nothing is left to ask for: a grid may hold fewer than the study asks.
    return 0 if complete + pruned >= asked or 0 in exits else 1


if __name__ == "__main__":
    sys.exit(main())
