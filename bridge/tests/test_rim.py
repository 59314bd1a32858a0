"""Who is let in, what is not a request, what is heard, and what the config must say."""

import json
import os
import pathlib
import subprocess
import sys
import time

import httpx
import pytest
from conftest import TOKEN, _CONFIG
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


def test_strangers_are_turned_away_and_secrets_stay_out_of_the_log(make):
    bridge = make()
    url = f"http://127.0.0.1:{bridge.port}"
    for headers in ({}, {"Authorization": "Bearer wrong-token-of-some-length"}, {"Authorization": TOKEN}, {"Authorization": f"Basic {TOKEN}"}):
        answer = httpx.get(url + "/positions", headers=headers)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer", answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    for path in ("/../../etc/passwd", "/symbol/..%2f..%2fetc%2fpasswd", "//health", "/symbol/BTCUSD%00", "/.env", "/symbol/" + "x" * 65):
        answer = bridge.http.get(path)
        assert answer.status_code in (404, 422), (path, answer.status_code)
        assert answer.headers["content-type"] == "application/problem+json", path
    long = bridge.http.post("/order", content=b"{" + b" " * 20_000, headers={"content-type": "application/json"})
    assert long.status_code == 413

    def drip():
        for _ in range(40):
            yield b" " * 1024

    chunked = bridge.http.post("/order", content=drip(), headers={"content-type": "application/json"})
    assert chunked.status_code == 413, chunked.text
    assert bridge.http.put("/order").status_code == 405
    for body in (b"", b"[]", b"{", b'{"action":"market"}', b'{"action":"rm"}', b"\xff\xfe"):
        answer = bridge.http.post("/order", content=body, headers={"content-type": "application/json", "Cambist-Lease": "1"})
        assert answer.status_code == 422 and answer.json()["type"] == "/problems/invalid-request", (body, answer.text)
    # Numbers that are none, and fields nobody knows.
    for more in ('"volume": NaN', '"volume": 1e999', '"volume": -1', '"volume": "1"', '"volume": 1, "leverage": 5', '"volume": true'):
        body = '{"action": "market", "id": "00000000000a", "symbol": "BTCUSD", "side": "buy", ' + more + "}"
        answer = bridge.http.post("/order", content=body, headers={"content-type": "application/json", "Cambist-Lease": "1"})
        assert answer.status_code == 422, (more, answer.text)
    said = bridge.said()
    assert TOKEN not in said and "wrong-token" not in said and '"path": "/positions"' in said
    for line in said.splitlines():
        json.loads(line)


def test_whoever_asks_too_often_has_to_wait(make):
    bridge = make()
    codes = [bridge.http.get("/orders").status_code for _ in range(600)]
    assert codes[:50] == [200] * 50 and 429 in codes
    time.sleep(1.1)
    assert bridge.http.get("/orders").status_code == 200


def test_ticks_closes_and_outcomes_are_heard(make):
    bridge = make()
    url = f"ws://127.0.0.1:{bridge.port}/stream"
    with pytest.raises(InvalidStatus):
        connect(url)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        connect(url + "?timeframes=Q1", additional_headers=headers).recv()
    with connect(url + "?timeframes=H1", additional_headers=headers) as socket:
        time.sleep(0.5)
        heard = []
        bridge.fault("none_before")
        unknown = bridge.order("market", side="buy", volume=0.1).json()["id"]
        for _ in range(3):
            bridge.terminal.advance(bars=1)
            time.sleep(0.4)
        until = time.monotonic() + 5
        while not {"tick", "bar", "outcome"} <= {event["type"] for event in heard} or len([e for e in heard if e["type"] == "bar"]) < 3:
            heard.append(json.loads(socket.recv(timeout=max(0.01, until - time.monotonic()))))
    bars = [event for event in heard if event["type"] == "bar"]
    assert [bar["timeframe"] for bar in bars] == ["H1"] * 3
    told = bridge.get("/ohlcv", symbol="BTCUSD", timeframe="H1", count=4)[:3]
    assert bars == [{"type": "bar", "symbol": "BTCUSD", "timeframe": "H1", **bar} for bar in told]
    outcome = next(event for event in heard if event["type"] == "outcome")
    assert outcome["id"] == unknown and outcome["state"] == "absent"
    ticks = [event["time_ms"] for event in heard if event["type"] == "tick"]
    assert ticks == sorted(ticks) and len(ticks) >= 2


@pytest.mark.parametrize("change, words", [
    (("login = 1", ""), "account.login is missing"),
    (("login = 1", 'login = "1"'), "account.login is '1'; it must be int"),
    (("strategy = 7", "strategy = 40000"), "from 1 to 32767"),
    (('daylight_saving = "us"', 'daylight_saving = "mars"'), "'none', 'eu' or 'us'"),
    (('symbols = ["BTCUSD"]', "symbols = []"), "a list of names"),
    (("max_lots = 0.5", "max_lots = inf"), "caps.max_lots"),
    (("max_lots = 0.5", "max_lots = 0.5\nmax_lot = 1"), "caps.max_lot is unknown"),
    (("[serve]", '[serve]\nhost = "0.0.0.0"'), "TLS"),
    (("[serve]", '[serve]\ncertificate = "c.pem"'), "belong together"),
    (('dead_man = "freeze"', 'dead_man = "pray"'), "'flatten' or 'freeze'"),
    (("[safety]", "[extra]\na = 1\n[safety]"), "[extra] is unknown"),
    (("[caps]", "[caps"), "is no TOML"),
])
def test_a_config_that_says_less_or_more_is_refused(tmp_path, change, words):
    settings = {"port": 0, "saving": "us", "orders_per_minute": 10, "dead_man_s": 60, "dead_man": "freeze", "lease_s": 15,
                "requests_per_second": 100}
    text = _CONFIG.format(**settings)
    assert change[0] in text
    path = tmp_path / "bridge.toml"

    def check(text, token=TOKEN):
        path.write_text(text)
        return subprocess.run([sys.executable, "-m", "cambist_bridge", "--check", str(path)], capture_output=True, text=True,
                              cwd=pathlib.Path(__file__).parents[1], env=os.environ | {"CAMBIST_BRIDGE_TOKEN": token})

    assert check(text).returncode == 0
    said = check(text.replace(*change))
    assert said.returncode == 1 and words in said.stderr and str(path) in said.stderr, said.stderr
    assert "24 ASCII letters" in check(text, "short").stderr


def test_the_example_is_a_config(tmp_path):
    example = pathlib.Path(__file__).parents[1] / "bridge.example.toml"
    (tmp_path / "token.txt").write_text(TOKEN)
    (tmp_path / "bridge.toml").write_text(example.read_text())
    said = subprocess.run([sys.executable, "-m", "cambist_bridge", "--check", str(tmp_path / "bridge.toml")], capture_output=True, text=True,
                          cwd=example.parent)
    assert said.returncode == 0, said.stderr
