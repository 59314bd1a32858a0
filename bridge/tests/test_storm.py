"""Days of a storm over bridge and terminal, judged by a process of its own; and that it finds what is missing."""

import pathlib
import subprocess
import sys

import pytest

STORM = pathlib.Path(__file__).parents[1] / "storm" / "storm.py"
LIVE = STORM.with_name("live.py")


def storm(*arguments, script=STORM):
    return subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=600)


def test_the_books_agree_after_a_storm():
    said = storm("--runs", "3", "--seed", "1")
    assert said.returncode == 0 and "3 runs" in said.stdout and "0 runs with findings" in said.stdout, said.stdout + said.stderr


@pytest.mark.parametrize("safeguard, finding", [
    ("duplicates", "doubled: 2 orders"), ("lookup", "is absent, and"), ("journal", "without an intent")])
def test_a_safeguard_that_is_missing_is_found(safeguard, finding):
    said = storm("--runs", "2", "--seed", "1", "--without", safeguard)
    assert said.returncode == 1 and finding in said.stdout, said.stdout + said.stderr


@pytest.mark.parametrize("safeguard, hours, finding", [
    ("loops-journal", "8", "was decided by nobody"), ("loops-lookup", "8", "the loop was told refused, the bridge says confirmed"),
    ("fence", "12", "the loop was told refused, the bridge says confirmed"), ("limits", "24", "of equity exposed")])
def test_a_safeguard_that_the_loop_is_missing_is_found(safeguard, hours, finding):
    said = storm("--runs", "2", "--jobs", "2", "--seed", "1", "--hours", hours, "--without", safeguard, script=LIVE)
    assert said.returncode == 1 and finding in said.stdout, said.stdout + said.stderr


def test_three_books_agree_after_a_storm_over_the_live_loop():
    said = storm("--runs", "2", "--seed", "1", script=LIVE)
    assert said.returncode == 0 and "0 runs with findings" in said.stdout, said.stdout + said.stderr
