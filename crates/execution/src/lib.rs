//! Costs, fills and the ledger: the only place where money moves. Pure, without input or output.
//!
//! An order decided at the close of bar *t* is filled at the open of bar *t + 1* ([`engine::Engine::open`]), then the
//! position is carried to that bar's close ([`engine::Engine::carry`]), paying for what it borrows, and is liquidated on
//! the way if its worst price ruins the account.

pub mod costs;
pub mod engine;
pub mod ledger;

pub use cambist_risk::{Approved, Order};
pub use costs::{CostModel, CostSplit};
pub use engine::{BarPrices, Engine, EngineRules};
pub use ledger::{Ledger, Position};
