//! The books of an account at a broker: balance, positions, margin. Netting and hedging.
//!
//! Change of equity = profit + change of unrealised − commission + rebates + financing; spread, slippage and impact are in
//! the prices of deals, and are counted beside them.

use cambist_core::{BarEvent, PriceSide, Side};

use serde::{Deserialize, Serialize};

use crate::costs::CostSplit;
use crate::instrument::Calculation;
use crate::notice::Deal;
use crate::rules::{AccountRules, Books, BrokerRules, Listing, MarginLevels};

/// What is held.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Holding {
    /// Its number.
    pub id: u64,
    /// Index of the instrument.
    pub instrument: usize,
    /// Signed volume, in lot steps; never zero.
    pub steps: i64,
    /// Average price of entry, in ticks.
    pub entry: f64,
    /// Stop loss, in ticks.
    pub stop_loss: Option<i64>,
    /// Take profit, in ticks.
    pub take_profit: Option<i64>,
    /// Swap, funding and rent so far, in the deposit currency; booked when it is closed.
    pub financing: f64,
    /// Opened inside the bar that is being lived through.
    pub(crate) fresh: bool,
}

/// What an instrument's market is to the account.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// What a long is worth, in ticks.
    pub bid: f64,
    /// What a short must pay, in ticks.
    pub ask: f64,
    /// Deposit currency for one of the profit currency.
    pub rate: f64,
}

impl Holding {
    /// What somebody says is held of the only instrument: `steps` that were entered at `entry` ticks, with what was paid or received for
    /// holding them.
    #[must_use]
    pub fn told(id: u64, steps: i64, entry: f64, levels: [Option<i64>; 2], financing: f64) -> Self {
        let [stop_loss, take_profit] = levels;
        Self { id, instrument: 0, steps, entry, stop_loss, take_profit, financing, fresh: false }
    }
}

impl Mark {
    /// What `bar` leaves at its close to an account that has not moved the price, when its prices are of `side`.
    #[must_use]
    pub fn of_close(bar: &BarEvent, side: PriceSide, rate: f64) -> Self {
        let (bid, ask) = quotes(side, bar.close as f64, bar.spread as f64, 0.0);
        Self { bid, ask, rate }
    }

    /// The price at which `steps` would be closed.
    #[inline]
    #[must_use]
    pub fn exit(&self, steps: i64) -> f64 {
        if steps > 0 { self.bid } else { self.ask }
    }
}

/// Bid and ask when the price of `side` is `price` and they are `spread` apart, for an account that has moved it by `shift`.
/// Rule 8.
#[inline]
pub(crate) fn quotes(side: PriceSide, price: f64, spread: f64, shift: f64) -> (f64, f64) {
    let (bid, ask) = match side {
        PriceSide::Bid => (price, price + spread),
        PriceSide::Ask => (price - spread, price),
        PriceSide::Mid | PriceSide::Last => (price - spread / 2.0, price + spread / 2.0),
    };
    (bid + shift.min(0.0), ask + shift.max(0.0))
}

/// Everything booked since the account was opened, in the deposit currency.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Profit of what was closed, before commission.
    pub profit: f64,
    /// Costs; those of spread, slippage and impact are in profit already.
    pub costs: CostSplit,
    /// Rebates received.
    pub rebates: f64,
    /// Financing of what was closed.
    pub financing: f64,
    /// Value traded, both ways.
    pub turnover: f64,
    /// Deals made.
    pub deals: u64,
}

/// Long and short volume of an instrument, with its value at entry.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Legs {
    long: i64,
    short: i64,
    long_ticks: f64,
    short_ticks: f64,
}

impl Legs {
    #[inline]
    pub(crate) fn add(&mut self, steps: i64, price: f64) {
        if steps > 0 {
            self.long += steps;
            self.long_ticks += steps as f64 * price;
        } else {
            self.short -= steps;
            self.short_ticks -= steps as f64 * price;
        }
    }

    /// Takes `closed` steps of `held`, counted at `price`, away.
    #[inline]
    pub(crate) fn close(&mut self, held: &Holding, closed: i64, price: f64) {
        let (leg, ticks) = match held.steps > 0 {
            true => (&mut self.long, &mut self.long_ticks),
            false => (&mut self.short, &mut self.short_ticks),
        };
        *leg -= closed;
        *ticks -= closed as f64 * price;
    }

