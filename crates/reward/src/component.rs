//! A component of a reward, by name.

use serde::{Deserialize, Serialize};

use crate::calmar::Calmar;
use crate::change::Change;
use crate::cost::{Cost, Turnover};
use crate::differential_downside::DifferentialDownside;
use crate::differential_sharpe::DifferentialSharpe;
use crate::drawdown::Drawdown;
use crate::holding::Holding;
use crate::log_equity::LogEquity;
use crate::time_weighted::TimeWeighted;

/// What a component remembers, in its own order; all of it is shown to the agent.
pub type Memory = [f64; 3];

/// One law of reward.
pub(crate) trait Law {
    /// The component's value for `change`.
    fn of(&self, change: &Change, memory: &mut Memory) -> f64;
    /// Names of what is remembered; as many as are used.
    fn columns(&self) -> &'static [&'static str] {
        &[]
    }
    /// What is remembered when an episode begins.
    fn begin(&self) -> Memory {
        [0.0; 3]
    }
    /// What is remembered, as numbers of the order of one.
    fn shown(&self, memory: &Memory) -> Memory {
        *memory
    }
}

/// A component.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// See [`LogEquity`].
    LogEquity(LogEquity),
    /// See [`DifferentialSharpe`].
    DifferentialSharpe(DifferentialSharpe),
    /// See [`DifferentialDownside`].
    DifferentialDownside(DifferentialDownside),
    /// See [`Drawdown`].
    Drawdown(Drawdown),
    /// See [`Calmar`].
    Calmar(Calmar),
    /// See [`Cost`].
    Cost(Cost),
    /// See [`Turnover`].
    Turnover(Turnover),
    /// See [`Holding`].
    Holding(Holding),
    /// See [`TimeWeighted`].
    TimeWeighted(TimeWeighted),
}

/// A component that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no reward component '{name}': choose from {}", Component::NAMES.join(", "))]
pub struct ComponentError {
    /// What was asked.
    pub name: String,
}

impl Component {
    /// Names of all.
    pub const NAMES: [&'static str; 9] = [
        "log_equity",
        "differential_sharpe",
        "differential_downside",
        "drawdown",
        "calmar",
        "cost",
        "turnover",
        "holding",
        "time_weighted",
    ];

    /// The component called `name`; running moments are over `bars` bars and begin at the deviation `volatility` a bar.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str, bars: f64, volatility: f64) -> Result<Self, ComponentError> {
        Ok(match name {
            "log_equity" => Self::LogEquity(LogEquity),
            "differential_sharpe" => Self::DifferentialSharpe(DifferentialSharpe { bars, volatility }),
            "differential_downside" => Self::DifferentialDownside(DifferentialDownside { bars, volatility }),
            "drawdown" => Self::Drawdown(Drawdown),
            "calmar" => Self::Calmar(Calmar),
            "cost" => Self::Cost(Cost),
            "turnover" => Self::Turnover(Turnover),
            "holding" => Self::Holding(Holding),
            "time_weighted" => Self::TimeWeighted(TimeWeighted { bars }),
            _ => return Err(ComponentError { name: name.to_owned() }),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        Self::NAMES[match self {
            Self::LogEquity(_) => 0,
            Self::DifferentialSharpe(_) => 1,
            Self::DifferentialDownside(_) => 2,
            Self::Drawdown(_) => 3,
            Self::Calmar(_) => 4,
            Self::Cost(_) => 5,
            Self::Turnover(_) => 6,
            Self::Holding(_) => 7,
            Self::TimeWeighted(_) => 8,
        }]
    }

    /// The metric of a course that it adds up to, or stands for.
    #[must_use]
    pub fn metric(&self) -> &'static str {
        match self {
            Self::LogEquity(_) => "log of last over first equity, exactly",
            Self::DifferentialSharpe(_) => "bars times the exponentially weighted Sharpe ratio at the end",
            Self::DifferentialDownside(_) => "bars times the exponentially weighted Sortino ratio at the end",
            Self::Drawdown(_) => "minus the deepest drawdown, exactly",
            Self::Calmar(_) => "log growth over the deepest drawdown, exactly",
            Self::Cost(_) => "minus costs over equity",
            Self::Turnover(_) => "minus value traded over equity",
            Self::Holding(_) => "minus squared exposure, a bar",
            Self::TimeWeighted(_) => "log of last over first equity, but for the last bars",
        }
    }

    fn law(&self) -> &dyn Law {
        match self {
            Self::LogEquity(law) => law,
            Self::DifferentialSharpe(law) => law,
            Self::DifferentialDownside(law) => law,
            Self::Drawdown(law) => law,
            Self::Calmar(law) => law,
            Self::Cost(law) => law,
            Self::Turnover(law) => law,
            Self::Holding(law) => law,
            Self::TimeWeighted(law) => law,
        }
    }

    /// Names of what it remembers.
    #[must_use]
    pub fn columns(&self) -> &'static [&'static str] {
        self.law().columns()
    }

    /// What it remembers when an episode begins.
    #[must_use]
    pub fn begin(&self) -> Memory {
        self.law().begin()
    }

    /// Its value for `change`.
    #[inline]
    pub fn of(&self, change: &Change, memory: &mut Memory) -> f64 {
        self.law().of(change, memory)
    }

    /// What it remembers, as numbers of the order of one.
    #[must_use]
    pub fn shown(&self, memory: &Memory) -> Memory {
        self.law().shown(memory)
    }
}
