//! What the live loop hears, and what it says: the inputs and outputs that the journal holds.

use cambist_bridge::{DealRecord, OrderId, Outcome};
use cambist_core::{Bar, Side, UnixNanos};
use cambist_execution::{Holding, Mark};
use serde::{Deserialize, Serialize};

/// The account, as the broker told it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was read, by our clock; on a tape by the tape's.
    pub at: UnixNanos,
    /// The broker's time before it was read.
    pub broker_time: UnixNanos,
    /// Money, without what is open.
    pub balance: f64,
    /// What is held of the symbol, oldest first.
    pub holdings: Vec<Holding>,
    /// Bid and ask in ticks at the bar's close, where the broker knows them; else they follow from the bar.
    pub mark: Option<Mark>,
    /// Deposit currency for one of the profit currency.
    pub rate: f64,
    /// Bid and ask now, in ticks.
    pub quote: [f64; 2],
    /// Signed lot steps of market orders that are under way.
    pub under_way: i64,
    /// Deals of the account since the last snapshot; the same one may be told again.
    pub deals: Vec<DealRecord>,
    /// Why nothing can be opened now, if so: the market is closed, the bridge is paused.
    pub shut: Option<String>,
}

impl Snapshot {
    /// Signed lot steps held.
    #[must_use]
    pub fn steps(&self) -> i64 {
        self.holdings.iter().map(|held| held.steps).sum()
    }
}

/// An order that may be sent, once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Made again by the same decision.
    pub id: OrderId,
    /// Which way.
    pub side: Side,
    /// Volume, in lot steps.
    pub steps: i64,
    /// Stop loss, in ticks.
    pub stop_loss: Option<i64>,
    /// Take profit, in ticks.
    pub take_profit: Option<i64>,
    /// The position it closes, by its ticket; in a netting account the one that it reduces.
    pub closes: Option<u64>,
    /// Whether it only reduces: it must never open.
    pub reduces: bool,
}

impl Intent {
    /// Signed lot steps.
    #[must_use]
    pub fn signed(&self) -> i64 {
        self.side.sign() * self.steps
    }
}

/// What was decided at the close of a bar, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Follows the decision through to its fill: the id of its first order, whether there is one or not.
    pub id: OrderId,
    /// The close of the bar.
    pub close: UnixNanos,
    /// Equity at that close.
    pub equity: f64,
    /// Units held.
    pub units: f64,
    /// The target held before.
    pub held: f64,
    /// What the policy saw.
    pub observation: Vec<f32>,
    /// What it did.
    pub action: Vec<f32>,
    /// The target position it asks for, in [−1, 1].
    pub target: f64,
    /// Which market it is.
    pub regime: Option<u8>,
    /// Mid price the decision reckons with.
    pub price: f64,
    /// What is to be sent.
    pub intents: Vec<Intent>,
    /// Why no more is, or what for.
    pub reason: String,
    /// Whether limits, operators, the bridge or the state of the books kept it from what its own path would have sent.
    #[serde(default)]
    pub barred: bool,
}

/// How books and broker compare, one line each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// A fill of ours.
    Fill {
        /// Its order.
        id: OrderId,
        /// Signed lot steps.
        steps: i64,
        /// Price.
        price: f64,
    },
    /// A stop loss or take profit closed it.
    Stopped {
        /// Signed lot steps.
        steps: i64,
        /// Price.
        price: f64,
    },
    /// The broker closed it for want of margin.
    StoppedOut {
        /// Signed lot steps.
        steps: i64,
        /// Price.
        price: f64,
    },
    /// Our symbol was traded, by no order of this loop: by hand, or by the bridge's own switch.
    Manual {
        /// Ticket of the deal.
        deal: u64,
        /// Signed lot steps.
        steps: i64,
    },
    /// Money was paid in or out.
    Deposit {
        /// How much.
        amount: f64,
    },
    /// Another symbol of the account, or a charge.
    Other {
        /// Ticket of the deal.
        deal: u64,
        /// What it did to the balance.
        amount: f64,
    },
    /// The position is not what the deals come to.
    Position {
        /// What our books say, in signed lot steps.
        books: i64,
        /// What the broker says.
        broker: i64,
    },
    /// The balance is not what the deals come to.
    Balance {
        /// What our books say.
        books: f64,
        /// What the broker says.
        broker: f64,
    },
    /// The stop that an entry carried is gone.
    StopMissing {
        /// For how many seconds it has been looked for.
        seconds: f64,
    },
}

