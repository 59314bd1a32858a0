//! What users write: `rsi(14)`, `bollinger(20, 2)`, `4h:ema(50)`.

use cambist_core::Timeframe;

use crate::family::{FAMILIES, Family, Parameter};

/// Why a feature cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FeatureError {
    /// The text cannot be read.
    #[error(
        "feature '{0}': write a name, maybe numbers in brackets, maybe a timeframe before it, as in rsi(14) or 4h:ema(50)"
    )]
    Syntax(String),
    /// No such family.
    #[error("feature '{text}': there is no '{name}'; there are {}", FAMILIES.iter().map(|f| f.name).collect::<Vec<_>>().join(", "))]
    Unknown {
        /// What was written.
        text: String,
        /// The name in it.
        name: String,
    },
    /// A number is out of range.
    #[error("feature '{text}': {parameter} is {value}, it must be {expected}")]
    Parameter {
        /// What was written.
        text: String,
        /// Which number.
        parameter: &'static str,
        /// What it is.
        value: f64,
        /// What it should be.
        expected: &'static str,
    },
    /// Too many numbers.
    #[error("feature '{text}': it has {given} numbers, {name} takes at most {taken}")]
    TooMany {
        /// What was written.
        text: String,
        /// The family.
        name: &'static str,
        /// How many were given.
        given: usize,
        /// How many are taken.
        taken: usize,
    },
    /// A timeframe that cannot be made of the base bars.
    #[error("feature '{text}': bars of {timeframe} cannot be made from bars of {base}")]
    Timeframe {
        /// What was written.
        text: String,
        /// The timeframe in it.
        timeframe: Timeframe,
        /// The bars there are.
        base: Timeframe,
    },
    /// The same column twice.
    #[error("feature column '{0}' is named twice")]
    Twice(String),
    /// Nothing to observe.
    #[error("the list of features is empty: name at least one")]
    Empty,
}

/// One indicator on one timeframe.
#[derive(Clone)]
pub struct FeatureSpec {
    /// The family.
    pub family: &'static Family,
    /// Its parameters, complete.
    pub parameters: Vec<f64>,
    /// The bars it runs on.
    pub timeframe: Timeframe,
    label: String,
}

impl FeatureSpec {
    /// Reads `text` for an observation of bars of `base`.
    ///
    /// # Errors
    /// When the text, its name or its numbers cannot be used.
    pub fn parse(text: &str, base: Timeframe) -> Result<Self, FeatureError> {
        let syntax = || FeatureError::Syntax(text.to_owned());
        let trimmed = text.trim();
        let (timeframe, call) = match trimmed.split_once(':') {
            Some((frame, call)) => (frame.trim().parse().map_err(|_| syntax())?, call.trim()),
            None => (base, trimmed),
        };
        if !timeframe.is_multiple_of(base) {
            return Err(FeatureError::Timeframe { text: text.to_owned(), timeframe, base });
        }
        let (name, arguments) = match call.split_once('(') {
            Some((name, rest)) => (name.trim(), rest.strip_suffix(')').ok_or_else(syntax)?),
            None => (call, ""),
        };
        let family = FAMILIES
            .iter()
            .find(|f| f.name == name)
            .ok_or_else(|| FeatureError::Unknown { text: text.to_owned(), name: name.to_owned() })?;
        let given: Vec<f64> = match arguments.trim() {
            "" => Vec::new(),
            list => {
                list.split(',').map(|n| n.trim().parse().map_err(|_| syntax())).collect::<Result<_, _>>()?
            }
        };
        let parameters = complete(text, family, &given)?;
        let numbers: Vec<String> = parameters.iter().map(f64::to_string).collect();
        let call =
            if numbers.is_empty() { name.to_owned() } else { format!("{name}({})", numbers.join(",")) };
        let label = if timeframe == base { call } else { format!("{timeframe}:{call}") };
        Ok(Self { family, parameters, timeframe, label })
    }

    /// Names of its columns.
    pub fn columns(&self) -> impl Iterator<Item = String> + '_ {
        let name =
            |part: &&str| if part.is_empty() { self.label.clone() } else { format!("{}.{part}", self.label) };
        self.family.features.iter().map(name)
    }
}

fn complete(text: &str, family: &'static Family, given: &[f64]) -> Result<Vec<f64>, FeatureError> {
    if given.len() > family.parameters.len() {
        return Err(FeatureError::TooMany {
            text: text.to_owned(),
            name: family.name,
            given: given.len(),
            taken: family.parameters.len(),
        });
    }
    let mut out = Vec::with_capacity(family.parameters.len());
    for (index, &(parameter, default)) in family.parameters.iter().enumerate() {
        let value = given.get(index).copied().unwrap_or(default);
        let fits = if is_width((parameter, default)) {
            value.is_finite() && value > 0.0
        } else {
            value.fract() == 0.0 && (1.0..=100_000.0).contains(&value)
        };
        if !fits {
            let expected = if is_width((parameter, default)) {
                "a positive number"
            } else {
                "a whole number from 1 to 100000"
            };
            return Err(FeatureError::Parameter { text: text.to_owned(), parameter, value, expected });
        }
        out.push(value);
    }
    Ok(out)
}

fn is_width(parameter: Parameter) -> bool {
    parameter.0 == "width"
}
