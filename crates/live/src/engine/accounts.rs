//! Accounts: held against our books, and as decisions see them.

use cambist_core::UnixNanos;
use cambist_decide::{AccountView, QuoteView};
use cambist_execution::{Account, Mark};

use super::Engine;
use crate::words::{Finding, Snapshot};

impl Engine {
    /// Looks at the account between bars.
    pub fn look(&mut self, at: UnixNanos, account: &Snapshot) -> Vec<Finding> {
        self.compare(at, account, false)
    }

    /// Compares the books with the broker's.
    pub(super) fn compare(&mut self, at: UnixNanos, account: &Snapshot, at_close: bool) -> Vec<Finding> {
        self.n_looks += 1;
        let in_play = !self.pending.is_empty() || account.under_way != 0;
        let instrument = &self.mind.deployment.listing().instrument;
        let mut findings = self.books.reconcile(account, instrument, in_play, at_close);
        for amount in findings.iter().filter_map(Finding::deposit) {
            self.initial += amount;
            self.desk.paid_in(amount);
            self.guard.paid_in(amount);
            self.results.paid_in(amount);
        }
        self.standing.note(account);
        findings.extend(self.standing.stop_missing(at, account, self.rules.stop_grace));
        if self.books.are_settled() && !in_play {
            self.settled = self.close;
        }
        if let Some(finding) = findings.iter().find(|finding| finding.disagrees()) {
            self.standing.disagree(&format!("{finding:?}"));
        }
        findings
    }

    /// The account at the bar's close, as decisions see it, with the mark it is counted at.
    pub(super) fn view(&self, account: &Snapshot) -> (AccountView, QuoteView) {
        let deployment = &self.mind.deployment;
        let (listing, terms) = (deployment.listing(), &deployment.terms);
        let of_bar =
            |seen: crate::market::Seen| Mark::of_close(&seen.event, listing.price_side, account.rate);
        let [bid, ask] = account.quote;
        let mark = account.mark.or_else(|| self.mind.market.last().map(of_bar)).unwrap_or(Mark {
            bid,
            ask,
            rate: account.rate,
        });
        let unrealised = Account::open_profit(&account.holdings, listing, &mark);
        let quote = QuoteView::of_ticks(mark.bid, mark.ask, terms.tickets.tick_size);
        let view = AccountView {
            equity: account.balance + unrealised,
            initial: self.initial,
            units: account.steps() as f64 * terms.tickets.step_units,
            unrealised,
            price: quote.mid * mark.rate,
            held_target: self.held,
        };
        (view, quote)
    }
}
