"""The storm's judge of limits, over books that were made up: it lets pass what is allowed, and names what is not, limit by limit."""

import pathlib
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / "storm")]

import limits  # noqa: E402

# The tenth of March 2023, ten o'clock UTC: the server shows twelve.
BEGUN, HOUR = 1_678_442_400, 3600


def judged(lots, prices, deposit=10_000.0):
    """What is found where hour after hour as many lots are bought at the bar's open; each hour's decision is one order."""
    shown = lambda hour: BEGUN + 2 * HOUR + hour * HOUR  # noqa: E731
    bars = [{"time": shown(hour), "close": price} for hour, price in enumerate(prices)]
    deals = [{"ticket": 1, "order": 0, "position_id": 0, "type": 2, "entry": 0, "time_msc": 0, "volume": 0, "price": 0, "profit": deposit}]
    decisions, ours = [], {}
    for hour, volume in enumerate(lots):
        decisions.append([(BEGUN + (hour + 1) * HOUR) * 10**9, [hour] if volume else []])
        for leg in range(1 if not isinstance(volume, tuple) else len(volume)):
            part = volume[leg] if isinstance(volume, tuple) else volume
            if part:
                ticket = len(deals) + 1
                ours.setdefault(hour, []).append(ticket)
                deals.append({"ticket": ticket, "order": ticket, "position_id": ticket, "type": 0, "entry": 0, "volume": part, "profit": 0.0,
                              "time_msc": shown(hour + 1) * 1000, "price": prices[hour]})
    books = {"deals": [deal | {"commission": 0.0, "swap": 0.0, "fee": 0.0} for deal in deals], "bars": bars}
    worth = limits.Worth(books["deals"], bars)
    return list(limits.findings(books, [(close, worth.at(close), marks) for close, marks in decisions], ours))


def test_what_is_allowed_is_no_finding():
    assert judged([0.1, 0, 0.05, 0], [57.0, 57.2, 57.1, 57.0]) == []


@pytest.mark.parametrize("finding, lots, prices", [
    ("more than the loop's limit of", [0.1, 0.13], [30.0, 30.0]),
    ("of equity exposed", [0.1, 0.12], [57.0, 57.0]),
    ("more than an hour may have", [(0.05, 0.05)], [57.0]),
    ("was lost on the day", [0.2, 0.0, 0.01], [57.0, 56.5, 55.5]),
    ("was lost from the top", [0.2, *[0.0] * 14, 0.01], [57.0, *[52.0] * 15])])
def test_what_passes_a_limit_is_named(finding, lots, prices):
    found = judged(lots, prices)
    assert any(finding in said for said in found), found