    /// Margin, in the profit currency: of the larger leg's surplus at its average price, and of what both legs cover at
    /// the average price of both by the hedged margin (MetaTrader 5 help, "Margin calculation: hedging").
    #[inline]
    pub(crate) fn margin(&self, listing: &Listing, leverage: f64) -> f64 {
        let instrument = &listing.instrument;
        let (more, less, ticks) = match self.long >= self.short {
            true => (self.long, self.short, self.long_ticks),
            false => (self.short, self.long, self.short_ticks),
        };
        if more == 0 {
            return 0.0;
        }
        let surplus = instrument.margin(more - less, ticks / more as f64, leverage);
        if less == 0 {
            return surplus;
        }
        let both = (self.long_ticks + self.short_ticks) / (self.long + self.short) as f64;
        let hedged = instrument.hedged_margin / instrument.contract_size;
        surplus + instrument.margin(less, both, leverage) * hedged
    }
}

/// What booking a fill did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Booked {
    pub(crate) position: u64,
    pub(crate) closed: i64,
    pub(crate) profit: f64,
    pub(crate) financing: f64,
}

/// A fill, as the books need it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fill {
    pub(crate) instrument: usize,
    pub(crate) steps: i64,
    pub(crate) price: f64,
    pub(crate) stop_loss: Option<i64>,
    pub(crate) take_profit: Option<i64>,
    pub(crate) closes: Option<u64>,
    pub(crate) id: u64,
    pub(crate) fresh: bool,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    balance: f64,
    /// What rounding left over, for the next deal.
    residue: f64,
    holdings: Vec<Holding>,
    totals: Totals,
}

impl Account {
    /// A flat account with `balance`.
    #[must_use]
    pub fn new(balance: f64) -> Self {
        Self { balance, residue: 0.0, holdings: Vec::new(), totals: Totals::default() }
    }

    pub(crate) fn reset(&mut self, balance: f64) {
        self.holdings.clear();
        (self.balance, self.residue, self.totals) = (balance, 0.0, Totals::default());
    }

    /// Money, without what is open.
    #[inline]
    #[must_use]
    pub fn balance(&self) -> f64 {
        self.balance
    }

    /// What is held, oldest first.
    #[inline]
    #[must_use]
    pub fn holdings(&self) -> &[Holding] {
        &self.holdings
    }

    #[inline]
    pub(crate) fn holdings_mut(&mut self) -> &mut [Holding] {
        &mut self.holdings
    }

    /// What was booked.
    #[inline]
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Signed volume of an instrument, in lot steps.
    #[inline]
    #[must_use]
    pub fn steps(&self, instrument: usize) -> i64 {
        self.holdings.iter().filter(|h| h.instrument == instrument).map(|h| h.steps).sum()
    }

    /// Profit of `holding` at its mark, financing apart, in the deposit currency.
    #[inline]
    #[must_use]
    pub fn unrealised(holding: &Holding, listing: &Listing, mark: &Mark) -> f64 {
        let ticks = mark.exit(holding.steps) - holding.entry;
        ticks * holding.steps as f64 * listing.instrument.step_tick_value() * mark.rate
    }

    /// Profit of `holdings` of one instrument at `mark`, financing included, in the deposit currency.
    #[inline]
    #[must_use]
    pub fn open_profit(holdings: &[Holding], listing: &Listing, mark: &Mark) -> f64 {
        holdings.iter().map(|h| Self::unrealised(h, listing, mark) + h.financing).sum::<f64>()
    }

    /// Balance, and what closing everything at the marks would add, commission apart.
    #[inline]
    pub(crate) fn equity(&self, rules: &BrokerRules, mark: impl Fn(usize) -> Mark) -> f64 {
        let open = self
            .holdings
            .iter()
            .map(|h| Self::unrealised(h, &rules.listings[h.instrument], &mark(h.instrument)) + h.financing);
        self.balance + open.sum::<f64>()
    }

    #[inline]
    pub(crate) fn legs(&self, instrument: usize, listing: &Listing, mark: &Mark) -> Legs {
        let mut legs = Legs::default();
        for holding in self.holdings.iter().filter(|h| h.instrument == instrument) {
            legs.add(holding.steps, margin_price(holding, listing, mark));
        }
        legs
    }

    /// Margin of all that is held, in the deposit currency.
    #[inline]
    pub(crate) fn margin(&self, rules: &BrokerRules, mark: impl Fn(usize) -> Mark) -> f64 {
        if self.holdings.is_empty() {
            return 0.0;
        }
        let leverage = rules.account.leverage;
        let of = |(i, listing): (usize, &Listing)| {
            let mark = mark(i);
            self.legs(i, listing, &mark).margin(listing, leverage) * mark.rate
        };
        rules.listings.iter().enumerate().map(of).sum()
    }

    /// The holding that signed `steps` would close, if any: in a netting account the instrument's, in a hedging account
    /// the one named.
    #[inline]
    pub(crate) fn closable(
        &self,
        books: Books,
        instrument: usize,
        steps: i64,
        closes: Option<u64>,
    ) -> Option<usize> {
        self.holdings.iter().position(|h| {
            h.instrument == instrument
                && (h.steps > 0) != (steps > 0)
                && match books {
                    Books::Netting => true,
                    Books::Hedging => Some(h.id) == closes,
                }
        })
    }

