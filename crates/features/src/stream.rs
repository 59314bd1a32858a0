//! One bar at a time: base bars in, rows of features out.

use std::collections::BTreeSet;

use cambist_core::aggregate::Aggregator;
use cambist_core::indicator::Anchored;
use cambist_core::{Bar, MarketTape, Timeframe};

use crate::family::{Indicator, MAX_OUTPUTS};
use crate::spec::{FeatureError, FeatureSpec};

/// The indicators of one timeframe with their latest values.
struct Group {
    timeframe: Timeframe,
    /// None for the base timeframe.
    aggregator: Option<Aggregator>,
    members: Vec<Member>,
}

struct Member {
    spec: FeatureSpec,
    indicator: Box<dyn Indicator>,
    first_column: usize,
    ready: bool,
}

/// Running features over base bars.
pub struct FeatureStream {
    names: Vec<String>,
    groups: Vec<Group>,
    row: Vec<f64>,
}

impl FeatureStream {
    /// Features `texts` (see [`FeatureSpec::parse`]) over bars of `base`.
    ///
    /// # Errors
    /// When one cannot be read, is named twice, or there is none.
    pub fn new(texts: &[String], base: Timeframe) -> Result<Self, FeatureError> {
        let mut stream = Self { names: Vec::new(), groups: Vec::new(), row: Vec::new() };
        let mut seen = BTreeSet::new();
        for text in texts {
            let spec = FeatureSpec::parse(text, base)?;
            let first_column = stream.names.len();
            for name in spec.columns() {
                if !seen.insert(name.clone()) {
                    return Err(FeatureError::Twice(name));
                }
                stream.names.push(name);
            }
            let indicator = running(&spec);
            let timeframe = spec.timeframe;
            let member = Member { spec, indicator, first_column, ready: false };
            match stream.groups.iter_mut().find(|g| g.timeframe == timeframe) {
                Some(group) => group.members.push(member),
                None => stream.groups.push(Group {
                    timeframe,
                    aggregator: if timeframe == base { None } else { Aggregator::new(base, timeframe) },
                    members: vec![member],
                }),
            }
        }
        if stream.names.is_empty() {
            return Err(FeatureError::Empty);
        }
        stream.row = vec![0.0; stream.names.len()];
        Ok(stream)
    }

    /// Names of the columns, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Takes the next closed base bar. The row is what is known at that bar's close; `None` while any column is
    /// warming up.
    pub fn push(&mut self, bar: &Bar) -> Option<&[f64]> {
        let row = &mut self.row;
        for Group { aggregator, members, .. } in &mut self.groups {
            match aggregator {
                None => members.iter_mut().for_each(|m| m.push(bar, row)),
                Some(aggregator) => {
                    aggregator.push(bar, |longer| members.iter_mut().for_each(|m| m.push(&longer, row)));
                }
            }
        }
        let ready = self.groups.iter().all(|g| g.members.iter().all(|m| m.ready));
        ready.then_some(self.row.as_slice())
    }
}

impl Member {
    fn push(&mut self, bar: &Bar, row: &mut [f64]) {
        let mut raw = [0.0; MAX_OUTPUTS];
        self.ready = self.indicator.push(bar, &mut raw);
        if self.ready {
            let family = self.spec.family;
            let columns = self.first_column..self.first_column + family.features.len();
            (family.relate)(bar, &raw, &self.spec.parameters, &mut row[columns]);
        }
    }
}

fn running(spec: &FeatureSpec) -> Box<dyn Indicator> {
    let (make, parameters) = (spec.family.make, spec.parameters.clone());
    match spec.family.segment {
        None => make(&parameters),
        Some(bars) => {
            let n_bars = bars(&parameters);
            Box::new(Anchored::new(Box::new(move || make(&parameters)), spec.timeframe, n_bars))
        }
    }
}

/// The raw values of one indicator over a whole tape, as the literature has them: a row a bar, `None` while warming up.
///
/// # Errors
/// When `text` cannot be read.
pub fn raw_values(text: &str, tape: &MarketTape) -> Result<Vec<Option<[f64; MAX_OUTPUTS]>>, FeatureError> {
    let mut indicator = running(&FeatureSpec::parse(text, tape.timeframe)?);
    let mut out = [0.0; MAX_OUTPUTS];
    Ok(tape.bars().map(|bar| indicator.push(&bar, &mut out).then_some(out)).collect())
}
