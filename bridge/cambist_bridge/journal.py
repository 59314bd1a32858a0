"""What the bridge must not forget, in SQLite, on the disk before anything is done (synchronous = FULL).

An intent is `written` before it is sent. Then it is `confirmed`, `refused`, or `unknown` until a look-up says what became of it; one
that never arrived is `absent` and retired for good.
"""

import hashlib
import json
import os
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

OPEN = ("written", "unknown")
UNSEEN, SEEN, WORKING = 0, 1, 2

_SCHEMA = """
create table if not exists meta (key text primary key, value text not null) strict;
create table if not exists intents (
    id text primary key, account integer not null, magic integer not null, hash text not null, symbol text not null,
    payload text not null, request text, state text not null
        check (state in ('written', 'confirmed', 'refused', 'unknown', 'absent')),
    sent_ms integer not null, outcome text not null, seen integer not null) strict;
create index if not exists intents_state on intents (state);
create index if not exists intents_magic on intents (magic);
create index if not exists intents_sent on intents (sent_ms);
create index if not exists intents_seen on intents (seen) where seen != 1;
create table if not exists lease (
    only integer primary key check (only = 1), token integer not null, holder text not null, expires_ms integer not null,
    seen_ms integer not null, let_go integer not null) strict;
"""
_VERSION = "1"


class JournalError(Exception):
    """The journal cannot be used; what, and what to do."""


@dataclass
class Intent:
    """What somebody wanted, and what became of it. `sent_ms` is the market's time, UTC. Of one that
    is UNSEEN, and confirmed, the terminal's books do not show everything yet; one that is WORKING is seen in the book, and not done."""

    id: str
    account: int
    magic: int
    hash: str
    symbol: str
    payload: dict
    request: dict | None
    state: str
    sent_ms: int
    outcome: dict = field(default_factory=dict)
    seen: int = 1


@dataclass(frozen=True)
class Lease:
    """Who may trade: `token` grows with every lease, so that one of the past is known by it. Times are this machine's."""

    token: int
    holder: str
    expires_ms: int
    seen_ms: int
    let_go: bool


class Journal:
    """The journal of `account`, which one bridge at a time may write."""

    def __init__(self, path: Path, account: int, place: str):
        """Of two bridges of one machine to the same account the second does not begin, whatever their journals and configs. Accounts are known by
        their numbers, which another broker may give too; of simulated ones `place` says which it is."""
        self._locks = [_lock(path.with_name(path.name + ".lock"), f"another bridge writes {path}")]
        mark = hashlib.sha256(f"{account} {place}".encode()).hexdigest()[:16]
        beside = _shared_folder() / f"cambist-bridge-{mark}.lock"
        try:
            self._locks.append(_lock(beside, f"another bridge trades account {account}"))
        except JournalError:
            os.close(self._locks[0])
            raise
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
            self._db.executescript(_SCHEMA)
            self._belongs(path, "version", _VERSION)
            self._belongs(path, "account", str(account))
        except sqlite3.DatabaseError as error:
            raise JournalError(f"{path} cannot be used as a journal: {error}") from error

    def _belongs(self, path: Path, key: str, value: str) -> None:
        self._db.execute("insert or ignore into meta values (?, ?)", (key, value))
        found = self._db.execute("select value from meta where key = ?", (key,)).fetchone()[0]
        if found != value:
            raise JournalError(f"{path} is the journal of {key} {found}, not {value}: give another account.journal")

    def close(self) -> None:
        self._db.close()
        for lock in self._locks:
            os.close(lock)

    # -- intents

    def write(self, intent: Intent) -> None:
        """On the disk when it returns."""
        self._db.execute("insert into intents values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (
            intent.id, intent.account, intent.magic, intent.hash, intent.symbol, json.dumps(intent.payload),
            intent.request and json.dumps(intent.request), intent.state, intent.sent_ms, json.dumps(intent.outcome),
            intent.seen))

    def update(self, intent: Intent) -> None:
        self._db.execute(
            "update intents set state = ?, outcome = ?, seen = ? where id = ?",
            (intent.state, json.dumps(intent.outcome), intent.seen, intent.id))

    def _intents(self, where: str, *values) -> list[Intent]:
        rows = self._db.execute(f"select * from intents where {where}", values)
        return [Intent(i, account, magic, hash_, symbol, json.loads(payload), request and json.loads(request), state, sent,
                       json.loads(outcome), seen)
                for i, account, magic, hash_, symbol, payload, request, state, sent, outcome, seen in rows]

    def intent(self, id: str) -> Intent | None:
        return next(iter(self._intents("id = ?", id)), None)

    def of_magic(self, magic: int) -> Intent | None:
        return next(iter(self._intents("magic = ?", magic)), None)

    def open(self) -> list[Intent]:
        """Those of which it is not known what became of them, oldest first."""
        return self._intents("state in ('written', 'unknown') order by sent_ms, id")

    def in_play(self) -> list[Intent]:
        """Those that are open, and those that were confirmed but are not to be seen in the books yet."""
        return self._intents("state in ('written', 'unknown') or seen = 0 order by sent_ms, id")

    def working(self) -> list[Intent]:
        """Pending orders that were in the book when it was last looked at."""
        return self._intents("seen = 2")

    def n_sent_since(self, ms: int) -> int:
        return self._db.execute(
            "select count(*) from intents where sent_ms > ? and request is not null", (ms,)).fetchone()[0]

    # -- lease

    def lease(self) -> Lease | None:
        row = self._db.execute("select token, holder, expires_ms, seen_ms, let_go from lease").fetchone()
        return row and Lease(*row[:4], bool(row[4]))

    def set_lease(self, lease: Lease) -> None:
        self._db.execute("insert or replace into lease values (1, ?, ?, ?, ?, ?)", (
            lease.token, lease.holder, lease.expires_ms, lease.seen_ms, int(lease.let_go)))

    # -- marks

    def mark(self, key: str) -> str | None:
        row = self._db.execute("select value from meta where key = ?", (key,)).fetchone()
        return row and row[0]

    def set_mark(self, key: str, value: str | None) -> None:
        if value is None:
            self._db.execute("delete from meta where key = ?", (key,))
        else:
            self._db.execute("insert or replace into meta values (?, ?)", (key, value))


def _shared_folder() -> Path:
    """Where every user of this machine looks: not the user's own folder of temporary files."""
    return Path(os.environ["PROGRAMDATA"]) if os.name == "nt" else Path("/tmp")


def _lock(path: Path, held: str) -> int:
    """A lock that dies with the process."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise JournalError(f"cannot write {path}: {error.strerror}; it belongs to whoever runs a bridge, remove it if nobody does") from error
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise JournalError(f"{held}: one at a time, or orders would be sent twice") from error
    return handle
