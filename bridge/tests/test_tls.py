"""A bridge on another machine: TLS, and clients that speak to nobody they do not know."""

import ssl
import subprocess

import httpx
import pytest
import trustme

from conftest import BINARY, TOKEN


@pytest.fixture
def tls(tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(tmp_path / "certificate.pem"), append=True)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
    return {"certificate": tmp_path / "certificate.pem", "key": tmp_path / "key.pem", "authority": tmp_path / "authority.pem", "context": context}


def status(url, token_file, *more):
    return subprocess.run([BINARY, "bridge", "status", "--url", url, "--token-file", token_file, *more],
                          capture_output=True, text=True, timeout=60)


def test_a_bridge_with_a_certificate_is_known_by_its_authority_and_speaks_to_nobody_in_the_open(make, tls, tmp_path):
    bridge = make(tls=tls)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    assert bridge.get("/account")["login"] == 1
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{bridge.port}/health", timeout=5)
    with pytest.raises(httpx.ConnectError):
        httpx.get(bridge.url + "/health", timeout=5)
    known = status(bridge.url, token, "--authority", tls["authority"])
    assert known.returncode == 0 and "account   1" in known.stdout, known.stdout + known.stderr
    stranger = status(bridge.url, token)
    assert stranger.returncode == 1 and "certificate" in stranger.stderr, stranger.stderr
    broken = status(bridge.url, token, "--authority", token)
    assert broken.returncode == 1 and str(token) in broken.stderr, broken.stderr
    # The client takes an order through it as well.
    assert bridge.order("market", side="buy", volume=0.01).json()["state"] == "confirmed"


def test_a_token_does_not_travel_in_the_open(tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    for url in ("http://10.1.2.3:8228", "http://127.0.0.1.example.org:8228", "ftp://127.0.0.1", "http://127.0.0.1:8228@10.1.2.3/"):
        said = status(url, tmp_path / "token")
        assert said.returncode == 1 and "https for another machine" in said.stderr, said.stderr