impl Finding {
    /// Money that was paid in or out.
    #[must_use]
    pub fn deposit(&self) -> Option<f64> {
        match self {
            Self::Deposit { amount } => Some(*amount),
            _ => None,
        }
    }

    /// Whether an operator should look at once.
    #[must_use]
    pub fn is_grave(&self) -> bool {
        self.disagrees() || matches!(self, Self::StopMissing { .. } | Self::StoppedOut { .. })
    }

    /// Whether trading must wait for an operator.
    #[must_use]
    pub fn disagrees(&self) -> bool {
        matches!(self, Self::Manual { .. } | Self::Position { .. } | Self::Balance { .. })
    }
}

/// Who said something, and what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// No more entries; what is held stays.
    Pause,
    /// On again, after a pause or a kill.
    Resume,
    /// No more trading; flat, if `flatten`.
    Kill {
        /// Whether what is held is closed at once.
        flatten: bool,
    },
    /// The broker's books are taken over as they are.
    Adopt,
    /// Another artefact decides from the next bar on.
    Swap {
        /// Where it lies.
        folder: std::path::PathBuf,
        /// Its hash.
        hash: String,
    },
    /// Limits as the config has them now.
    Rules {
        /// All of them.
        rules: crate::rules::Rules,
    },
    /// Another policy decides beside, without trading; or none does.
    Shadow {
        /// Where it lies, and its hash.
        artefact: Option<(std::path::PathBuf, String)>,
    },
    /// Another limit of the live loop's own.
    Limit {
        /// Which.
        name: String,
        /// What it is from now on; none for no limit.
        value: Option<f64>,
    },
}

/// A record of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// The journal's first: what it is of. The bars before the first decision lie beside it.
    Opened(Box<Opened>),
    /// A bar that nobody decided on: it closed while we were away.
    Missed {
        /// The bar.
        bar: Bar,
    },
    /// A bar, the account, and what was decided: an order in it may be sent only when this is durable.
    Step {
        /// Our clock.
        at: UnixNanos,
        /// The bar.
        bar: Bar,
        /// The account.
        account: Box<Snapshot>,
        /// How the books compare. Output.
        findings: Vec<Finding>,
        /// What was decided. Output.
        decision: Box<Decision>,
        /// What a policy that only watches decided. Output.
        shadow: Option<Box<Decision>>,
        /// Our books: balance, and signed lot steps. Output.
        #[serde(default)]
        books: Option<(f64, i64)>,
    },
    /// Between bars: the account, and whether an entry's stop is there.
    Look {
        /// Our clock.
        at: UnixNanos,
        /// The account.
        account: Box<Snapshot>,
        /// How the books compare. Output.
        findings: Vec<Finding>,
    },
    /// Between bars: the account, and what must be closed.
    Flatten {
        /// Our clock.
        at: UnixNanos,
        /// The account.
        account: Box<Snapshot>,
        /// How the books compare. Output.
        findings: Vec<Finding>,
        /// What is to be sent. Output.
        intents: Vec<Intent>,
        /// Why.
        why: String,
    },
    /// What became of an order.
    Outcome {
        /// Our clock.
        at: UnixNanos,
        /// When it was sent.
        sent: UnixNanos,
        /// Its id.
        id: OrderId,
        /// What became of it.
        outcome: Outcome,
    },
    /// Somebody, or the loop itself, changed what may be done.
    Commanded {
        /// Our clock.
        at: UnixNanos,
        /// Who.
        by: String,
        /// Why.
        why: String,
        /// What.
        command: Command,
        /// The account, where the command is about it.
        account: Option<Box<Snapshot>>,
    },
}

impl Record {
    /// The bar that it tells of, if it does.
    #[must_use]
    pub fn bar(&self) -> Option<&Bar> {
        match self {
            Self::Missed { bar } | Self::Step { bar, .. } => Some(bar),
            _ => None,
        }
    }
}

/// What a journal is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// Our clock.
    pub at: UnixNanos,
    /// Number of the account.
    pub account: u64,
    /// The broker's name of the instrument.
    pub symbol: String,
    /// Paper or live.
    pub mode: String,
    /// Where the artefact lay.
    pub artefact: std::path::PathBuf,
    /// Its hash.
    pub hash: String,
    /// The account as it was found.
    pub baseline: Snapshot,
    /// Limits of the loop's own.
    pub rules: crate::rules::Rules,
    /// Revision of the code.
    pub revision: String,
}
