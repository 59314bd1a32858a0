//! What a sweep is asked, what it answers, and why it refuses.

use cambist_core::UnixNanos;
use cambist_runs::RunFolder;

use super::{Axis, RuleKind};

/// Why a sweep cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SweepError {
    /// An axis along which nothing changes.
    #[error(
        "a rule takes any target at once the equity, without stops or limits: {name} has no effect on it; --run tests a policy with them"
    )]
    WithoutEffect {
        /// The axis.
        name: String,
    },
    /// No such rule.
    #[error("there is no rule '{name}': choose one of {known}")]
    Rule {
        /// What was asked.
        name: String,
        /// What there is.
        known: String,
    },
    /// A parameter that makes no sense.
    #[error("{name} is {value}: it must be {expected}")]
    Parameter {
        /// Which.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        expected: String,
    },
    /// An axis that cannot be read.
    #[error("--grid {text}: write name=1,2,3 or name=from:to:step; {reason}")]
    Axis {
        /// What was written.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A parameter of the rule without values.
    #[error("the rule needs values of {missing}: give --grid {missing}=…")]
    Missing {
        /// Which.
        missing: &'static str,
    },
    /// A name that is no parameter.
    #[error(
        "'{name}' is neither a parameter of the rule ({parameters}) nor a config field such as execution.commission_bp"
    )]
    Unknown {
        /// What was written.
        name: String,
        /// What there is.
        parameters: String,
    },
    /// Every combination was left out.
    #[error("no combination of the grid makes sense: {0}")]
    Nothing(String),
    /// A column to sort by that is not there.
    #[error("there is no column '{0}' to sort by: choose return, sharpe, drawdown, trades, held or costs")]
    Column(String),
}

/// What one combination came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Last equity over the first, less one.
    pub total_return: f64,
    /// Sharpe ratio a year of the bars' simple returns; NaN when they do not vary.
    pub sharpe: f64,
    /// Deepest fall from a high, as a share of it.
    pub max_drawdown: f64,
    /// Bars on which something was traded.
    pub trades: u64,
    /// Share of the bars that ended with a position.
    pub held: f64,
    /// Costs paid over the equity at the start.
    pub costs: f64,
    /// Whether the account was ruined.
    pub ruined: bool,
}

/// A trade of a kept combination.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TradeRow {
    /// When the bar opened in which it was made.
    pub time: UnixNanos,
    /// Units bought, or sold if negative.
    pub units: f64,
    /// Value traded.
    pub value: f64,
    /// What it cost.
    pub cost: f64,
    /// Equity at that bar's close.
    pub equity: f64,
}

/// Who is tested.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A rule.
    Rule {
        /// Which.
        kind: RuleKind,
        /// Whether it is never short.
        long_only: bool,
    },
    /// The policy of a run's artefact.
    Policy(Box<RunFolder>),
}

/// What is to be swept.
#[derive(Debug, Clone)]
pub struct SweepRequest {
    /// Who.
    pub subject: Subject,
    /// Parameters of the rule, and config fields.
    pub axes: Vec<Axis>,
    /// From this time on; the first bar if none.
    pub from: Option<UnixNanos>,
    /// Up to this time; the last bar that is not sealed if none.
    pub until: Option<UnixNanos>,
    /// Whether every combination is stepped through the environment, even where the fast path can do it.
    pub by_environment: bool,
    /// What the best is chosen by.
    pub sort: Sort,
}

/// A column of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Total return.
    Return,
    /// Sharpe ratio.
    Sharpe,
    /// Drawdown, the smallest first.
    Drawdown,
    /// Trades, the fewest first.
    Trades,
    /// Share of bars held.
    Held,
    /// Costs, the lowest first.
    Costs,
}

impl std::str::FromStr for Sort {
    type Err = SweepError;

    fn from_str(text: &str) -> Result<Self, SweepError> {
        Ok(match text {
            "return" => Self::Return,
            "sharpe" => Self::Sharpe,
            "drawdown" => Self::Drawdown,
            "trades" => Self::Trades,
            "held" => Self::Held,
            "costs" => Self::Costs,
            _ => return Err(SweepError::Column(text.to_owned())),
        })
    }
}

impl Sort {
    /// What is larger the better; what is no number comes last.
    #[must_use]
    pub fn key(self, outcome: &Outcome) -> f64 {
        let key = match self {
            Self::Return => outcome.total_return,
            Self::Sharpe => outcome.sharpe,
            Self::Drawdown => -outcome.max_drawdown,
            Self::Trades => -(outcome.trades as f64),
            Self::Held => outcome.held,
            Self::Costs => -outcome.costs,
        };
        if key.is_nan() { f64::NEG_INFINITY } else { key }
    }
}