    /// Changes what is held; `tick_value` is a tick of a step in the deposit currency. A fill beyond what it closes opens:
    /// in a netting account that is a reversal.
    pub(crate) fn book(&mut self, books: Books, fill: &Fill, tick_value: f64) -> Booked {
        let Fill { instrument, steps, price, .. } = *fill;
        let mut booked = Booked { position: fill.id, closed: 0, profit: 0.0, financing: 0.0 };
        let mut opens = steps;
        if let Some(at) = self.closable(books, instrument, steps, fill.closes) {
            let held = &mut self.holdings[at];
            let closed = steps.abs().min(held.steps.abs());
            let sign = held.steps.signum();
            booked.position = held.id;
            booked.closed = closed;
            booked.profit = (price - held.entry) * (sign * closed) as f64 * tick_value;
            booked.financing = held.financing * (closed as f64 / held.steps.abs() as f64);
            held.financing -= booked.financing;
            held.steps -= sign * closed;
            opens = steps + sign * closed;
            if held.steps == 0 {
                self.holdings.remove(at);
            }
        }
        if opens != 0 {
            booked.position = self.open(books, fill, opens, booked.closed > 0, booked.position);
        }
        booked
    }

    fn open(&mut self, books: Books, fill: &Fill, steps: i64, reverses: bool, reversed: u64) -> u64 {
        // In a hedging account, an order that fills in parts makes one position.
        let same = |h: &&mut Holding| match books {
            Books::Netting => h.instrument == fill.instrument,
            Books::Hedging => h.id == fill.id,
        };
        if let Some(held) = self.holdings.iter_mut().find(same) {
            let all = held.steps + steps;
            held.entry = (held.entry * held.steps as f64 + fill.price * steps as f64) / all as f64;
            held.steps = all;
            held.stop_loss = fill.stop_loss.or(held.stop_loss);
            held.take_profit = fill.take_profit.or(held.take_profit);
            held.fresh |= fill.fresh;
            return held.id;
        }
        let id = if reverses { reversed } else { fill.id };
        self.holdings.push(Holding {
            id,
            instrument: fill.instrument,
            steps,
            entry: fill.price,
            stop_loss: fill.stop_loss,
            take_profit: fill.take_profit,
            financing: 0.0,
            fresh: fill.fresh,
        });
        id
    }

    /// Posts a deal to the balance: its profit and financing less commission, plus rebate.
    pub(crate) fn post(&mut self, deal: &Deal, value: f64, rules: &AccountRules) {
        let totals = &mut self.totals;
        totals.profit += deal.profit;
        totals.costs.add(&deal.costs);
        totals.rebates += deal.rebate;
        totals.financing += deal.financing;
        totals.turnover += value;
        totals.deals += 1;
        let amount = deal.profit + deal.financing + deal.rebate - deal.costs.commission;
        self.balance += match rules.digits {
            None => amount,
            Some(digits) => {
                let unit = 10f64.powi(digits as i32);
                let exact = amount + self.residue;
                let posted = (exact * unit).round() / unit;
                self.residue = exact - posted;
                posted
            }
        };
    }
}

impl MarginLevels {
    /// Whether the broker calls.
    #[inline]
    pub(crate) fn calls(&self, equity: f64, margin: f64) -> bool {
        match *self {
            Self::Percent { call, .. } => 100.0 * equity < call * margin,
            Self::Money { call, .. } => equity < call,
        }
    }

    /// Whether the broker closes. What is held for no margin at all is closed when nothing is left.
    #[inline]
    pub(crate) fn stops_out(&self, equity: f64, margin: f64) -> bool {
        match *self {
            Self::Percent { stop_out, .. } if margin > 0.0 => 100.0 * equity <= stop_out * margin,
            Self::Percent { .. } => equity <= 0.0,
            Self::Money { stop_out, .. } => equity <= stop_out,
        }
    }
}

/// The price at which margin counts `holding`: that of its entry, or what it is worth now where it must be paid in full, so
/// that what it has gained buys nothing before it is sold.
#[inline]
pub(crate) fn margin_price(holding: &Holding, listing: &Listing, mark: &Mark) -> f64 {
    match listing.instrument.calculation {
        Calculation::Exchange => mark.exit(holding.steps),
        Calculation::Forex | Calculation::Cfd | Calculation::CfdLeverage => holding.entry,
    }
}

/// The side that closes `steps`.
#[inline]
pub(crate) fn closing_side(steps: i64) -> Side {
    Side::of(-steps)
}
