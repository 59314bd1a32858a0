//! How an environment's account is traded: in the short form, or at a broker with all its rules.

use std::sync::Arc;

use cambist_core::{BarEvent, MarketEvent, MarketTape, Ticket, UnixNanos};
use cambist_decide::{
    AccountView, DecisionPath, Desk, GateLimits, Moment, Outlook, QuoteView, TicketRules, desk,
};
use cambist_execution::{
    Account, Approved, BarPrices, Broker, BrokerRules, CostSplit, Engine, Ledger, Refused,
};

/// Everything the full model of a single instrument needs, one copy for every environment.
#[derive(Debug, Clone)]
pub struct FullExecution {
    /// The broker: one listing.
    pub rules: Arc<BrokerRules>,
    /// One event a bar of the tape.
    pub events: Arc<[BarEvent]>,
    /// Finer bars that decide what a bar leaves open, if they are asked.
    pub finer: Option<FinerBars>,
    /// What sizing and stops look at, one a bar, known at its close; empty when they look at nothing.
    pub outlooks: Arc<[Outlook]>,
    /// Deposit currency for one of the profit currency, one a bar, known at its open; empty for one.
    pub rates: Arc<[f64]>,
    /// From targets to tickets.
    pub tickets: TicketRules,
    /// Limits of the gate.
    pub gate: GateLimits,
    /// An account whose equity falls to this share of its start is over.
    pub ruin_fraction: f64,
}

/// The finer bars of a tape. Rule 16 of the broker.
#[derive(Debug, Clone)]
pub struct FinerBars {
    /// Their events.
    pub events: Arc<[BarEvent]>,
    /// Index of the first that belongs to each bar of the tape, and their number behind the last.
    pub starts: Arc<[usize]>,
}

/// How accounts are traded.
#[derive(Debug, Clone)]
pub enum Execution {
    /// One market order a bar under costs in proportion.
    Short(Engine),
    /// A broker.
    Full(Arc<FullExecution>),
}

/// An account at a broker, with its desk.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    full: Arc<FullExecution>,
    pub(crate) broker: Broker,
    pub(crate) desk: Desk,
    /// What the broker refused since the episode began. No part of what an account goes on from.
    pub(crate) refusals: Refusals,
}

/// Orders that were refused.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Refusals {
    /// How many.
    pub n: u64,
    /// Why the last one was.
    pub last: Option<Refused>,
}

impl Refusals {
    /// Whether an order was taken; why not is noted.
    fn taken(&mut self, outcome: Result<u64, Refused>) -> bool {
        match outcome {
            Ok(_) => true,
            Err(reason) => {
                self.n += 1;
                self.last = Some(reason);
                false
            }
        }
    }
}

/// Sends `ticket`, in a hedging account in its parts. Returns whether any of it was taken.
fn submit(broker: &mut Broker, ticket: Approved<Ticket>, now: UnixNanos, refusals: &mut Refusals) -> bool {
    if broker.rules().account.books == cambist_execution::Books::Netting {
        return refusals.taken(broker.submit(ticket, now));
    }
    let held = broker.account().holdings().iter().map(|held| (held.id, held.steps));
    let parts = desk::parts(ticket, Some(held));
    let taken = parts.into_iter().filter(|part| refusals.taken(broker.submit(*part, now)));
    taken.count() > 0
}

/// The books of one environment, with how they are kept.
#[derive(Debug, Clone)]
pub(crate) enum Books {
    Short(Engine, Ledger<1>),
    Full(Box<Client>),
}

/// What has been paid and traded since the episode began.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Paid {
    pub(crate) costs: CostSplit,
    pub(crate) financing: f64,
    pub(crate) traded: f64,
}

impl Execution {
    pub(crate) fn books(&self, cash: f64) -> Books {
        match self {
            Self::Short(engine) => Books::Short(*engine, Ledger::new(cash)),
            Self::Full(full) => Books::Full(Box::new(Client {
                full: Arc::clone(full),
                broker: Broker::new(Arc::clone(&full.rules), cash),
                desk: Desk::new(full.gate),
                refusals: Refusals::default(),
            })),
        }
    }

    /// Reads a little of what [`Books::live`] will need of `row`.
    #[inline]
    pub(crate) fn touch(&self, tape: &MarketTape, row: usize) -> f64 {
        match self {
            Self::Short(_) => {
                let prices = tape.open[row] + tape.high[row] + tape.low[row] + tape.close[row];
                prices + tape.open_time[row] as f64
            }
            Self::Full(full) => {
                let event = &full.events[row];
                // An event may lie across two cache lines.
                event.open_time.0 as f64 + event.volatility + full.rates.get(row).unwrap_or(&0.0)
            }
        }
    }
}

impl Books {
    /// A flat account with `cash` at the close of `row`; `luck` names the episode.
    pub(crate) fn begin(&mut self, tape: &MarketTape, row: usize, cash: f64, luck: u64) {
        match self {
            Self::Short(_, ledger) => {
                *ledger = Ledger::new(cash);
                ledger.mark(0, tape.close[row]);
            }
            Self::Full(client) => {
                let Client { full, broker, desk, refusals } = client.as_mut();
                broker.reset(cash, luck);
                (*desk, *refusals) = (Desk::new(full.gate), Refusals::default());
                full.rate(broker, row);
                broker.on(0, &MarketEvent::Bar(full.events[row]), &mut ());
            }
        }
    }

