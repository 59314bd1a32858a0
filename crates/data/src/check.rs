//! What can be wrong with bars, and what the user wants done about it.
//!
//! Every rule looks at the bar itself or back at bars already kept, never ahead: cleaning must not leak (invariant 2).

mod outlier;
mod screen;

use std::fmt;

use cambist_core::UnixNanos;
use serde::{Deserialize, Serialize};

use crate::error::DataError;
pub use screen::screen;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A bar older than the one before it.
    Unordered,
    /// A bar with the stamp of an earlier one.
    Duplicate,
    /// Bars missing between two neighbours.
    Gap,
    /// A price or volume that is not a finite number, or a negative volume or spread.
    NotANumber,
    /// High below low, or open or close outside of them.
    ImpossibleOhlc,
    /// A price of zero or less.
    NonPositive,
    /// A stamp that is no multiple of the timeframe.
    OffGrid,
    /// A high, low or close far from the last close, on the scale of the returns before it; the first 255 returns make
    /// the scale and are not judged.
    Outlier,
}

impl Fault {
    /// All kinds, in the order they are checked and reported.
    pub const ALL: [Self; 8] = [
        Self::NotANumber,
        Self::NonPositive,
        Self::ImpossibleOhlc,
        Self::OffGrid,
        Self::Unordered,
        Self::Duplicate,
        Self::Outlier,
        Self::Gap,
    ];

    /// The name users write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unordered => "unordered",
            Self::Duplicate => "duplicate",
            Self::Gap => "gap",
            Self::NotANumber => "not_a_number",
            Self::ImpossibleOhlc => "impossible_ohlc",
            Self::NonPositive => "non_positive",
            Self::OffGrid => "off_grid",
            Self::Outlier => "outlier",
        }
    }
}

/// What is done about a kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The bar stays as it is.
    Keep,
    /// The bar is left out.
    Drop,
    /// The import is refused.
    Fail,
}

impl std::str::FromStr for Choice {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "keep" => Ok(Self::Keep),
            "drop" => Ok(Self::Drop),
            "fail" => Ok(Self::Fail),
            _ => Err(format!("'{text}' is not one of keep, drop, fail")),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::Fail => "fail",
        })
    }
}

/// What the user wants done, per kind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Choices {
    /// For [`Fault::Unordered`]; a tape is in order, so `keep` is not possible.
    pub unordered: Choice,
    /// For [`Fault::Duplicate`]; the first bar of a stamp stays, so `keep` is not possible.
    pub duplicate: Choice,
    /// For [`Fault::Gap`]; there is no bar to drop, so `drop` is not possible.
    pub gap: Choice,
    /// For [`Fault::NotANumber`]; `keep` is not possible.
    pub not_a_number: Choice,
    /// For [`Fault::ImpossibleOhlc`].
    pub impossible_ohlc: Choice,
    /// For [`Fault::NonPositive`]; returns need positive prices, so `keep` is not possible.
    pub non_positive: Choice,
    /// For [`Fault::OffGrid`].
    pub off_grid: Choice,
    /// For [`Fault::Outlier`].
    pub outlier: Choice,
    /// How many robust standard deviations away a return must be to be an outlier.
    pub outlier_deviations: f64,
}

impl Default for Choices {
    /// Refuse what cannot be right, keep what can: gaps and outliers happen in true markets.
    fn default() -> Self {
        Self {
            unordered: Choice::Fail,
            duplicate: Choice::Fail,
            gap: Choice::Keep,
            not_a_number: Choice::Fail,
            impossible_ohlc: Choice::Fail,
            non_positive: Choice::Fail,
            off_grid: Choice::Fail,
            outlier: Choice::Keep,
            outlier_deviations: 40.0,
        }
    }
}

impl Choices {
    /// The choice for `fault`.
    #[must_use]
    pub fn of(&self, fault: Fault) -> Choice {
        match fault {
            Fault::Unordered => self.unordered,
            Fault::Duplicate => self.duplicate,
            Fault::Gap => self.gap,
            Fault::NotANumber => self.not_a_number,
            Fault::ImpossibleOhlc => self.impossible_ohlc,
            Fault::NonPositive => self.non_positive,
            Fault::OffGrid => self.off_grid,
            Fault::Outlier => self.outlier,
        }
    }

    /// The choice for `fault`, to be changed.
    pub fn of_mut(&mut self, fault: Fault) -> &mut Choice {
        match fault {
            Fault::Unordered => &mut self.unordered,
            Fault::Duplicate => &mut self.duplicate,
            Fault::Gap => &mut self.gap,
            Fault::NotANumber => &mut self.not_a_number,
            Fault::ImpossibleOhlc => &mut self.impossible_ohlc,
            Fault::NonPositive => &mut self.non_positive,
            Fault::OffGrid => &mut self.off_grid,
            Fault::Outlier => &mut self.outlier,
        }
    }

    fn possible(&self) -> Result<(), DataError> {
        let refuse = |fault: Fault, choice: Choice, why| {
            Err(DataError::ImpossibleChoice { kind: fault.name(), choice: choice.to_string(), why })
        };
        for (fault, why) in [
            (Fault::Unordered, "a tape is in order of time; drop the late bars or fail"),
            (Fault::Duplicate, "a tape has one bar a stamp; drop the later ones or fail"),
            (Fault::NotANumber, "a value that is no number cannot enter a ledger; drop the bar or fail"),
            (Fault::NonPositive, "returns need positive prices; drop the bar or fail"),
        ] {
            if self.of(fault) == Choice::Keep {
                return refuse(fault, Choice::Keep, why);
            }
        }
        if self.gap == Choice::Drop {
            return refuse(Fault::Gap, Choice::Drop, "there is no bar to drop; keep the gap or fail");
        }
        if !(self.outlier_deviations.is_finite() && self.outlier_deviations > 0.0) {
            return Err(DataError::BadParameter(format!(
                "outlier_deviations is {}: it must be a positive number",
                self.outlier_deviations
            )));
        }
        Ok(())
    }
}

/// What was found of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The kind.
    pub fault: Fault,
    /// How often.
    pub count: usize,
    /// What was done.
    pub choice: Choice,
    /// The first few, with file and line.
    pub examples: Vec<String>,
}

/// A hole in the series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Open time of the first missing bar.
    pub from: UnixNanos,
    /// Open time of the first bar after the hole.
    pub until: UnixNanos,
    /// Bars missing.
    pub n_bars: i64,
}

/// What a check saw; stored with the data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Rows read.
    pub n_read: usize,
    /// Bars kept.
    pub n_kept: usize,
    /// Bars without volume (no fault: quiet minutes are quiet).
    pub n_without_volume: usize,
    /// What was found, one entry a kind, kinds without a finding included.
    pub findings: Vec<Finding>,
    /// Holes, longest first.
    pub gaps: Vec<Gap>,
    /// The choices in force.
    pub choices: Choices,
}

impl Report {
    /// How often a kind was found.
    #[must_use]
    pub fn count(&self, fault: Fault) -> usize {
        self.findings.iter().find(|f| f.fault == fault).map_or(0, |f| f.count)
    }
}
