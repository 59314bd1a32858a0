"""Whether a loop kept to its limits, reckoned from the terminal's own deals and bars. `LIMITS` is what the storm's loops run with."""

import datetime
from zoneinfo import ZoneInfo

# Shares of ten thousand, of which a storm trades some fifteen: twenty cents a day, eighty from the top.
LIMITS = {"max_lots": 0.22, "max_exposure": 0.0012, "orders_per_hour": 1, "daily_loss": 2e-5, "drawdown": 8e-5}
# What swap is due and what a spread is worth, in money; and how far a price moves between decision and fill.
MONEY, MOVE = 0.03, 1.02
HOUR, HOUR_MS, DAY_MS = 3_600 * 10**9, 3_600_000, 86_400_000
IN, INOUT = 0, 2


def server_ms(nanos):
    """A time in nanoseconds UTC on the server's clock, in milliseconds: midnight there is five in the afternoon of New York."""
    utc = datetime.datetime.fromtimestamp(nanos // 10**9, datetime.UTC)
    there = utc.astimezone(ZoneInfo("America/New_York")).replace(tzinfo=datetime.UTC) + datetime.timedelta(hours=7)
    return int(there.timestamp()) * 1000


class Worth:
    """What the account was worth at a time, by its deals and the bars' closes."""

    def __init__(self, deals, bars):
        self.deals = deals
        self.closes = {bar["time"] * 1000: bar["close"] for bar in bars}

    def at(self, close):
        """Equity at the close of a bar, before what is traded then; none where there is no such bar."""
        price = self.closes.get(server_ms(close - HOUR))
        if price is None:
            return None
        past = [deal for deal in self.deals if deal["time_msc"] < server_ms(close)]
        balance = sum(deal["profit"] + deal["commission"] + deal["swap"] + deal["fee"] for deal in past)
        return balance + sum(lots * (price - paid) for lots, paid in held(past))


def signed(deal):
    return deal["volume"] if deal["type"] == 0 else -deal["volume"]


def held(deals):
    """Signed lots and opening price of what `deals` leave open, position by position."""
    positions = {}
    for deal in (deal for deal in deals if deal["type"] < 2):
        lots, price = positions.get(deal["position_id"], (0.0, 0.0))
        after = round(lots + signed(deal), 8)
        if lots * signed(deal) >= 0:
            price = (lots * price + signed(deal) * deal["price"]) / after
        elif after * lots < 0:
            price = deal["price"]
        positions[deal["position_id"]] = (after, price)
    return positions.values()


def findings(books, decisions, ours):
    """What was opened beyond a limit. `decisions`: the close of every bar that was decided on, the equity that was known then, and the marks of its
    intents; `ours`: tickets of the loop's orders by their mark. Losses are counted from what was known: an equity that the terminal told
    wrongly, or in part, was nobody's."""
    deals = sorted(books["deals"], key=lambda deal: (deal["time_msc"], deal["ticket"]))
    worth = Worth(deals, books["bars"])
    made = {}
    net = 0.0
    for deal in (deal for deal in deals if deal["type"] < 2):
        net = round(net + signed(deal), 8)
        if abs(net) > LIMITS["max_lots"] + 1e-9:
            yield f"{net:g} lots net after deal {deal['ticket']}: more than the loop's limit of {LIMITS['max_lots']}"
        if deal["entry"] in (IN, INOUT):
            made[deal["order"]] = deal, net
    opened_before, day, first, peak = None, None, None, 0.0
    for close, told, marks in decisions:
        now, equity = server_ms(close), worth.at(close)
        if equity is None:
            yield f"a decision at {now} on a bar that the terminal never had"
            continue
        if abs(equity - told) <= MONEY:
            if now // DAY_MS != day:
                day, first = now // DAY_MS, equity
            peak = max(peak, equity)
        opened = [made[ticket] for mark in marks for ticket in ours.get(mark, []) if ticket in made]
        for deal, net in opened:
            name = f"order {deal['order']}"
            if abs(net) * deal["price"] > LIMITS["max_exposure"] * MOVE * equity:
                yield f"{name} leaves {abs(net) * deal['price'] / equity:.5f} of equity exposed, and {LIMITS['max_exposure']} is the limit"
            if first is not None and first - equity > LIMITS["daily_loss"] * first + MONEY:
                yield f"{name} opened when {first - equity:.2f} of {first:.2f} was lost on the day"
            if peak - equity > LIMITS["drawdown"] * peak + MONEY:
                yield f"{name} opened when {peak - equity:.2f} of {peak:.2f} was lost from the top"
        if opened:
            if opened_before is not None and now - opened_before < HOUR_MS or len(opened) > LIMITS["orders_per_hour"]:
                yield f"{len(opened)} orders opened at {now}, after one at {opened_before}: more than an hour may have"
            opened_before = now
