"""The server's clock against the IANA database, hour by hour."""

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from cambist_bridge.clock import ServerClock



@pytest.mark.parametrize("saving, zone, ahead", [("eu", "Europe/Athens", 0), ("us", "America/New_York", 7), ("none", "UTC", 2)])
def test_the_clock_is_the_iana_databases(saving, zone, ahead):
    """Two hours ahead of UTC in winter: Athens by Europe's law, and seven ahead of New York by America's."""
    clock, zone = ServerClock(120, saving), ZoneInfo(zone)
    begin = datetime(2019, 1, 1, tzinfo=timezone.utc).timestamp()
    for hour in range(8 * 8766):
        utc = begin + 3600 * hour
        wanted = datetime.fromtimestamp(utc, zone).utcoffset().total_seconds() + 3600 * ahead
        assert clock.offset(utc) == wanted, datetime.fromtimestamp(utc, timezone.utc)
        assert clock.when(clock.shows(utc), near=utc) == utc


def test_the_hour_that_comes_twice_and_the_one_that_never_comes():
    clock = ServerClock(120, "eu")
    at = lambda *moment: datetime(*moment, tzinfo=timezone.utc).timestamp()
    # 2026-10-25: four o'clock is three again. It shows half past three at 0:30 and at 1:30 UTC.
    shown = at(2026, 10, 25, 3, 30)
    assert clock.when(shown) == at(2026, 10, 25, 0, 30)
    assert clock.when(shown, near=at(2026, 10, 25, 1, 20)) == at(2026, 10, 25, 1, 30)
    # 2026-03-29: after 2:59 comes 4:00. Half past three is half past four.
    assert clock.when(at(2026, 3, 29, 3, 30)) == at(2026, 3, 29, 1, 30)
    # An hour either side of both changes.
    for change in (at(2026, 3, 29, 1), at(2026, 10, 25, 1)):
        assert clock.shows(change - 1) - (change - 1) != clock.shows(change) - change


def test_a_broker_that_keeps_another_law_is_found_out(make):
    """New York has summer time from 2023-03-12, Europe from 2023-03-26: between them a config of the wrong law shows. Trading pauses,
    reducing goes on."""
    bridge = make(saving="eu")
    bought = bridge.order("market", side="buy", volume=0.1)
    assert bought.status_code == 200
    bridge.terminal.advance(to="2023-03-13T12:00")
    refused = bridge.order("market", side="buy", volume=0.1)
    assert refused.status_code == 503 and "daylight_saving" in refused.json()["detail"], refused.text
    health = bridge.get("/health")
    assert not health["trading"] and health["server_offset_s"] == 7200 and health["measured_offset_s"] == {"BTCUSD": 10800}
    closed = bridge.order("close", position=bought.json()["order"])
    assert closed.status_code == 200, closed.text
    # When Europe has changed too, they agree again.
    bridge.terminal.advance(to="2023-03-27T12:00")
    assert bridge.order("market", side="buy", volume=0.1).status_code == 200


def test_times_are_utc_over_both_changes(make):
    bridge = make()
    for moment in ("2023-03-11T12:00", "2023-03-13T12:00", "2023-11-04T12:00", "2023-11-06T12:00"):
        bridge.terminal.advance(to=moment)
        utc = 1000 * round(datetime.fromisoformat(moment).replace(tzinfo=timezone.utc).timestamp())
        assert bridge.order("market", side="buy", volume=0.01).status_code == 200
        health, bars = bridge.get("/health"), bridge.get("/ohlcv", symbol="BTCUSD", timeframe="H1", count=48)
        assert health["now_ms"] == utc and health["trading"], health
        assert [bar["time_ms"] for bar in bars] == [utc - 3_600_000 * back for back in range(47, -1, -1)]
        assert bridge.get("/positions")[-1]["time_ms"] == utc and bridge.get("/deals", from_ms=utc)[-1]["time_ms"] == utc
