"""A loop on paper, as `cambist serve` runs it, and its operator."""

import base64
import hashlib
import hmac
import os
import pathlib
import socket
import struct
import subprocess
import time

import httpx
import pytest

ROOT = pathlib.Path(__file__).parents[2]
BINARY = os.environ.get("CAMBIST_BINARY", str(ROOT / "target" / "release" / "cambist"))
TOKEN = "a-token-for-tests-and-nothing-else"
SECRET = base64.b32encode(b"twenty bytes of it!!").decode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def totp(step=0):
    """The one-time password of now, by RFC 6238 (SHA-1, 30 s, six digits)."""
    counter = int(time.time()) // 30 + step
    digest = hmac.new(base64.b32decode(SECRET), struct.pack(">Q", counter), hashlib.sha1).digest()
    place = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[place:place + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


def train(folder, *sets):
    """A policy that trades at nearly every bar; returns its run."""
    (folder / "policy.toml").write_text((ROOT / "bridge" / "storm" / "policy.toml").read_text())
    before = set(folder.glob("runs/2*"))
    arguments = [word for setting in sets for word in ("--set", setting)]
    subprocess.run([BINARY, "train", "policy.toml", "--quiet", *arguments], cwd=folder, check=True, capture_output=True)
    return (set(folder.glob("runs/2*")) - before).pop()


@pytest.fixture(scope="session")
def policies(tmp_path_factory):
    """Two policies that trade the same and decide otherwise."""
    folder = tmp_path_factory.mktemp("policies")
    return [train(folder), train(folder, "run.seed=2")]


class Loop:
    def __init__(self, folder, run, config="", speed=36_000, arguments=()):
        self.folder, self.port = folder, free_port()
        (folder / "token").write_text(TOKEN + "\n")
        (folder / "totp").write_text(SECRET + "\n")
        (folder / "live.toml").write_text(config)
        self.command = [
            BINARY, "serve", str(run), "--from", "2023-03-10", "--state", str(folder / "live"), "--speed", str(speed), "--listen",
            f"127.0.0.1:{self.port}", "--token-file", str(folder / "token"), "--totp-file", str(folder / "totp"), "--config",
            str(folder / "live.toml"), *arguments]
        self.log = (folder / "said").open("a")
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)
        self.begin()

    def begin(self):
        self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=self.log, stderr=self.log)
        self.until(lambda: self.alive())

    def alive(self):
        assert self.process.poll() is None, self.said()
        try:
            return self.http.get("/ready").status_code == 200
        except httpx.TransportError:
            return False

    def until(self, done, seconds=60):
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, self.said() + (self.folder / "live" / "log.jsonl").read_text()[-2000:]
            time.sleep(0.02)

    def said(self):
        return (self.folder / "said").read_text()

    def get(self, path, **query):
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path, **body):
        return self.http.post(path, json=body)

    def standing(self):
        return self.get("/status")["standing"]

    def events(self, name):
        import json

        lines = [json.loads(line) for line in (self.folder / "live" / "log.jsonl").read_text().splitlines()]
        return [line["details"]["what"] for line in lines if line["event"] == name]

    def close(self):
        self.http.close()
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture
def make(tmp_path):
    made = []

    def build(run, **settings):
        made.append(Loop(tmp_path, run, **settings))
        return made[-1]

    yield build
    for loop in made:
        loop.close()
