#!/usr/bin/env python3
"""Lives through the accounts that `cambist check ledger` wrote down, and compares every deal and balance.

Shares no code with the broker: it follows the numbered rules of `crates/execution/src/broker.rs` as they are written.
Standard library only; its `zoneinfo` reads the system's time zones.   python3 scripts/ledger.py FOLDER
"""

import datetime
import functools
import json
import math
import pathlib
import sys
import zoneinfo

DAY = 86_400_000_000_000
HOUR = 3_600_000_000_000
HUGE = 1 << 62
TOLERANCE = 1e-9  # of the account's gross turnover


@functools.cache
def summer(law, hour):
    """Nanoseconds that a place under this law is ahead of its winter in this hour since 1970."""
    if law == "none":
        return 0
    place = zoneinfo.ZoneInfo({"eu": "Europe/Athens", "us": "America/New_York"}[law])
    time = datetime.datetime.fromtimestamp(hour * 3600, place)
    return int(time.dst().total_seconds()) * 10**9


def wall(clock, time):
    """What a broker's clock shows."""
    return time + clock["offset_minutes"] * 60 * 10**9 + summer(clock["saving"], time // HOUR)


def pick(rule):
    """A Rust enum as JSON: "name" or {"name": value}."""
    return (rule, None) if isinstance(rule, str) else next(iter(rule.items()))


class Mismatch(Exception):
    pass


class Order:
    def __init__(self, number, fields, latency):
        sent, instrument, sign, steps, kind, first, second, fill, expiry, stop, target, closes = fields
        self.number, self.sent, self.instrument, self.sign = number, int(sent), int(instrument), int(sign)
        self.left, self.kind, self.fill, self.expiry = int(steps), kind, fill, expiry
        self.first = int(first) if first else None
        self.second = int(second) if second else None
        self.stop = int(stop) if stop else None
        self.target = int(target) if target else None
        self.closes = int(closes) if closes else None
        unit, amount = pick(latency)
        self.arrives = self.sent + (amount * 1_000_000 if unit == "millis" else 0)
        self.bars_away = amount if unit == "bars" else 0
        self.arrived = self.waits = False
        self.own_due = self.paid = 0.0


class Position:
    def __init__(self, number, instrument, steps, price, stop, target, fresh):
        self.number, self.instrument, self.steps, self.entry = number, instrument, steps, price
        self.stop, self.target, self.fresh, self.financing = stop, target, fresh, 0.0


class Broker:
    def __init__(self, rules, log):
        self.terms, self.account, self.log, self.turnover = rules["listings"], rules["account"], log, 0.0
        self.hedging = self.account["books"] == "hedging"

    def open_account(self, balance, rejected):
        self.balance, self.residue, self.turnover, self.rejected = balance, 0.0, 0.0, rejected
        self.orders, self.positions, self.next, self.called = [], [], 1, False
        self.bid = [0.0] * len(self.terms)
        self.ask = [0.0] * len(self.terms)
        self.shift = [0.0] * len(self.terms)
        self.rate = [1.0] * len(self.terms)
        self.seen = [None] * len(self.terms)
        self.until = [0] * len(self.terms)
        self.levels = [({}, {}) for _ in self.terms]

    # What an instrument is worth

    def tick_money(self, i):
        spec = self.terms[i]["instrument"]
        return spec["tick_value"] * spec["lots"]["step"] * self.rate[i]

    def worth(self, i, steps, ticks):
        """In the deposit currency."""
        spec = self.terms[i]["instrument"]
        return steps * spec["lots"]["step"] * spec["contract_size"] * ticks * spec["tick_size"] * self.rate[i]

    def margin_of(self, i, steps, ticks):
        spec = self.terms[i]["instrument"]
        whole = self.worth(i, abs(steps), ticks) * spec["margin_rate"]
        return whole / self.account["leverage"] if spec["calculation"] in ("forex", "cfd_leverage") else whole

    def margin_of_legs(self, i, legs):
        """`legs`: (signed steps, entry). The surplus of the larger leg, and what is covered by the hedged margin."""
        longs = [(s, p) for s, p in legs if s > 0]
        shorts = [(-s, p) for s, p in legs if s < 0]
        total = lambda leg: sum(s for s, _ in leg)
        value = lambda leg: sum(s * p for s, p in leg)
        big, small = (longs, shorts) if total(longs) >= total(shorts) else (shorts, longs)
        if total(big) == 0:
            return 0.0
        need = self.margin_of(i, total(big) - total(small), value(big) / total(big))
        if total(small):
            both = (value(big) + value(small)) / (total(big) + total(small))
            spec = self.terms[i]["instrument"]
            need += self.margin_of(i, total(small), both) * spec["hedged_margin"] / spec["contract_size"]
        return need

    def legs(self, i):
        """On an exchange, margin counts what a position is worth, elsewhere its entry (rule 10)."""
        now = self.terms[i]["instrument"]["calculation"] == "exchange"
        price = lambda p: (self.bid[i] if p.steps > 0 else self.ask[i]) if now else p.entry
        return [(p.steps, price(p)) for p in self.positions if p.instrument == i]

    def margin(self):
        return sum(self.margin_of_legs(i, self.legs(i)) for i in range(len(self.terms)))

    def gain(self, p):
        out = self.bid[p.instrument] if p.steps > 0 else self.ask[p.instrument]
        return (out - p.entry) * p.steps * self.tick_money(p.instrument) + p.financing

    def equity(self):
        return self.balance + sum(self.gain(p) for p in self.positions)

    # Orders

    def check_distance(self, i, sign, stop, target, kind=None, price=None):
        """Rule 3."""
        if stop is None and target is None and price is None:
            return True
        if self.seen[i] is None:
            return False
        level = self.terms[i]["instrument"]["stops_level"]
        far = lambda gap: gap >= level and (level > 0 or gap > 0)
        entry = self.ask[i] if sign > 0 else self.bid[i]
        origin = price if price is not None else (self.bid[i] if sign > 0 else self.ask[i])
        if stop is not None and not far((origin - stop) * sign):
            return False
        if target is not None and not far((target - origin) * sign):
            return False
        if kind in ("stop", "stop_limit"):
            return far((price - entry) * sign)
        if kind == "limit" and level > 0:
            return far((entry - price) * sign)
        return True

    def submit(self, fields):
        i = int(fields[1])
        order = Order(self.next, fields, self.terms[i]["latency"])
        spec = self.terms[i]["instrument"]
        held = sum(p.steps for p in self.positions if p.instrument == i)
        lots = spec["lots"]
        if not lots["minimum"] <= order.left <= lots["maximum"]:
            if not (1 <= order.left < lots["minimum"] and abs(held) == order.left):
                return False
        if order.sign < 0 and spec["short"] == "forbidden" and held <= 0:
            return False
        if not self.check_distance(i, order.sign, order.stop, order.target, order.kind, order.first):
            return False
        self.orders.append(order)
        self.next += 1
        return True

    def frozen(self, i, sign, price):
        level = self.terms[i]["instrument"]["freeze_level"]
        return level > 0 and int(abs(price - (self.ask[i] if sign > 0 else self.bid[i]))) <= level

    def cancel(self, number):
        order = next((o for o in self.orders if o.number == number), None)
        if order is None or (order.first is not None and order.kind != "market" and self.frozen(order.instrument, order.sign, order.first)):
            return False
        self.drop(order, "Cancelled")
        return True

    def protect(self, number, stop, target):
        held = next((p for p in self.positions if p.number == number), None)
        if held is None:
            return False
        sign = 1 if held.steps > 0 else -1
        for old in (held.stop, held.target):
            if old is not None and self.frozen(held.instrument, -sign, old):
                return False
        if not self.check_distance(held.instrument, sign, stop, target):
            return False
        held.stop, held.target = stop, target
        return True

    def drop(self, order, why):
        self.orders.remove(order)
        self.log.append(("ended", order.number, order.left, why))

    # Events

    def quote_pair(self, i, price):
        half = {"bid": 0.0, "ask": 1.0}.get(self.side, 0.5)
        bid, ask = price - half * self.spread, price + (1.0 - half) * self.spread
        # What was bought makes buying dearer and selling no better.
        return bid + min(self.shift[i], 0.0), ask + max(self.shift[i], 0.0)

    def place(self, i, price):
        self.bid[i], self.ask[i] = self.quote_pair(i, price)

    def bar(self, i, opened, closed, o, h, l, c, spread, volume, sigma):
        share = self.terms[i]["participation"]
        room = HUGE if share is None or volume is None else int(share * volume)
        self.room, self.shared = {1: room, -1: room}, True
        self.spread, self.side = spread, self.terms[i]["price_side"]
        self.volume, self.sigma = volume or 0, sigma
        self.opened, self.closed = opened, closed
        self.at_open(i, o)
        self.inside(i, o, h, l, c)

    def point(self, i, time, bid, ask, room, volume):
        self.room, self.shared, self.spread, self.side = room, False, ask - bid, "bid"
        self.volume, self.sigma, self.opened, self.closed = volume, 0.0, time, time

    def quote(self, i, time, bid, ask, bid_steps, ask_steps):
        share = self.terms[i]["participation"]
        share = 1.0 if share is None else share
        room = {1: HUGE, -1: HUGE} if bid_steps is None else {1: int(share * ask_steps), -1: int(share * bid_steps)}
        self.point(i, time, bid, ask, room, 0 if bid_steps is None else bid_steps + ask_steps)
        self.at_open(i, bid)

    def trade(self, i, time, price, steps):
        """Rule 18."""
        share = self.terms[i]["participation"]
        room = int((1.0 if share is None else share) * steps)
        bid, ask = self.bid[i] - min(self.shift[i], 0.0), self.ask[i] - max(self.shift[i], 0.0)
        self.point(i, time, bid, ask, {1: room, -1: room}, steps)
        self.shared = True
        self.expire(i)
        self.until[i] = time
        if not self.in_session(i, time):
            return
        for order in list(self.orders):
            if order not in self.orders or order.instrument != i or not order.arrived or order.kind != "limit":
                continue
            limit = order.second if order.second is not None else order.first
            if (limit - price) * order.sign > 0 and self.room[1] > 0:
                self.serve(order, float(limit), None, False, False)

    def delta(self, i, time, sign, price, steps):
        """Rule 19."""
        bids, asks = self.levels[i]
        best = lambda: (max(bids.items()), min(asks.items())) if bids and asks else None
        before = best()
        mine, other = (bids, asks) if sign > 0 else (asks, bids)
        if steps > 0:
            for p in [p for p in other if (price - p) * sign >= 0]:
                del other[p]
            mine[price] = steps
        else:
            mine.pop(price, None)
        after = best()
        if after and after != before:
            (bid, bid_steps), (ask, ask_steps) = after
            self.quote(i, time, bid, ask, bid_steps, ask_steps)

    def at_open(self, i, price):
        self.finance(i)
        self.place(i, price)
        self.expire(i)
        self.until[i] = self.closed
        if self.in_session(i, self.opened):
            self.hit_stops(i, price, price, price, False, False)
            self.hit_limits(i, price, price, price, False)
            self.welcome(i, price)
        self.watch_margin(i, (price,))

    def inside(self, i, o, h, l, c):
        if self.in_session(i, self.opened):
            self.latecomers(i, o, c)
            self.hit_stops(i, l, h, o, True, False)
            self.hit_limits(i, l, h, o, True)
            self.hit_stops(i, l, h, o, True, True)
        self.watch_margin(i, (l, h))
        self.place(i, c)
        half_life = self.terms[i]["impact"]["half_life"]
        if half_life > 0:
            self.shift[i] *= 2 ** (-1 / half_life)
        for p in self.positions:
            p.fresh = False
        for order in self.orders:
            order.waits = False

    def finance(self, i):
        """Rule 17."""
        before, self.seen[i] = self.seen[i], self.opened
        if before is None or before >= self.opened:
            return
        term = self.terms[i]
        swap = term["swap"]
        days = 0
        for d in range(wall(term["clock"], before) // DAY, wall(term["clock"], self.opened) // DAY):
            ends = (d + 3) % 7
            triple = swap["triple_day"]
            days += 1 if triple is None else 0 if ends > 4 else 3 if ends == triple else 1
        rate = 0.0
        if any(p.instrument == i for p in self.positions):
            rate = sum(r for t, r in term["funding"]["rates"] if before < t <= self.opened)
        kind, borrow = pick(term["instrument"]["short"])
        rent = borrow * (self.opened - before) / 1e9 / 31_557_600 if kind == "borrowed" else 0.0
        mode, terms = pick(swap["mode"])
        for p in self.positions:
            if p.instrument != i:
                continue
            value = self.worth(i, p.steps, self.bid[i] if p.steps > 0 else self.ask[i])
            amount = -rate * value + (rent * value if value < 0 else 0.0)
            if mode == "points":
                lots = abs(p.steps) * term["instrument"]["lots"]["step"]
                tick = term["instrument"]["tick_value"] * self.rate[i]
                amount += days * lots * tick * terms["long" if p.steps > 0 else "short"]
            elif mode == "interest":
                amount += days * abs(value) * terms["long" if p.steps > 0 else "short"] / 100 / 360
            p.financing += amount

    def expire(self, i):
        """Rule 6."""
        clock = self.terms[i]["clock"]
        gap, patience = pick(self.terms[i]["after_gap"])
        for order in list(self.orders):
            if order.instrument != i:
                continue
            over = (
                wall(clock, self.opened) // DAY > wall(clock, order.sent) // DAY
                if order.expiry == "day"
                else order.expiry != "gtc" and self.opened >= int(order.expiry)
            )
            missed = self.opened - max(order.arrives, self.until[i])
            if over:
                self.drop(order, "Expired")
            elif gap == "expire_after" and not order.arrived and missed > patience * 10**9:
                self.drop(order, "Gap")

    def in_session(self, i, time):
        sessions = self.terms[i]["instrument"]["sessions"]
        if sessions:
            time = wall(self.terms[i]["instrument"]["session_clock"], time)
        minute = (time // 60_000_000_000 + 3 * 1440) % (7 * 1440)
        return not sessions or any(a <= minute < b for a, b in sessions)

    def welcome(self, i, price):
        """Rules 4, 6 and 11."""
        for order in list(self.orders):
            if order not in self.orders or order.instrument != i or order.arrives > self.opened:
                continue
            if order.arrived and order.kind != "market":
                continue
            if order.bars_away > 0:
                order.bars_away -= 1
                continue
            self.greet(order, price, False)

    def latecomers(self, i, o, c):
        """Rule 7."""
        for order in list(self.orders):
            if order not in self.orders or order.instrument != i or order.kind != "market" or order.arrived:
                continue
            if self.opened < order.arrives < self.closed and self.in_session(i, order.arrives):
                line = o + (order.arrives - self.opened) / (self.closed - self.opened) * (c - o)
                self.greet(order, max(line, o) if order.sign > 0 else min(line, o), True)

    def greet(self, order, price, inside):
        first, order.arrived = not order.arrived, True
        if first and order.number in self.rejected:
            self.drop(order, "Rejected")
            return
        bid, ask = self.quote_pair(order.instrument, price)
        quote = ask if order.sign > 0 else bid
        if order.kind == "market":
            self.serve(order, quote, None, True, inside)
        elif order.kind == "limit":
            if (order.first - quote) * order.sign >= 0:
                self.serve(order, quote, float(order.first), True, inside)
            elif order.fill != "return":
                self.drop(order, "NoVolume")

    def stop_quote(self, i, sign, stop, low, high, came_from):
        """Where a stop of this sign triggers, or none."""
        if sign > 0:
            return max(stop, self.quote_pair(i, came_from)[1]) if self.quote_pair(i, high)[1] >= stop else None
        return min(stop, self.quote_pair(i, came_from)[0]) if self.quote_pair(i, low)[0] <= stop else None

    def limit_quote(self, i, sign, limit, low, high, came_from):
        gap = limit - self.quote_pair(i, low)[1] if sign > 0 else self.quote_pair(i, high)[0] - limit
        if gap < 0 or (gap == 0 and self.side not in ("bid", "ask")):
            return None
        bid, ask = self.quote_pair(i, came_from)
        return min(limit, ask) if sign > 0 else max(limit, bid)

    def hit_stops(self, i, low, high, came_from, inside, fresh):
        """Rules 11, 12 and 14."""
        for p in list(self.positions):
            if p.instrument != i or p.fresh != fresh or p.stop is None or p not in self.positions:
                continue
            sign = -1 if p.steps > 0 else 1
            quote = self.stop_quote(i, sign, p.stop, low, high, came_from)
            if quote is None:
                continue
            whole = abs(p.steps)
            done = self.fill(0, i, sign, whole, quote, True, None, p.number, None, None, False, False, None)
            if done < whole:
                p.stop = None
                rest = Order(self.next, (self.opened, i, sign, whole - done, "market", "", "", "return", "gtc", "", "", p.number), {"millis": 0})
                rest.arrived = True
                self.orders.append(rest)
                self.next += 1
        if fresh:
            return
        for order in list(self.orders):
            if order.kind not in ("stop", "stop_limit") or order.instrument != i or not order.arrived or order.waits:
                continue
            if order not in self.orders:
                continue
            quote = self.stop_quote(i, order.sign, order.first, low, high, came_from)
            if quote is None:
                continue
            if order.kind == "stop_limit":
                order.kind, order.first, order.waits, order.arrived = "limit", order.second, inside, False
            else:
                order.kind = "market"
                self.serve(order, quote, None, True, inside)

    def hit_limits(self, i, low, high, came_from, inside):
        """Rules 11 to 14."""
        way = 0
        for order in list(self.orders):
            if order not in self.orders or order.kind != "limit" or order.instrument != i:
                continue
            if not order.arrived or order.waits or (inside and way == -order.sign):
                continue
            quote = self.limit_quote(i, order.sign, order.first, low, high, came_from)
            if quote is not None:
                way = order.sign
                self.serve(order, quote, None, False, inside)
        for p in list(self.positions):
            if p not in self.positions or p.target is None or p.instrument != i or p.fresh:
                continue
            sign = -1 if p.steps > 0 else 1
            if inside and way == -sign:
                continue
            quote = self.limit_quote(i, sign, p.target, low, high, came_from)
            if quote is not None:
                way = sign
                self.fill(0, i, sign, abs(p.steps), quote, False, None, p.number, None, None, False, False, None)

    # Fills

    def closable(self, i, sign, closes):
        for p in self.positions:
            if p.instrument == i and p.steps * sign < 0 and (not self.hedging or p.number == closes):
                return p
        return None

    def serve(self, order, quote, worst, taker, inside):
        """Rules 2, 9 and 10."""
        i = order.instrument
        if order.closes is not None and all(p.number != order.closes for p in self.positions):
            self.drop(order, "NothingToClose")
            return
        there = max(self.room[order.sign], 0)
        whole = order.fill == "fok"
        lacks = None
        steps = order.left
        if whole and steps > there:
            steps, lacks = 0, "NoVolume"
        else:
            if steps > there:
                steps, lacks = there, "NoVolume"
            held = self.closable(i, order.sign, order.closes)
            can_close = abs(held.steps) if held else 0
            may_open = order.closes is None and not (order.sign < 0 and self.terms[i]["instrument"]["short"] == "forbidden")
            if steps > can_close and not may_open:
                steps, lacks = can_close, "LongOnly" if order.closes is None else "NothingToClose"
            if steps > can_close:
                most = can_close + self.can_carry(order, quote, worst, taker, held, can_close, steps - can_close)
                if most < steps:
                    steps = 0 if whole or self.account["shortfall"] == "reject" else most
                    lacks = "NoMoney"
            if whole and steps < order.left:
                steps = 0
        if steps:
            order.left -= self.fill(order.number, i, order.sign, steps, quote, taker, worst, order.closes, order.stop, order.target, inside, False, order)
        if order.left == 0:
            self.orders.remove(order)
        elif lacks and not (lacks == "NoVolume" and order.fill == "return"):
            self.drop(order, lacks)

    def can_carry(self, order, quote, worst, taker, held, closing, opening):
        """Rule 10: steps to open that the free margin carries after closing, at the prices of the fill."""
        i, sign = order.instrument, order.sign
        before = self.bid[i], self.ask[i]
        self.bid[i], self.ask[i] = (quote - self.spread, quote) if sign > 0 else (quote, quote + self.spread)
        carried = self.carried(order, quote, worst, taker, held, closing, opening)
        self.bid[i], self.ask[i] = before
        return carried

    def carried(self, order, quote, worst, taker, held, closing, opening):
        i, sign, term = order.instrument, order.sign, self.terms[order.instrument]
        both = closing + opening
        price, _, _, _ = self.price(i, sign, both, quote, taker, worst)
        out = self.bid[i] if sign > 0 else self.ask[i]
        behind = max((price - out) * sign, 0.0) * self.tick_money(i)
        fee = max(self.commission(term, both, self.worth(i, both, price), taker, order)[0], 0.0) / both
        legs = self.legs(i)
        before = self.margin_of_legs(i, legs)
        if held:
            at = next(k for k, p in enumerate([p for p in self.positions if p.instrument == i]) if p is held)
            steps, entry = legs[at]
            legs[at] = (steps + sign * closing, entry)
        legs = [leg for leg in legs if leg[0]]
        closed = self.margin_of_legs(i, legs)
        counted = out if term["instrument"]["calculation"] == "exchange" else price
        after = self.margin_of_legs(i, legs + [(sign * opening, counted)])
        free = self.equity() - (self.margin() + closed - before) - (behind + fee) * closing
        each = (after - closed) / opening + behind + fee
        if each <= 0 or each * opening <= free + 1e-9 * (1 + abs(free)):
            return opening
        return 0 if free <= 0 else int(free / each)

    def price(self, i, sign, steps, quote, taker, worst):
        """Rule 8: price, slippage, impact, permanent shift, in ticks."""
        if not taker:
            return quote, 0.0, 0.0, 0.0
        slip, hit = self.terms[i]["slippage"], self.terms[i]["impact"]
        slippage = slip["fixed"] + slip["volatility"] * self.sigma * quote
        share = steps / max(self.volume, 1)
        impact = min(hit["temporary"] * self.sigma * quote * math.sqrt(share), 0.5 * quote)
        shift = min(hit["permanent"] * self.sigma * quote * share, 0.5 * quote)
        price = quote + sign * (slippage + impact)
        if self.account["whole_ticks"]:
            price = float(math.ceil(price) if sign > 0 else math.floor(price))
        if worst is not None:
            price = min(price, worst) if sign > 0 else max(price, worst)
        beyond = (price - quote) * sign
        impact = min(impact, max(beyond, 0.0))
        return price, max(beyond - impact, 0.0), impact, shift

    def commission(self, term, steps, value, taker, order):
        """What a fill pays now, and what it would without a minimum."""
        tariff = term["commission"]
        own = tariff["per_lot"] * steps * term["instrument"]["lots"]["step"]
        own += (tariff["taker_bp"] if taker else tariff["maker_bp"]) / 1e4 * value
        if own < 0 or tariff["minimum"] == 0:
            return own, max(own, 0.0)
        due, paid = (order.own_due, order.paid) if order else (0.0, 0.0)
        return max(due + own, tariff["minimum"]) - paid, own

    def fill(self, number, i, sign, steps, quote, taker, worst, closes, stop, target, inside, forced, order):
        if not forced:
            steps = min(steps, max(self.room[sign], 0))
        if steps == 0:
            return 0
        term = self.terms[i]
        price, slippage, impact, shift = self.price(i, sign, steps, quote, taker, worst)
        value = self.worth(i, steps, price)
        fee, own = self.commission(term, steps, value, taker, order)
        money = self.tick_money(i)
        held = self.closable(i, sign, closes)
        name = number if number else self.next
        profit = financing = 0.0
        closed = 0
        opens = steps
        if held:
            closed = min(steps, abs(held.steps))
            profit = (price - held.entry) * -sign * closed * money
            financing = held.financing * closed / abs(held.steps)
            held.financing -= financing
            held.steps += sign * closed
            name = held.number
            opens = steps - closed
            if held.steps == 0:
                self.positions.remove(held)
        if opens:
            # A hedging account's order that fills in parts makes one position.
            adds = lambda p: p.number == number if self.hedging else p.instrument == i
            mine = next((p for p in self.positions if adds(p)), None)
            if mine:
                total = mine.steps + sign * opens
                mine.entry = (mine.entry * mine.steps + price * sign * opens) / total
                mine.steps, name = total, mine.number
                mine.stop = stop if stop is not None else mine.stop
                mine.target = target if target is not None else mine.target
                mine.fresh = mine.fresh or inside
            else:
                name = name if closed else (number if number else self.next)
                self.positions.append(Position(name, i, sign * opens, price, stop, target, inside))
        amount = profit + financing - fee
        digits = self.account["digits"]
        if digits is not None:
            exact = amount + self.residue
            scaled = exact * 10**digits
            amount = math.copysign(math.floor(abs(scaled) + 0.5), scaled) / 10**digits
            self.residue = exact - amount
        self.balance += amount
        self.turnover += value
        half = self.spread / 2 * steps * money
        costs = (max(fee, 0.0), half, slippage * steps * money, impact * steps * money)
        if min(costs) < 0:
            raise Mismatch(f"a negative cost: {costs}")
        self.log.append(("deal", number, name, sign, steps, closed, price, profit, financing, *costs, max(-fee, 0.0)))
        if order:
            order.paid += max(fee, 0.0)
            order.own_due += own
        if not forced:
            self.room[sign] -= steps
            if self.shared:
                self.room[-sign] = self.room[sign]
        self.shift[i] += sign * shift
        return steps

    # Margin

    def stopped(self, equity, margin):
        mode, levels = pick(self.account["levels"])
        if mode == "money":
            return equity <= levels["stop_out"]
        return 100 * equity <= levels["stop_out"] * margin if margin > 0 else equity <= 0

    def watch_margin(self, i, prices):
        """Rule 15."""
        if not self.positions:
            return
        seen = []
        for price in prices:
            self.place(i, price)
            seen.append((self.equity(), price))
        equity, price = min(seen, key=lambda s: s[0])
        self.place(i, price)
        margin = self.margin()
        mode, levels = pick(self.account["levels"])
        calls = equity < levels["call"] if mode == "money" else 100 * equity < levels["call"] * margin
        if calls and not self.called:
            self.log.append(("call",))
        self.called = calls
        if self.stopped(equity, margin):
            for order in list(self.orders):
                self.drop(order, "StoppedOut")
            while self.positions and self.stopped(self.equity(), self.margin()):
                worst = min(self.positions, key=self.gain)
                k = worst.instrument
                sign = -1 if worst.steps > 0 else 1
                quote = self.bid[k] if sign < 0 else self.ask[k]
                self.fill(0, k, sign, abs(worst.steps), quote, True, None, worst.number, None, None, False, True, None)


def number(text):
    return int(text) if text else None


def compare(folder):
    rules = json.loads((folder / "rules.json").read_text())
    wanted = (folder / "log.csv").read_text().splitlines()
    lines = (folder / "scenario.csv").read_text().splitlines()
    log = []
    broker = Broker(rules, log)
    rejected = iter(rejections(wanted))
    at = orders = 0
    # Half a cent may be rounded either way by the last bit of a sum; it is carried, so it never adds up.
    digits = rules["account"]["digits"]
    tie = 0.0 if digits is None else 1.01 * 10**-digits
    worst = 0.0
    for place, line in enumerate(lines):
        name, *fields = line.split(",")
        log.clear()
        if name == "account":
            broker.open_account(float(fields[0]), next(rejected))
            log.append(("fresh",))
        elif name == "rate":
            broker.rate[int(fields[0])] = float(fields[1])
        elif name == "order":
            orders += 1
            log.append(("answer", int(broker.submit(fields))))
        elif name == "cancel":
            done = broker.cancel(int(fields[1]))
            log.insert(0, ("answer", int(done)))
        elif name == "protect":
            log.append(("answer", int(broker.protect(int(fields[0]), number(fields[1]), number(fields[2])))))
        else:
            i = int(fields[0])
            if name == "bar":
                broker.bar(i, *(int(f) for f in fields[1:8]), number(fields[8]), float(fields[9]))
            elif name == "quote":
                broker.quote(i, *(int(f) for f in fields[1:4]), number(fields[4]), number(fields[5]))
            elif name == "trade":
                broker.trade(i, *(int(f) for f in fields[1:]))
            else:
                broker.delta(i, *(int(f) for f in fields[1:]))
            log.append(("account", broker.balance, broker.equity(), broker.margin()))
        for mine in log:
            theirs = wanted[at].split(",")
            at += 1
            scale = max(broker.turnover, 1.0)
            same = len(mine) == len(theirs) and mine[0] == theirs[0]
            for place_of, (a, b) in enumerate(zip(mine[1:], theirs[1:])):
                if isinstance(a, str) or isinstance(a, int):
                    same = same and str(a) == b
                    continue
                error = abs(a - float(b))
                # Prices, in ticks, know no turnover.
                is_price = mine[0] == "deal" and place_of == 5
                same = same and error <= (1e-6 if is_price else TOLERANCE * scale + tie)
                worst = max(worst, error / scale) if same and not is_price and error < tie / 2 + 1e-3 else worst
            if not same:
                raise Mismatch(f"{folder}: scenario line {place + 1}, log line {at}: here {mine}, there {','.join(theirs)}")
    if at != len(wanted):
        raise Mismatch(f"{folder}: the log has {len(wanted) - at} lines more")
    return orders, len(wanted), worst


def rejections(wanted):
    """Chance is an input: the orders that the broker rejected, account by account."""
    accounts = []
    for line in wanted:
        if line == "fresh":
            accounts.append(set())
        elif line.endswith("Rejected"):
            accounts[-1].add(int(line.split(",")[1]))
    return accounts


def main():
    if len(sys.argv) != 2 or not pathlib.Path(sys.argv[1]).is_dir():
        sys.exit("usage: ledger.py FOLDER, as written by `cambist check ledger --out FOLDER`")
    total = 0
    for folder in sorted(p for p in pathlib.Path(sys.argv[1]).iterdir() if (p / "rules.json").exists()):
        try:
            orders, lines, worst = compare(folder)
        except Mismatch as error:
            sys.exit(f"error: {error}")
        total += orders
        print(f"{folder.name}: {orders} orders, {lines} lines equal, largest error {worst:.1e} of its turnover")
    if total == 0:
        sys.exit(f"error: {sys.argv[1]} holds no accounts")
    print(f"all {total} orders agree within {TOLERANCE:.0e} of the turnover")


if __name__ == "__main__":
    main()
