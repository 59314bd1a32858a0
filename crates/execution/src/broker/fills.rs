//! A fill: how much, at which price, at what cost. Rules 2, 8, 9 and 10.

use cambist_core::{FillPolicy, Side, Ticket, UnixNanos};

use super::window::Window;
use super::{BrokerState, Working};
use crate::account::{Fill, Holding, Mark, closing_side, margin_price};
use crate::costs::CostSplit;
use crate::instrument::Calculation;
use crate::notice::{Deal, Ended, Log, Notice, Reason};
use crate::rules::{BrokerRules, Listing, Shortfall};

/// What is to be filled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want {
    pub(super) order: u64,
    pub(super) instrument: usize,
    pub(super) side: Side,
    pub(super) steps: i64,
    /// The quote it meets, in ticks.
    pub(super) quote: f64,
    /// Whether it takes liquidity.
    pub(super) taker: bool,
    /// The worst price it accepts, in ticks.
    pub(super) worst: Option<f64>,
    pub(super) closes: Option<u64>,
    pub(super) stop_loss: Option<i64>,
    pub(super) take_profit: Option<i64>,
    pub(super) inside: bool,
    pub(super) all_or_nothing: bool,
    pub(super) reason: Reason,
    pub(super) charged: f64,
    pub(super) due: f64,
}

impl Want {
    pub(super) fn closing(held: &Holding, quote: f64, reason: Reason) -> Self {
        Self {
            order: 0,
            instrument: held.instrument,
            side: closing_side(held.steps),
            steps: held.steps.abs(),
            quote,
            taker: reason != Reason::TakeProfit,
            worst: None,
            closes: Some(held.id),
            stop_loss: None,
            take_profit: None,
            inside: false,
            all_or_nothing: false,
            reason,
            charged: 0.0,
            due: 0.0,
        }
    }
}

/// Price of a fill, and what of it is slippage and impact, all in ticks.
#[derive(Debug, Clone, Copy)]
struct Priced {
    price: f64,
    slippage: f64,
    impact: f64,
    shift: f64,
}

impl BrokerState {
    /// Serves order `at` as far as volume and money go; returns how far to go on in the list.
    #[expect(clippy::too_many_arguments, reason = "what serving is: an order, a quote and how it is met")]
    pub(super) fn serve(
        &mut self,
        rules: &BrokerRules,
        window: &mut Window,
        at: usize,
        quote: f64,
        worst: Option<f64>,
        taker: bool,
        inside: bool,
        log: &mut impl Log,
    ) -> usize {
        let Working { id, ticket, left, due, charged, .. } = self.working[at];
        let Ticket { instrument, side, fill, closes, stop_loss, take_profit, .. } = ticket;
        let closing = closes.map(|id| self.account.holdings().iter().any(|h| h.id == id));
        if closing == Some(false) {
            self.end(at, window.opened, Ended::NothingToClose, log);
            return 0;
        }
        let want = Want {
            order: id,
            instrument,
            side,
            steps: left,
            quote,
            taker,
            worst,
            closes,
            stop_loss,
            take_profit,
            inside,
            all_or_nothing: fill == FillPolicy::Fok,
            reason: Reason::Client,
            charged,
            due,
        };
        let (allowed, short_of) = self.allowed(rules, window, &want);
        let filled =
            if allowed > 0 { self.fill(rules, window, &Want { steps: allowed, ..want }, log) } else { 0 };
        let working = &mut self.working[at];
        working.left -= filled;
        if working.left == 0 {
            self.working.remove(at);
            return 0;
        }
        match short_of {
            Some(why) if why != Ended::NoVolume || fill != FillPolicy::Return => {
                self.end(at, window.opened, why, log);
                0
            }
            _ => 1,
        }
    }

