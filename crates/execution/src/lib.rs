//! Costs, fills and the ledger: the only place where money moves. Pure, without input or output.
//!
//! [`broker::Broker`] is the whole of it: instruments, orders, margin, financing, fed by market events. [`engine::Engine`]
//! is its short form for one market order a bar under costs in proportion, which `tests/short_form.rs` proves equal:
//! an order decided at the close of bar *t* is filled at the open of bar *t + 1* ([`engine::Engine::open`]), then the
//! position is carried to that bar's close ([`engine::Engine::carry`]), paying for what it borrows, and is liquidated on
//! the way if its worst price ruins the account.

pub mod account;
pub mod broker;
pub mod costs;
pub mod engine;
pub mod feed;
pub mod financing;
pub mod instrument;
pub mod ledger;
pub mod notice;
pub mod presets;
pub mod rim;
pub mod rules;
pub mod tariff;

pub use account::{Account, Holding, Mark, Totals};
pub use broker::{Broker, BrokerState};
pub use cambist_risk::{Approved, Order};
pub use costs::{CostModel, CostSplit};
pub use engine::{BarPrices, Engine, EngineRules};
pub use feed::{FeedError, FeedRules, SpreadModel, bar_events};
pub use financing::{Funding, FundingError, Swap, SwapMode};
pub use instrument::{Calculation, Instrument, InstrumentError, LotRule, ShortSale};
pub use ledger::{Ledger, Position};
pub use notice::{Deal, Ended, Log, Notice, Reason, Refused};
pub use rim::{Decimal, RimError};
pub use rules::{
    AccountRules, AfterGap, Books, BrokerRules, ExecutionRules, Latency, Listing, MarginLevels, Shortfall,
};
pub use tariff::{Commission, Impact, Slippage};
