"""The API of a loop: what it shows and what it obeys, by clients that are not ours."""

import http.client
import http.server
import json
import pathlib
import subprocess
import sys
import threading
import time

import httpx
import websockets.sync.client
from conftest import SECRET, TOKEN, free_port, totp


def test_schemathesis_finds_nothing(make, policies):
    loop = make(policies[0])
    said = subprocess.run(
        [str(pathlib.Path(sys.executable).with_name("schemathesis")), "run", f"{loop.url}/openapi.json", "-H",
         f"Authorization: Bearer {TOKEN}", "--max-examples", "30", "--seed", "1", "--checks", "all"],
        capture_output=True, text=True, timeout=300, cwd=loop.folder)
    assert said.returncode == 0, said.stdout[-6000:] + said.stderr
    assert "21/21" in said.stdout, said.stdout[-2000:]
    assert "panicked" not in loop.said()


def test_strangers_are_refused_and_secrets_are_in_no_log(make, policies):
    loop = make(policies[0])
    bare = httpx.Client(base_url=loop.url)
    for headers in [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Authorization": f"Bearer {TOKEN}x"}]:
        for method, path in [("GET", "/status"), ("GET", "/metrics"), ("POST", "/pause"), ("POST", "/decide"), ("GET", "/events")]:
            answer = bare.request(method, path, headers=headers)
            assert answer.status_code == 401 and answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["type"] == "/problems/token"
    for path in ["/status/", "/../status", "/%2e%2e/status", "//status", "/status%00", "/status/../account", "/nothing"]:
        # A client that sends what it is told to.
        line = http.client.HTTPConnection("127.0.0.1", loop.port)
        line.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
        assert line.getresponse().status in (400, 404), path
        line.close()
    big = loop.http.post("/pause", content=json.dumps({"why": "x" * 300_000}), headers={"content-type": "application/json"})
    assert big.status_code == 413 and big.json()["type"] == "/problems/body"
    for body in ["", "{", "[]", '{"why": 1}', '{"why": ""}', '{"why": "x", "more": 1}', json.dumps({"why": "x" * 501})]:
        answer = loop.http.post("/pause", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400 and answer.json()["type"] == "/problems/body", body
    assert loop.standing()["mode"]["mode"] == "running"
    for file in [loop.folder / "said", *loop.folder.glob("live/log*")]:
        text = file.read_text()
        assert TOKEN not in text and SECRET not in text and "wrong" not in text


def test_what_does_less_needs_the_token_and_what_does_more_a_password_that_is_good_once(make, policies):
    loop = make(policies[0])
    assert loop.post("/pause", why="a look").status_code == 200
    assert loop.standing()["mode"] == {"mode": "paused", "why": "a look"}
    assert loop.post("/resume", why="no password", totp="000000").status_code == 403
    password = totp()
    assert loop.post("/resume", why="looked", totp=password).status_code == 200
    assert loop.standing()["mode"]["mode"] == "running"
    again = loop.post("/resume", why="replayed", totp=password)
    assert again.status_code == 403 and "used already" in again.json()["detail"]
    # The next step's is good, by the tolerance of one step.
    answer = loop.post("/limit", why="smaller", totp=totp(1), name="max_lots", value=0.05)
    assert answer.status_code == 200, answer.text
    assert loop.get("/limits")["own"]["max_lots"] == 0.05
    close = loop.get("/status")["close"]
    loop.until(lambda: loop.get("/status")["close"] > close and abs(loop.get("/status")["lots"]) <= 0.05)


def test_a_kill_by_hand_file_or_silence_ends_flat_and_outlives_the_process(make, policies):
    loop = make(policies[0], config="[operator]\nsilence_s = 5\n")
    held = lambda: abs(loop.get("/status")["lots"]) > 0  # noqa: E731
    beat = lambda: loop.post("/heartbeat")  # noqa: E731
    loop.until(lambda: beat() and held())
    assert loop.post("/kill", why="enough").status_code == 200
    loop.until(lambda: beat() and not held())
    loop.process.kill()
    loop.process.wait()
    loop.begin()
    assert loop.standing()["mode"] == {"mode": "killed", "why": "enough", "flatten": True}
    beat()
    assert loop.post("/resume", why="on", totp=totp(-1)).status_code == 200
    loop.until(lambda: beat() and held())
    (loop.folder / "live" / "KILL").write_text("the phone rang\n")
    loop.until(lambda: beat() and not held())
    assert loop.standing()["mode"]["why"] == "the phone rang"
    (loop.folder / "live" / "KILL").unlink()
    assert loop.post("/resume", why="on", totp=totp()).status_code == 200
    loop.until(lambda: held() and loop.standing()["mode"]["mode"] == "running" and beat())
    loop.until(lambda: loop.standing()["mode"]["mode"] == "killed", 20)
    assert "no heartbeat" in loop.standing()["mode"]["why"]
    loop.until(lambda: not held())


def test_another_policy_takes_over_between_bars_and_goes_again(make, policies):
    loop = make(policies[0], arguments=["--shadow", str(policies[1])])
    first = loop.get("/policy")["hash"]
    refused = loop.post("/swap", why="x", totp=totp(-1), artefact="/nowhere")
    assert refused.status_code == 409 and "nowhere" in refused.json()["detail"]
    done = loop.post("/swap", why="better", totp=totp(), artefact=str(policies[1]))
    assert done.status_code == 200, done.text
    second = loop.get("/policy")
    assert second["hash"] != first and second["previous"] == first
    loop.until(lambda: loop.get("/status")["artefact"] == second["hash"])
    close = loop.get("/status")["close"]
    loop.until(lambda: loop.get("/status")["close"] > close)
    # Whoever begins it again need not know who decides: the journal does.
    loop.process.terminate()
    loop.process.wait(20)
    loop.command.remove(str(policies[0]))
    loop.begin()
    assert loop.get("/policy")["hash"] == second["hash"]
    assert loop.post("/rollback", why="worse", totp=totp(1)).status_code == 200
    assert loop.get("/policy")["hash"] == first
    loop.process.terminate()
    loop.process.wait(20)
    from conftest import BINARY
    said = subprocess.run([BINARY, "live", "replay", str(loop.folder / "live")], capture_output=True, text=True)
    assert said.returncode == 0 and "\n0 differences" in said.stdout, said.stdout + said.stderr


def test_a_kill_in_the_middle_of_a_bar_closes_once(make, policies):
    # Four seconds a bar: what closes it is on its way until the bar is over.
    loop = make(policies[0], speed=900)
    loop.until(lambda: loop.get("/status")["lots"] != 0)
    orders = loop.get("/status")["standing"]["orders"][0]
    assert loop.post("/kill", why="enough").status_code == 200
    loop.until(lambda: loop.get("/status")["lots"] == 0)
    close = loop.get("/status")["close"]
    loop.until(lambda: loop.get("/status")["close"] > close)
    status = loop.get("/status")
    assert status["lots"] == 0 and status["standing"]["orders"][0] <= orders + 2, status


def webhook(status):
    """What is told to a webhook that answers its n-th POST with `status(n)`, the config that names it, and its server."""
    told = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(status(len(told)))
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return told, f'[alerts]\nurl = "http://127.0.0.1:{server.server_port}/hook"\nfrom = "warning"\ncool_down_s = 3600\n', server


def test_events_tell_a_decision_through_to_its_fill_and_alerts_cool_down(make, policies):
    told, config, server = webhook(lambda n: 204)
    loop = make(policies[0], config=config)
    with websockets.sync.client.connect(
            f"ws://127.0.0.1:{loop.port}/events", additional_headers={"Authorization": f"Bearer {TOKEN}"}) as socket:
        seen = {}
        end = time.monotonic() + 30
        while not {"finding", "outcome"} <= seen.keys() and time.monotonic() < end:
            event = json.loads(socket.recv(timeout=30))
            seen.setdefault(event["event"], event)
    id = seen["outcome"]["details"]["id"]
    assert "confirmed" in seen["outcome"]["details"]["outcome"]
    loop.until(lambda: any(finding["finding"].get("id") == id for finding in loop.events("finding")))
    decided = next(decision for decision in loop.events("decision") if decision["id"] == id)
    assert decided["intents"][0]["id"] == id
    fill = next(fill for fill in loop.get("/fills", n=1440) if fill["id"] == id)
    assert fill["slippage_ticks"] >= 0 and fill["arrival"] > 0
    for _ in range(3):
        loop.post("/pause", why="told once")
    loop.until(lambda: told)
    time.sleep(0.3)
    assert [event["event"] for event in told] == ["command"] and told[0]["severity"] == "warning"
    server.shutdown()


def test_an_alert_that_did_not_arrive_is_logged_and_told_again(make, policies):
    told, config, server = webhook(lambda n: 500 if n == 1 else 204)
    loop = make(policies[0], config=config)
    loop.post("/pause", why="nobody hears it")
    loop.until(lambda: loop.events("alert_failed"))
    assert "500" in loop.events("alert_failed")[0]["why"] and loop.events("alert_failed")[0]["event"] == "command"
    for _ in range(2):
        loop.post("/pause", why="now somebody does")
    loop.until(lambda: len(told) == 2)
    # What is worse is another kind.
    loop.post("/kill", why="enough")
    loop.until(lambda: any(event["event"] == "command" and event["severity"] == "critical" for event in told))
    server.shutdown()


def test_the_policy_as_a_service_decides_as_the_loop_does(make, policies):
    loop = make(policies[0])
    names = loop.get("/policy")["features"]
    account = {"equity": 10_000, "initial": 10_000, "units": 0, "unrealised": 0, "price": 57.0, "held_target": 0}
    width = len(loop.get("/policy")["observation"]) - 2
    answer = loop.post("/decide", features=[0.0] * width, account=account)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["observation"]) == width + 2 and -1 <= answer.json()["target"] <= 1 and len(names) <= width
    assert loop.post("/decide", features=[0.0] * width, account=account).json() == answer.json()
    # Without features the account is flat (decision 10).
    assert loop.post("/decide", features=None, account=account).json()["target"] == 0
    for status, body in [(409, {"features": [0.0], "account": account}), (400, {"features": None, "account": account | {"price": 0}}),
                         (409, {"features": None, "account": account, "memory": [1.0]})]:
        assert loop.http.post("/decide", json=body).status_code == status, body


def test_prometheus_scrapes_it(make, policies, tmp_path):
    loop = make(policies[0])
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(
        f"scrape_configs:\n- job_name: cambist\n  scrape_interval: 1s\n  authorization: {{credentials_file: {loop.folder / 'token'}}}\n"
        f"  static_configs: [{{targets: ['127.0.0.1:{loop.port}']}}]\n")
    server = subprocess.Popen(
        ["prometheus", f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
         f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def value(query):
            try:
                found = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}).json()["data"]["result"]
            except httpx.TransportError:
                return None
            return float(found[0]["value"][1]) if found else None

        loop.until(lambda: value("up") == 1, 60)
        loop.until(lambda: (value("cambist_decisions_total") or 0) > 10, 60)
        assert value("cambist_equity") > 0 and value("histogram_quantile(0.99, cambist_decide_seconds_bucket)") < 0.5
        assert value('sum(cambist_orders_total{outcome="confirmed"})') > 0
    finally:
        server.kill()
        server.wait()
