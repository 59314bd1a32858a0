"""The line to a simulated terminal (`cambist terminal simulate`): JSON lines over a socket.

What only a simulation has is here, so that the module `MetaTrader5` beside it has nothing that the real one lacks.
"""

import json
import os
import socket

ADDRESS = "CAMBIST_TERMINAL"
DEFAULT = "127.0.0.1:18812"


class Line:
    """A connection; a call is written once and its answer read once. A call is never repeated: it may have been carried out."""

    def __init__(self, address: str | None = None, timeout: float = 60.0):
        host, _, port = (address or os.environ.get(ADDRESS) or DEFAULT).rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def call(self, name: str, **arguments) -> dict:
        """`{"ok": …}` or `{"error": [code, text]}`; ConnectionError when the terminal is gone."""
        self._socket.sendall(json.dumps({"call": name, **arguments}).encode() + b"\n")
        answer = self._file.readline()
        if not answer.endswith(b"\n"):
            raise ConnectionError("the terminal hung up")
        return json.loads(answer)

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def _ask(line: Line, name: str, **arguments) -> dict:
    answer = line.call(name, **arguments)
    if "error" in answer:
        raise ValueError(answer["error"][1])
    return answer["ok"]


def standing(line: Line) -> dict:
    """`now` and `next_close` in UTC, and whether the tape is `over`."""
    return _ask(line, "standing")


def advance(line: Line, to: str | None = None, bars: int | None = None) -> dict:
    """Lets time pass: to a time (UTC), or over so many closes of bars, one if neither is given."""
    return _ask(line, "advance", to=to, bars=bars)
