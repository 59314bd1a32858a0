//! The rules of a broker: which instruments it lists, on what terms, and what an account may do.

use cambist_core::{PriceSide, ServerClock};
use serde::{Deserialize, Serialize};

use crate::engine::EngineRules;
use crate::financing::{Funding, Swap};
use crate::instrument::{Instrument, InstrumentError, ShortSale};
use crate::tariff::{Commission, Impact, Slippage};

/// How long an order is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Latency {
    /// Milliseconds.
    Millis(u32),
    /// Bars, of whatever length is fed.
    Bars(u32),
}

/// What becomes of an order whose market was away when it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterGap {
    /// It is served when the market comes back.
    Fill,
    /// It expires when the market was away for longer than so many seconds.
    ExpireAfter(u32),
}

/// An instrument and the terms on which it is traded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// What is traded.
    pub instrument: Instrument,
    /// The broker's clock, whose midnight charges swap and ends day orders, and whose hours spreads are listed by.
    pub clock: ServerClock,
    /// Which price its market events are made of.
    pub price_side: PriceSide,
    /// Commission.
    pub commission: Commission,
    /// Slippage of what takes liquidity.
    pub slippage: Slippage,
    /// Impact of what takes liquidity.
    pub impact: Impact,
    /// Largest share of a bar's volume, or of a quote's depth, that this account may be; more is filled later.
    pub participation: Option<f64>,
    /// Swap.
    pub swap: Swap,
    /// Funding.
    pub funding: Funding,
    /// How long orders are under way.
    pub latency: Latency,
    /// Across gaps.
    pub after_gap: AfterGap,
    /// Share of client orders that the broker rejects for no reason of the client's.
    pub reject_share: f64,
}

/// Whether opposite positions cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Books {
    /// One position an instrument.
    Netting,
    /// Every opening order makes a position of its own.
    Hedging,
}

/// In what margin levels are written (`ACCOUNT_MARGIN_SO_MODE`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarginLevels {
    /// Equity over margin used, in percent.
    Percent {
        /// Below it the broker calls.
        call: f64,
        /// At or below it the broker closes.
        stop_out: f64,
    },
    /// Equity, in money.
    Money {
        /// Below it the broker calls.
        call: f64,
        /// At or below it the broker closes.
        stop_out: f64,
    },
}

/// What happens to an order the account cannot pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shortfall {
    /// It is refused whole, as MetaTrader 5 does.
    Reject,
    /// It is cut to what the free margin pays.
    Cut,
}

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AccountRules {
    /// Netting or hedging.
    pub books: Books,
    /// Value over margin.
    pub leverage: f64,
    /// Margin call and stop-out.
    pub levels: MarginLevels,
    /// Orders that cost more than there is.
    pub shortfall: Shortfall,
    /// Decimals of money in which deals are posted; none posts them as they are. What rounding leaves over is carried to
    /// the next deal, so that it never adds up.
    pub digits: Option<u32>,
    /// Whether fills are moved to the next whole tick, against the account.
    pub whole_ticks: bool,
}

/// A broker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BrokerRules {
    /// What it lists.
    pub listings: Vec<Listing>,
    /// What accounts may do.
    pub account: AccountRules,
    /// Seed of what it decides by chance: which orders it rejects.
    pub seed: u64,
}

/// Costs and account, in the short form or as a broker's rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionRules {
    /// Costs in proportion.
    Short(EngineRules),
    /// A broker.
    Broker(BrokerRules),
}

impl Listing {
    /// `instrument`, traded at its quotes, with nothing to pay beyond the spread.
    #[must_use]
    pub fn free(instrument: Instrument, price_side: PriceSide) -> Self {
        Self {
            instrument,
            clock: ServerClock::UTC,
            price_side,
            commission: Commission::default(),
            slippage: Slippage::default(),
            impact: Impact::default(),
            participation: None,
            swap: Swap::default(),
            funding: Funding::default(),
            latency: Latency::Millis(0),
            after_gap: AfterGap::Fill,
            reject_share: 0.0,
        }
    }

    /// The same terms with costs `costs` times and latency `delay` times as high: what is paid, not what is received. Spread and
    /// funding are not among them, since they come with the market.
    #[must_use]
    pub fn scaled(&self, costs: f64, delay: u32) -> Self {
        let Self { commission: c, slippage: s, impact: i, .. } = self;
        Self {
            commission: Commission {
                per_lot: c.per_lot * costs,
                taker_bp: c.taker_bp * costs,
                maker_bp: if c.maker_bp > 0.0 { c.maker_bp * costs } else { c.maker_bp },
                minimum: c.minimum * costs,
            },
            slippage: Slippage { fixed: s.fixed * costs, volatility: s.volatility * costs },
            impact: Impact { temporary: i.temporary * costs, permanent: i.permanent * costs, ..*i },
            swap: self.swap.dearer(costs),
            instrument: Instrument {
                short: match self.instrument.short {
                    ShortSale::Borrowed(rate) => ShortSale::Borrowed(rate * costs),
                    short => short,
                },
                ..self.instrument.clone()
            },
            latency: match self.latency {
                Latency::Millis(ms) => Latency::Millis(ms * delay),
                Latency::Bars(bars) => Latency::Bars(bars * delay),
            },
            ..self.clone()
        }
    }

    /// Refuses terms that make no sense.
    ///
    /// # Errors
    /// The first field that does not.
    pub fn validate(&self) -> Result<(), InstrumentError> {
        self.instrument.validate()?;
        let fraction = |value: f64| (0.0..=1.0).contains(&value);
        let charge = |value: f64| value.is_finite() && value >= 0.0;
        let Self { commission, slippage, impact, .. } = self;
        let rules: [(&'static str, bool, f64, &'static str); 12] = [
            ("commission_per_lot", charge(commission.per_lot), commission.per_lot, "at least 0"),
            ("taker_bp", charge(commission.taker_bp), commission.taker_bp, "at least 0"),
            ("maker_bp", commission.maker_bp.abs() < 1e4, commission.maker_bp, "a number of basis points"),
            ("commission_minimum", charge(commission.minimum), commission.minimum, "at least 0"),
            ("slippage_ticks", charge(slippage.fixed), slippage.fixed, "at least 0"),
            ("slippage_volatility", charge(slippage.volatility), slippage.volatility, "at least 0"),
            ("impact_temporary", charge(impact.temporary), impact.temporary, "at least 0"),
            ("impact_permanent", charge(impact.permanent), impact.permanent, "at least 0"),
            ("impact_half_life", charge(impact.half_life), impact.half_life, "bars, at least 0"),
            (
                "participation",
                self.participation.is_none_or(|p| fraction(p) && p > 0.0),
                self.participation.unwrap_or(1.0),
                "a share of the volume, above 0 and at most 1",
            ),
            (
                "server_offset_minutes",
                self.clock.is_one(),
                f64::from(self.clock.offset_minutes),
                "at most 14 hours (840) from UTC, and whole hours (60) where daylight saving moves it",
            ),
            ("reject_share", fraction(self.reject_share), self.reject_share, "from 0 to 1"),
        ];
        match rules.into_iter().find(|(_, holds, ..)| !holds) {
            Some((field, _, value, expected)) => Err(InstrumentError {
                name: self.instrument.name.clone(),
                field,
                value: value.to_string(),
                expected,
            }),
            None => Ok(()),
        }
    }
}
