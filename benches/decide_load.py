#!/usr/bin/env python3
"""How many decisions a second the policy as a service makes, with the load generator on the same cores.

    python3 benches/decide_load.py --data-dir data [--binary target/release/cambist] [--seconds 10] [--connections 16]

Begins `cambist serve` on paper with the reference artefact, at the pace of the wall clock, and lets `wrk` (Debian's package) ask
`POST /decide`: every body is another one, the token is checked. Prints requests a second, the 99th percentile, and the process's
largest memory.
"""

import argparse
import json
import pathlib
import re
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).parents[1]
SCRIPT = """
wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer {token}"
wrk.headers["Content-Type"] = "application/json"
local n, width = 0, {width}
request = function()
  n = n + 1
  local features = {{}}
  for k = 1, width do features[k] = string.format("%.6f", math.sin(n * 0.37 + k)) end
  local units = math.sin(n) * 2
  local body = string.format('{{"features":[%s],"account":{{"equity":%.2f,"initial":100000,"units":%.4f,"unrealised":%.3f,"price":%.2f,"held_target":%.4f}}}}',
    table.concat(features, ","), 100000 + n % 997, units, units * 13, 22000 + n % 1013, math.sin(n) * 0.9)
  return wrk.format(nil, "/decide", nil, body)
end
response = function(status) if status ~= 200 then wrk.thread:stop() end end
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=str(ROOT / "target" / "release" / "cambist"))
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--artefact", default=str(ROOT / "checkpoints" / "btc-minutes"))
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        loop = subprocess.Popen(
            [arguments.binary, "serve", arguments.artefact, "--from", "2023-03-05", "--speed", "1", "--state", name, "--listen",
             f"127.0.0.1:{port}", "--data-dir", arguments.data_dir, "--quiet"])
        try:
            token = None
            for _ in range(200):
                if (folder / "token").exists():
                    token = (folder / "token").read_text().strip()
                    try:
                        ask = urllib.request.Request(f"http://127.0.0.1:{port}/policy", headers={"Authorization": f"Bearer {token}"})
                        policy = json.load(urllib.request.urlopen(ask))
                        break
                    except OSError:
                        pass
                assert loop.poll() is None, "the loop ended"
                time.sleep(0.1)
            (folder / "load.lua").write_text(SCRIPT.format(token=token, width=len(policy["observation"]) - 2))
            for _ in range(arguments.repeats):
                said = subprocess.run(
                    ["wrk", "-t1", f"-c{arguments.connections}", f"-d{arguments.seconds}s", "--latency", "-s", str(folder / "load.lua"),
                     f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True).stdout
                speed = re.search(r"Requests/sec:\s+([\d.]+)", said).group(1)
                tail = re.search(r"99%\s+(\S+)", said).group(1)
                bad = re.search(r"Non-2xx.*", said)
                print(f"{float(speed):,.0f} requests/s, 99th percentile {tail}{', ' + bad.group(0) if bad else ''}", flush=True)
            status = pathlib.Path(f"/proc/{loop.pid}/status").read_text()
            kilobytes = int(re.search(r"VmHWM:\s+(\d+)", status).group(1))
            print(f"largest memory {kilobytes / 1024:.0f} MiB")
        finally:
            loop.terminate()
            loop.wait()


if __name__ == "__main__":
    main()
