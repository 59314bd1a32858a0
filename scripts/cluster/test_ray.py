"""Runs ray_sweep.py on a Ray cluster of two worker nodes on this machine, and loses one in the middle.

    python scripts/cluster/test_ray.py PATH_OF_CAMBIST

A PostgreSQL server and the cluster are started in a temporary folder, and are gone at the end. Linux only.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent.parent / "tests" / "fixtures"
TRIALS, WORKERS, LIMIT_S = 60, 4, 110


def until(what, holds, seconds=30):
    """Waits until `holds` returns something true, and returns it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.05)
    raise TimeoutError(f"{what}: not after {seconds} s")


def gone(pid):
    """Whether the process `pid` has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def parent(pid):
    """The parent of process `pid`; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def rss_mib(pid):
    """Resident memory of process `pid`."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


def sweep_workers(url):
    """Processes that run `cambist sweep worker URL`."""
    pids = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if words[1:4] == [b"sweep", b"worker", url.encode()] and not gone(int(entry.name)):
                pids.append(int(entry.name))
    return pids


def end(pid, how=signal.SIGTERM):
    """Signals process `pid` and waits for it; kills it where that does not help."""
    for number in (how, signal.SIGKILL):
        with contextlib.suppress(OSError):
            os.kill(pid, number)
        with contextlib.suppress(TimeoutError):
            return until("its end", lambda: gone(pid), 10)


def postgres(folder, cleanup):
    """Starts a server with its cluster in `folder`, and returns the URL of an empty database."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    path = os.pathsep.join([str(programs[-1])] * bool(programs) + [os.environ["PATH"]])
    cluster = folder / "cluster"
    cluster.mkdir()
    as_user = {}
    if os.geteuid() == 0:  # The server refuses to run as root.
        user = pwd.getpwnam("postgres")
        os.chown(cluster, user.pw_uid, user.pw_gid)
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def command(name, *args):
        return [shutil.which(name, path=path) or name, *map(str, args)]

    made = command("initdb", "-U", "cambist", "--auth=trust", "--no-sync", "-D", cluster)
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd=cluster, **as_user)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = ["listen_addresses=127.0.0.1", "fsync=off", "timezone=UTC"]
    options = [word for setting in settings for word in ("-c", setting)]
    with open(folder / "postgres.log", "w") as log:
        server = subprocess.Popen(
            command("postgres", "-D", cluster, "-k", cluster, "-p", port, *options),
            stdout=log,
            stderr=log,
            cwd=cluster,
            **as_user,
        )

    def stop():
        server.send_signal(signal.SIGINT)  # Ends it at once, and cleanly.
        server.wait(20)

    cleanup.callback(stop)
    made = command("createdb", "-h", "127.0.0.1", "-U", "cambist", "-p", port, "studies")
    until("PostgreSQL's start", lambda: subprocess.run(made, stderr=subprocess.DEVNULL).returncode == 0)
    return f"postgresql://cambist@127.0.0.1:{port}/studies"


def make_study(cambist, folder, url):
    """Makes the study of the fixture, with more and longer trials, none of them pruned."""
    shutil.copy(FIXTURES / "small.toml", folder)
    sweep = (FIXTURES / "sweep.toml").read_text()
    changes = [
        ("trials = 12", f"trials = {TRIALS}"),
        ('pruner = "median"', 'pruner = "none"'),
        ("ppo.total_steps=4096", "ppo.total_steps=196608"),
        ("ppo.validate_every=1", "ppo.validate_every=15"),
    ]
    for old, new in changes:
        assert old in sweep, old
        sweep = sweep.replace(old, new)
    (folder / "sweep.toml").write_text(sweep)
    command = [cambist, "sweep", "sweep.toml", "--storage", url, "--workers", "0", "--quiet"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    cambist = str(Path(sys.argv[1]).resolve())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"not done after {LIMIT_S} s"))
    signal.alarm(LIMIT_S)
    with contextlib.ExitStack() as cleanup:
        outcome = run(cambist, cleanup)
    print(outcome)


def run(cambist, cleanup):
    """The test; what it starts is ended by `cleanup`. Returns the line to print."""
    begun = time.monotonic()
    folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="ray")))
    folder.chmod(0o755)
    url = postgres(folder, cleanup)
    make_study(cambist, folder, url)

    os.environ.update(RAY_TMPDIR=str(folder), RAY_USAGE_STATS_ENABLED="0")
    import optuna  # After the environment is set, which Ray reads when it is imported.
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 80 << 20, "include_dashboard": False}
    # A lost node is noticed within seconds, not half a minute: the sweep would be over.
    quick = {"health_check_period_ms": 500, "health_check_failure_threshold": 3}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": quick, **small})
    cleanup.callback(cluster.shutdown)
    nodes = [cluster.add_node(num_cpus=WORKERS // 2, **small) for _ in range(2)]

    log = folder / "driver.log"
    options = ["--workers", str(WORKERS), "--address", cluster.address, "--cambist", cambist]
    options += ["--data-dir", str(folder / "data"), "--runs-dir", str(folder / "runs")]
    command = [sys.executable, str(HERE / "ray_sweep.py"), url, "small", *options]
    with open(log, "w") as out:
        driver = subprocess.Popen(command, stdout=out, stderr=out)
    cleanup.callback(lambda: [end(pid) for pid in sweep_workers(url)])
    cleanup.callback(end, driver.pid)

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(storage=url, study_name="small")

    def complete():
        return sum(trial.state.name == "COMPLETE" for trial in study.get_trials(deepcopy=False))

    def everyone():
        pids = sweep_workers(url)
        return pids if len(pids) == WORKERS else None

    first = until("all workers", everyone)
    until("some trials", lambda: complete() >= 6)

    # The first node is lost. One of its workers is killed with it; the other must not become an orphan.
    raylet = nodes[0].all_processes["raylet"][0].process.pid
    lost = [pid for pid in first if parent(parent(pid)) == raylet]
    assert len(lost) == WORKERS // 2, f"{len(lost)} workers on the first node"
    memory = max(rss_mib(pid) for pid in first)
    before = complete()
    os.kill(lost[0], signal.SIGKILL)
    cluster.remove_node(nodes[0], allow_graceful=False)
    until("the end of the lost node's workers", lambda: all(gone(pid) for pid in lost), 15)
    # Another node joins; Ray starts there what was lost.
    cluster.add_node(num_cpus=WORKERS // 2, **small)
    second = until("all workers, again", everyone)
    assert len(set(second) - set(first)) == len(lost), "other workers than the lost ones were started again"
    after = complete()

    code = driver.wait(LIMIT_S)
    said = log.read_text()
    assert code == 0, f"the driver exits with {code}:\n{said}"
    assert not sweep_workers(url), "workers are left over"
    trials = study.get_trials()
    states = [t.state.name for t in trials]
    failed = [t.number for t in trials if t.state.name == "FAIL"]
    histories = [t.system_attrs.get("retry_history") for t in trials]
    assert before < after < TRIALS, f"the node was lost at {before} complete trials, and replaced at {after}"
    assert states.count("COMPLETE") >= TRIALS and set(states) == {"COMPLETE", "FAIL"}, states
    assert failed and all(histories.count([number]) == 1 for number in failed), (failed, histories)
    assert said.splitlines()[-1].startswith(f"small: {states.count('COMPLETE')} complete, 0 pruned"), said
    seconds = time.monotonic() - begun
    return (
        f"ok: {states.count('COMPLETE')} complete, {len(failed)} failed and tried again once; node lost "
        f"after {before}, its workers back after {after}; {memory:.0f} MiB a worker; {seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
