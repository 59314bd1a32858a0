"""The bridge's config: a TOML file in which everything that may cost money is written out."""

import math
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from .clock import LAWS, ServerClock


class ConfigError(Exception):
    """What is wrong, in which field, and what would be right."""


@dataclass(frozen=True)
class Caps:
    """What no client gets past. Orders that only reduce a position are let through."""

    symbols: tuple[str, ...]
    max_lots: float
    max_net_lots: float
    orders_per_minute: int


@dataclass(frozen=True, kw_only=True)
class Config:
    login: int
    server: str | None
    terminal: str | None
    journal: Path
    strategy: int
    clock: ServerClock
    simulated: bool
    clock_tolerance_s: float
    host: str
    port: int
    token: str = field(repr=False)
    certificate: Path | None
    key: Path | None
    requests_per_second: int
    longest_body: int
    caps: Caps
    lease_s: float
    dead_man_s: float
    dead_man: str
    grace_s: float
    fresh_s: float
    poll_ms: int


def _table(raw: dict, name: str) -> dict:
    table = raw.pop(name, None)
    if not isinstance(table, dict):
        raise ConfigError(f"[{name}] is missing")
    return table


class _Fields:
    """Takes fields out of a table one by one, so that what is left over is unknown."""

    def __init__(self, raw: dict, name: str):
        self.table, self.name = _table(raw, name), name

    def take(self, field: str, kinds, check=lambda value: True, must: str = "", default=...):
        place = f"{self.name}.{field}"
        value = self.table.pop(field, default)
        if value is ...:
            raise ConfigError(f"{place} is missing: it has no default")
        if value is default:
            return value
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        if type(value) not in kinds or (isinstance(value, float) and not math.isfinite(value)):
            raise ConfigError(f"{place} is {value!r}; it must be {' or '.join(kind.__name__ for kind in kinds)}")
        if not check(value):
            raise ConfigError(f"{place} is {value!r}; it must be {must}")
        return value

    def end(self) -> None:
        if self.table:
            raise ConfigError(f"{self.name}.{next(iter(self.table))} is unknown")


_NUMBER = (int, float)


def read(path: Path) -> Config:
    """The config in `path`. Folders are relative to it."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error
    try:
        return _validated(raw, path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _validated(raw: dict, folder: Path) -> Config:
    account, clock = _Fields(raw, "account"), _Fields(raw, "clock")
    serve, caps, safety = _Fields(raw, "serve"), _Fields(raw, "caps"), _Fields(raw, "safety")
    if raw:
        raise ConfigError(f"[{next(iter(raw))}] is unknown")
    positive = (lambda value: value > 0, "more than zero")
    symbols = caps.take("symbols", list, lambda names: names and all(isinstance(n, str) and n for n in names),
                        'a list of names, such as ["BTCUSD"]')
    host = serve.take("host", str, default="127.0.0.1")
    certificate = serve.take("certificate", str, default=None)
    key = serve.take("key", str, default=None)
    if (certificate is None) != (key is None):
        raise ConfigError("serve.certificate and serve.key belong together: give both or none")
    if host not in ("127.0.0.1", "::1", "localhost") and certificate is None:
        raise ConfigError(f"serve.host is {host!r}, which others can reach: give serve.certificate and serve.key (TLS), or listen at 127.0.0.1")
    config = Config(
        login=account.take("login", int, *positive),
        server=account.take("server", str, default=None),
        terminal=account.take("terminal", str, default=None),
        strategy=account.take("strategy", int, lambda value: 0 < value < 1 << 15, "from 1 to 32767"),
        journal=folder / account.take("journal", str, bool, "a path"),
        clock=ServerClock(
            clock.take("server_offset_minutes", int, lambda value: abs(value) <= 840, "from -840 to 840"),
            clock.take("daylight_saving", str, LAWS.__contains__, "'none', 'eu' or 'us'")),
        simulated=clock.take("source", str, ("system", "simulated").__contains__, "'system' or 'simulated'", "system") == "simulated",
        clock_tolerance_s=clock.take("tolerance_s", _NUMBER, *positive, 30),
        host=host,
        port=serve.take("port", int, lambda value: 0 <= value < 65536, "a port", 8228),
        token=_token(serve, folder),
        certificate=certificate and folder / certificate,
        key=key and folder / key,
        requests_per_second=serve.take("requests_per_second", int, *positive, 100),
        longest_body=serve.take("longest_body", int, *positive, 16384),
        caps=Caps(
            symbols=tuple(symbols),
            max_lots=caps.take("max_lots", _NUMBER, *positive),
            max_net_lots=caps.take("max_net_lots", _NUMBER, *positive),
            orders_per_minute=caps.take("orders_per_minute", int, *positive)),
        lease_s=safety.take("lease_s", _NUMBER, *positive, 15),
        dead_man_s=safety.take("dead_man_s", _NUMBER, *positive),
        dead_man=safety.take("dead_man", str, ("flatten", "freeze").__contains__, "'flatten' or 'freeze'"),
        grace_s=safety.take("grace_s", _NUMBER, *positive, 10),
        fresh_s=safety.take("fresh_s", _NUMBER, *positive, 60),
        poll_ms=serve.take("poll_ms", int, lambda value: 10 <= value <= 60_000, "from 10 to 60000", 200),
    )
    for fields in (account, clock, serve, caps, safety):
        fields.end()
    return config


def _token(serve: _Fields, folder: Path) -> str:
    """From the file `serve.token_file`, or the variable CAMBIST_BRIDGE_TOKEN; never from the config itself, which is shown around."""
    file = serve.take("token_file", str, default=None)
    try:
        token = (folder / file).read_text(encoding="utf-8") if file else os.environ.get("CAMBIST_BRIDGE_TOKEN", "")
    except OSError as error:
        raise ConfigError(f"cannot read serve.token_file {file!r}: {error.strerror}") from error
    token = token.strip()
    if len(token) < 24 or not token.isascii() or not token.isprintable():
        raise ConfigError(
            "the token must have 24 ASCII letters or more: put one into serve.token_file or CAMBIST_BRIDGE_TOKEN "
            '(python -c "import secrets; print(secrets.token_urlsafe(32))")')
    return token
