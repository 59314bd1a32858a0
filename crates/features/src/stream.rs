//! One bar at a time: base bars in, rows of features out.

use std::collections::BTreeSet;

use cambist_core::aggregate::Aggregator;
use cambist_core::indicator::Anchored;
use cambist_core::{Bar, MarketTape, Timeframe, UnixNanos};

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

/// Bars of `base` before a row that can change what features `texts` say there: of recursive ones up to two segments between anchors,
/// of others as many as warm them up; one more bar of a longer timeframe, which may have begun before.
///
/// # Errors
/// When one cannot be read.
pub fn look_back(texts: &[String], base: Timeframe) -> Result<usize, FeatureError> {
    let mut most = 0;
    for text in texts {
        let spec = FeatureSpec::parse(text, base)?;
        let longer = (spec.timeframe.nanos() / base.nanos()) as usize;
        let own = match spec.family.segment {
            Some(segment) => 2 * segment(&spec.parameters),
            None => warm_up(&spec),
        };
        most = most.max((own + usize::from(longer > 1)) * longer);
    }
    Ok(most)
}

/// Bars that an indicator over a window needs before its first value.
fn warm_up(spec: &FeatureSpec) -> usize {
    const MOST: usize = 1_000_000;
    let (mut indicator, mut out) = (running(spec), [0.0; MAX_OUTPUTS]);
    let step = spec.timeframe.nanos();
    (1..=MOST)
        .find(|&n| {
            let price = 100.0 + (n % 7) as f64;
            let bar = Bar {
                open_time: UnixNanos(n as i64 * step),
                open: price,
                high: price + 1.0,
                low: price - 1.0,
                close: price,
                volume: 1.0,
                spread: 0.0,
                coverage: 1.0,
            };
            indicator.push(&bar, &mut out)
        })
        .unwrap_or(MOST)
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