    /// From the close of `row` to the next: the order that leads to `target`, and the next bar. Returns the target that
    /// is held then, and whether the account is ruined.
    #[inline]
    pub(crate) fn live(
        &mut self,
        path: &DecisionPath,
        tape: &MarketTape,
        row: usize,
        target: f64,
        view: &AccountView,
    ) -> (f64, bool) {
        match self {
            Self::Short(engine, ledger) => {
                let next = row + 1;
                let bar = BarPrices::of(tape, next);
                let closed = (tape.open_time[next] - tape.close_time(row).0) as f64 * 1e-9;
                let seconds = [closed, f64::from(tape.timeframe.seconds())];
                live_short(engine, ledger, path, &bar, seconds, target, view)
            }
            Self::Full(client) => client.live(path, row, target, view),
        }
    }

    #[inline]
    pub(crate) fn view(&self, held_target: f64) -> AccountView {
        match self {
            Self::Short(_, ledger) => {
                let position = ledger.position(0);
                AccountView {
                    equity: ledger.equity(),
                    initial: ledger.initial(),
                    units: position.units,
                    unrealised: position.unrealised(),
                    price: position.mark,
                    held_target,
                }
            }
            Self::Full(client) => client.full.view(&client.broker, held_target),
        }
    }

    pub(crate) fn refusals(&self) -> Refusals {
        match self {
            // It knows no rules but the limits of the gate.
            Self::Short(..) => Refusals::default(),
            Self::Full(client) => client.refusals,
        }
    }

    pub(crate) fn paid(&self) -> Paid {
        match self {
            Self::Short(_, ledger) => {
                Paid { costs: *ledger.costs(), financing: ledger.financing(), traded: ledger.traded() }
            }
            Self::Full(client) => {
                let account = client.broker.account();
                let totals = account.totals();
                let open: f64 = account.holdings().iter().map(|h| h.financing).sum();
                let financing = totals.financing + totals.rebates + open;
                Paid { costs: totals.costs, financing, traded: totals.turnover }
            }
        }
    }
}

/// A bar in the short form: the order that leads to `target` fills at the open, the position is carried to the close.
/// `seconds` lie between the last close and the open, and between open and close. Returns the target that is held then, and
/// whether the account is ruined.
#[inline]
pub fn live_short(
    engine: &Engine,
    ledger: &mut Ledger<1>,
    path: &DecisionPath,
    bar: &BarPrices,
    seconds: [f64; 2],
    target: f64,
    view: &AccountView,
) -> (f64, bool) {
    let order = path.order(target, view);
    engine.accrue(ledger, 0, seconds[0]);
    let mut held_target = view.held_target;
    if let Some(order) = order {
        engine.open(ledger, order, bar.open);
        // A purchase that the cash cuts to nothing holds nothing.
        held_target = if ledger.position(0).units == 0.0 { 0.0 } else { target };
    }
    (held_target, engine.carry(ledger, 0, bar, seconds[1]))
}

impl FullExecution {
    #[inline]
    fn rate(&self, broker: &mut Broker, row: usize) {
        if let Some(&rate) = self.rates.get(row) {
            broker.set_rate(0, rate);
        }
    }

    #[inline]
    fn quote(&self, broker: &Broker) -> QuoteView {
        let mark = broker.mark(0);
        QuoteView::of_ticks(mark.bid, mark.ask, self.tickets.tick_size)
    }

    #[inline]
    fn view(&self, broker: &Broker, held_target: f64) -> AccountView {
        let account = broker.account();
        let mark = broker.mark(0);
        let unrealised = Account::open_profit(account.holdings(), &self.rules.listings[0], mark);
        AccountView {
            equity: account.balance() + unrealised,
            initial: broker.initial(),
            units: account.steps(0) as f64 * self.tickets.step_units,
            unrealised,
            price: self.quote(broker).mid * mark.rate,
            held_target,
        }
    }
}

impl Client {
    #[inline]
    fn live(&mut self, path: &DecisionPath, row: usize, target: f64, view: &AccountView) -> (f64, bool) {
        let Self { full, broker, desk, refusals } = self;
        let now = full.events[row].close_time;
        let expected = broker.account().steps(0) + broker.in_flight(0);
        let outlook = full.outlooks.get(row).copied().unwrap_or_default();
        let moment =
            Moment { now, account: view, quote: full.quote(broker), outlook, expected, is_known: true };
        if let Ok(ticket) = desk.ticket(path, &full.tickets, target, &moment) {
            let signed = ticket.get().side.sign() * ticket.get().steps;
            if submit(broker, ticket, now, refusals) {
                desk.sent(target, signed, expected, view.held_target);
            }
        }
        full.rate(broker, row + 1);
        match &full.finer {
            None => broker.on(0, &MarketEvent::Bar(full.events[row + 1]), &mut ()),
            Some(finer) => {
                for event in &finer.events[finer.starts[row + 1]..finer.starts[row + 2]] {
                    broker.on(0, &MarketEvent::Bar(*event), &mut ());
                }
            }
        }
        let ruined = broker.equity() <= full.ruin_fraction * view.initial;
        if ruined {
            broker.liquidate(full.events[row + 1].close_time, &mut ());
        }
        let (got, under_way) = (broker.account().steps(0), broker.in_flight(0));
        (desk.held(got, under_way, view.held_target), ruined)
    }
}