    /// How much of `want` volume, rules and money allow, and what it lacked.
    fn allowed(&self, rules: &BrokerRules, window: &Window, want: &Want) -> (i64, Option<Ended>) {
        let listing = &rules.listings[want.instrument];
        let there = window.capacity[usize::from(want.side == Side::Sell)].max(0);
        if want.all_or_nothing && want.steps > there {
            return (0, Some(Ended::NoVolume));
        }
        let mut steps = want.steps.min(there);
        let mut short_of = (steps < want.steps).then_some(Ended::NoVolume);
        let signed = want.side.sign() * want.steps;
        let closable = self
            .account
            .closable(rules.account.books, want.instrument, signed, want.closes)
            .map_or(0, |at| self.account.holdings()[at].steps.abs());
        // An order that names a position closes it, and opens nothing.
        if steps > closable && (want.closes.is_some() || !listing.instrument.may_open(want.side)) {
            let why = if want.closes.is_some() { Ended::NothingToClose } else { Ended::LongOnly };
            (steps, short_of) = (closable, Some(why));
        }
        if steps > closable {
            let affordable = closable + self.affordable(rules, window, want, closable, steps - closable);
            if affordable < steps {
                let refused = rules.account.shortfall == Shortfall::Reject || want.all_or_nothing;
                (steps, short_of) = (if refused { 0 } else { affordable }, Some(Ended::NoMoney));
            }
        }
        if want.all_or_nothing && steps < want.steps {
            steps = 0;
        }
        (steps, short_of)
    }

    /// How many of `opening` steps, after `closing` are closed, the free margin carries. Rule 10.
    fn affordable(
        &self,
        rules: &BrokerRules,
        window: &Window,
        want: &Want,
        closing: i64,
        opening: i64,
    ) -> i64 {
        let i = want.instrument;
        let listing = &rules.listings[i];
        // Judged at the prices the fill is made at, which inside a bar are not those of its open.
        let mark = match want.side {
            Side::Buy => Mark { bid: want.quote - window.spread, ask: want.quote, ..self.mark(i) },
            Side::Sell => Mark { bid: want.quote, ask: want.quote + window.spread, ..self.mark(i) },
        };
        let then = |other: usize| if other == i { mark } else { self.mark(other) };
        let leverage = rules.account.leverage;
        let sign = want.side.sign();
        let priced = price(listing, window, want, closing + opening, rules.account.whole_ticks);
        let tick_value = listing.instrument.step_tick_value() * mark.rate;
        // What the fill loses against the marks that equity is counted at, and its commission, a step.
        let exit = mark.exit(sign);
        let behind = ((priced.price - exit) * sign as f64).max(0.0) * tick_value;
        let of_one = |steps: i64| {
            let value = listing.instrument.value(steps, priced.price) * mark.rate;
            listing.commission.of(
                listing.instrument.to_lots(steps),
                value,
                !want.taker,
                want.charged,
                want.due,
            )
        };
        let all = closing + opening;
        let commission = of_one(all).max(0.0) / all as f64;
        let mut legs = self.account.legs(i, listing, &mark);
        let before = legs.margin(listing, leverage);
        if let Some(at) = self.account.closable(rules.account.books, i, sign * all, want.closes) {
            let held = &self.account.holdings()[at];
            legs.close(held, closing, margin_price(held, listing, &mark));
        }
        let closed = legs.margin(listing, leverage);
        let opened_at = match listing.instrument.calculation {
            Calculation::Exchange => exit,
            Calculation::Forex | Calculation::Cfd | Calculation::CfdLeverage => priced.price,
        };
        legs.add(sign * opening, opened_at);
        let after = legs.margin(listing, leverage);
        let margin = self.account.margin(rules, then) + (closed - before) * mark.rate;
        let free = self.account.equity(rules, then) - margin - (behind + commission) * closing as f64;
        let per_step = (after - closed) * mark.rate / opening as f64 + behind + commission;
        // A breath of slack: an order sized to the money there is passes.
        let slack = 1e-9 * (1.0 + free.abs());
        if per_step <= 0.0 || per_step * opening as f64 <= free + slack {
            return opening;
        }
        if free <= 0.0 { 0 } else { (free / per_step) as i64 }
    }

