"""What the OpenAPI says and what the bridge does, compared by schemathesis over made-up requests."""

import pathlib
import subprocess
import sys

from conftest import TOKEN


def test_schemathesis_finds_nothing(make):
    bridge = make(requests_per_second=100_000)
    assert bridge.take_lease().status_code == 200
    said = subprocess.run(
        [str(pathlib.Path(sys.executable).with_name("schemathesis")), "run", f"http://127.0.0.1:{bridge.port}/openapi.json",
         "-H", f"Authorization: Bearer {TOKEN}", "--max-examples", "30", "--seed", "1", "--checks", "all"],
        capture_output=True, text=True, timeout=300, cwd=bridge.folder)
    assert said.returncode == 0, said.stdout[-6000:] + said.stderr
    assert "13/13" in said.stdout, said.stdout[-2000:]
    assert "Traceback" not in bridge.said() and bridge.terminal.deals() == []
