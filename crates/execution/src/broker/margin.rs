//! What time and margin do to an account: financing, margin calls, stop-outs. Rules 15, 17 and 18.

use cambist_core::time::SECONDS_PER_YEAR;
use cambist_core::{OrderKind, UnixNanos};

use super::BrokerState;
use super::fills::Want;
use super::window::Window;
use crate::account::{Account, Holding};
use crate::instrument::ShortSale;
use crate::notice::{Log, Notice, Reason};
use crate::rules::BrokerRules;

impl BrokerState {
    /// Rule 17, at the marks before `now`.
    #[inline]
    pub(super) fn finance(&mut self, rules: &BrokerRules, instrument: usize, now: UnixNanos) {
        let market = &mut self.markets[instrument];
        let (before, mark) = (market.seen.replace(now), market.mark);
        let Some(before) = before.filter(|&before| before < now && !self.account.holdings().is_empty())
        else {
            return;
        };
        let listing = &rules.listings[instrument];
        let days = listing.swap.days_between(listing.clock, before, now);
        let funding = listing.funding.between(before, now);
        let rent = match listing.instrument.short {
            ShortSale::Borrowed(rate) => rate * (now.0 - before.0) as f64 * 1e-9 / SECONDS_PER_YEAR,
            ShortSale::Contract | ShortSale::Forbidden => 0.0,
        };
        if days == 0.0 && funding == 0.0 && rent == 0.0 {
            return;
        }
        for held in self.account.holdings_mut().iter_mut().filter(|h| h.instrument == instrument) {
            let value = listing.instrument.value(held.steps, mark.exit(held.steps));
            let lots = listing.instrument.to_lots(held.steps);
            let swap = days * listing.swap.of_a_day(lots, listing.instrument.tick_value, value);
            let rented = if value < 0.0 { rent * value } else { 0.0 };
            held.financing += (swap - funding * value + rented) * mark.rate;
        }
    }

    /// Rule 15, at the worse of two prices of the window.
    #[inline]
    pub(super) fn check_margin(
        &mut self,
        rules: &BrokerRules,
        instrument: usize,
        window: &mut Window,
        prices: [f64; 2],
        log: &mut impl Log,
    ) {
        if self.account.holdings().is_empty() {
            return;
        }
        let mut worst = f64::INFINITY;
        let mut at = prices[0];
        for price in prices {
            self.move_to(instrument, window, price);
            let equity = self.equity(rules);
            if equity < worst {
                (worst, at) = (equity, price);
            }
        }
        self.move_to(instrument, window, at);
        let levels = rules.account.levels;
        let margin = self.margin(rules);
        let calls = levels.calls(worst, margin);
        if calls && !self.called {
            log.tell(Notice::MarginCall { time: window.closed, equity: worst, margin });
        }
        self.called = calls;
        if levels.stops_out(worst, margin) {
            self.stop_outs += 1;
            self.cancel_all(window.closed, log);
            self.close_losers(rules, window, log);
        }
    }

    fn close_losers(&mut self, rules: &BrokerRules, window: &mut Window, log: &mut impl Log) {
        let gain = |state: &Self, held: &Holding| {
            let mark = state.mark(held.instrument);
            Account::unrealised(held, &rules.listings[held.instrument], &mark) + held.financing
        };
        while rules.account.levels.stops_out(self.equity(rules), self.margin(rules)) {
            let holdings = self.account.holdings().iter().copied();
            let Some(loser) = holdings.min_by(|a, b| gain(self, a).total_cmp(&gain(self, b))) else { break };
            self.stop_out(rules, window, &loser, log);
        }
    }

    /// The broker closes `held` at the marks, whatever the volume.
    pub(super) fn stop_out(
        &mut self,
        rules: &BrokerRules,
        window: &mut Window,
        held: &Holding,
        log: &mut impl Log,
    ) {
        let quote = self.mark(held.instrument).exit(held.steps);
        self.fill(rules, window, &Want::closing(held, quote, Reason::StopOut), log);
    }

    /// Rule 18: a trade at `price` fills the limits that it went beyond.
    pub(super) fn rest_filled_by(
        &mut self,
        rules: &BrokerRules,
        instrument: usize,
        window: &mut Window,
        price: f64,
        log: &mut impl Log,
    ) {
        let mut at = 0;
        while let Some(working) = self.working.get(at) {
            let side = working.ticket.side;
            let rests = working.arrived && working.ticket.instrument == instrument;
            let limit = match working.ticket.kind {
                OrderKind::Limit { price: limit } if rests => limit as f64,
                _ => {
                    at += 1;
                    continue;
                }
            };
            let beyond = (limit - price) * side.sign() as f64 > 0.0;
            let full = window.capacity[0] <= 0;
            at += if beyond && !full {
                self.serve(rules, window, at, limit, None, false, false, log)
            } else {
                1
            };
        }
    }
}