    /// Fills `want` as far as the capacity goes, whatever the money; returns the steps filled.
    pub(super) fn fill(
        &mut self,
        rules: &BrokerRules,
        window: &mut Window,
        want: &Want,
        log: &mut impl Log,
    ) -> i64 {
        let listing = &rules.listings[want.instrument];
        let which = usize::from(want.side == Side::Sell);
        let forced = want.reason == Reason::StopOut;
        let steps = if forced { want.steps } else { want.steps.min(window.capacity[which].max(0)) };
        if steps == 0 {
            return 0;
        }
        let instrument = &listing.instrument;
        let rate = self.mark(want.instrument).rate;
        let priced = price(listing, window, want, steps, rules.account.whole_ticks);
        let value = instrument.value(steps, priced.price) * rate;
        let tick_value = instrument.step_tick_value() * rate;
        let own =
            listing.commission.of(instrument.to_lots(steps), value, !want.taker, want.charged, want.due);
        let fill = Fill {
            instrument: want.instrument,
            steps: want.side.sign() * steps,
            price: priced.price,
            stop_loss: want.stop_loss,
            take_profit: want.take_profit,
            closes: want.closes,
            id: if want.order > 0 { want.order } else { self.next_id },
            fresh: want.inside,
        };
        let booked = self.account.book(rules.account.books, &fill, tick_value);
        let money = |ticks: f64| ticks * steps as f64 * tick_value;
        let deal = Deal {
            order: want.order,
            position: booked.position,
            time: if want.inside { window.closed } else { window.opened },
            instrument: want.instrument,
            side: want.side,
            steps,
            closed: booked.closed,
            price: priced.price,
            profit: booked.profit,
            financing: booked.financing,
            costs: CostSplit {
                commission: own.max(0.0),
                spread: money(window.spread / 2.0),
                slippage: money(priced.slippage),
                impact: money(priced.impact),
            },
            rebate: (-own).max(0.0),
            reason: want.reason,
        };
        self.account.post(&deal, value, &rules.account);
        log.tell(Notice::Deal(deal));
        if let Some(working) = self.working.iter_mut().find(|w| w.id == want.order) {
            working.charged += own.max(0.0);
            working.due += raw_commission(listing, steps, value, want.taker);
        }
        if !forced {
            window.capacity[which] = window.capacity[which].saturating_sub(steps);
            if window.shared {
                window.capacity = [window.capacity[which]; 2];
            }
        }
        self.markets[want.instrument].shift += want.side.sign() as f64 * priced.shift;
        steps
    }

    /// A market order of the broker's own making.
    pub(super) fn insert(&mut self, ticket: Ticket, now: UnixNanos) {
        let id = self.next_id;
        self.next_id += 1;
        self.working.push(Working {
            id,
            ticket,
            left: ticket.steps,
            sent: now,
            arrives: now,
            bars_away: 0,
            arrived: true,
            waits: false,
            due: 0.0,
            charged: 0.0,
        });
    }
}

/// What a fill would pay if there were no minimum.
fn raw_commission(listing: &Listing, steps: i64, value: f64, taker: bool) -> f64 {
    let free = crate::tariff::Commission { minimum: 0.0, ..listing.commission };
    free.of(listing.instrument.to_lots(steps), value, !taker, 0.0, 0.0).max(0.0)
}

/// Rule 8.
#[inline]
fn price(listing: &Listing, window: &Window, want: &Want, steps: i64, whole_ticks: bool) -> Priced {
    if !want.taker {
        return Priced { price: want.quote, slippage: 0.0, impact: 0.0, shift: 0.0 };
    }
    let sign = want.side.sign() as f64;
    let slippage = listing.slippage.ticks(want.quote, window.volatility);
    let (impact, shift) = match listing.impact.is_some() {
        true => listing.impact.ticks(steps, window.volume, want.quote, window.volatility),
        false => (0.0, 0.0),
    };
    let mut price = want.quote + sign * (slippage + impact);
    if whole_ticks {
        price = if sign > 0.0 { price.ceil() } else { price.floor() };
    }
    if let Some(worst) = want.worst {
        price = if sign > 0.0 { price.min(worst) } else { price.max(worst) };
    }
    // What rounding and the limit leave of it: slippage is what is not impact.
    let beyond = (price - want.quote) * sign;
    let impact = impact.min(beyond.max(0.0));
    Priced { price, slippage: (beyond - impact).max(0.0), impact, shift }
}
