//! What is known of the market when a bar closes: one bar at a time, with the bits of the whole tape.

use std::collections::VecDeque;

use cambist_core::{Bar, BarEvent, MarketTape, UnixNanos};
use cambist_decide::Outlook;
use cambist_execution::feed::outlooks;
use cambist_execution::{FeedError, bar_events};
use cambist_features::FeatureStream;
use cambist_regime::RegimeStream;

use crate::deployment::{Deployment, DeploymentError};

/// Running features, regimes and events over the bars of one instrument.
pub struct Market {
    features: FeatureStream,
    regime: Option<RegimeStream>,
    /// Whether the regimes' probabilities are columns of the features.
    observes: bool,
    /// The last rows of features, oldest first, and whether each is ready.
    rows: VecDeque<(bool, Vec<f32>)>,
    window: usize,
    /// The last bars, as many as an event needs, and up to twice as many.
    tail: MarketTape,
    n_tail: usize,
    last: Option<Seen>,
}

/// What is known at the close of a bar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// The bar, as a broker lives through it.
    pub event: BarEvent,
    /// What sizing and stops look at.
    pub outlook: Outlook,
    /// Which market it is; none while that is not known.
    pub regime: Option<u8>,
}

impl Market {
    /// As `deployment` sees it, before the first bar.
    ///
    /// # Errors
    /// When its features cannot be made, or its normaliser is of others.
    pub fn new(deployment: &Deployment) -> Result<Self, DeploymentError> {
        let features = FeatureStream::new(&deployment.features, deployment.timeframe)?;
        let regime = deployment.regime.as_ref().and_then(|model| model.stream(deployment.timeframe));
        let names = &deployment.normaliser.names;
        let states = deployment.regime.iter().flat_map(|model| &model.names);
        let with_states: Vec<String> =
            features.names().iter().cloned().chain(states.map(|name| format!("regime.{name}"))).collect();
        let observes = *names == with_states && names.len() > features.names().len();
        if !observes && names != features.names() {
            return Err(DeploymentError::Unfit {
                folder: deployment.folder.clone(),
                what: format!("its normaliser is of {names:?}, its features are {:?}", features.names()),
                advice: "features of one's own are not served live; train it with those of `cambist data features`",
            });
        }
        let side = deployment.listing().price_side;
        let terms = &deployment.terms;
        Ok(Self {
            features,
            regime,
            observes,
            rows: VecDeque::new(),
            window: deployment.decision.window.max(1),
            tail: MarketTape::empty(
                deployment.instrument.clone(),
                deployment.timeframe,
                side,
                terms.volume_kind,
            ),
            n_tail: (terms.feed.volatility_bars + 2).max(terms.atr_bars + 1),
            last: None,
        })
    }

    /// Takes the next closed bar.
    ///
    /// # Errors
    /// When the bar lacks what the broker's terms need.
    pub fn push(&mut self, deployment: &Deployment, bar: &Bar) -> Result<Seen, FeedError> {
        let width = deployment.normaliser.names.len();
        let row = self.features.push(bar);
        let mut ready = row.is_some();
        let mut values: Vec<f32> = row.map_or(Vec::new(), |row| row.iter().map(|&v| v as f32).collect());
        let mut label = None;
        if let Some(regime) = &mut self.regime {
            let states = regime.push(bar);
            label = states.and_then(|row| row.last()).map(|&state| state as u8);
            if self.observes {
                ready &= states.is_some();
                values.extend(states.iter().flat_map(|row| &row[..row.len() - 1]).map(|&p| p as f32));
            }
        }
        values.resize(width, 0.0);
        if self.rows.len() == self.window {
            self.rows.pop_front();
        }
        self.rows.push_back((ready, values));
        if self.tail.len() >= 2 * self.n_tail {
            self.tail = self.tail.slice(self.tail.len() + 1 - self.n_tail..self.tail.len());
        }
        self.tail.push(*bar);
        let from = self.tail.len().saturating_sub(self.n_tail);
        let tail = self.tail.slice(from..self.tail.len());
        let terms = &deployment.terms;
        let none = UnixNanos(0);
        let event =
            bar_events(&tail, deployment.listing(), &terms.feed)?.last().copied().unwrap_or(BarEvent {
                open_time: none,
                close_time: none,
                open: 0,
                high: 0,
                low: 0,
                close: 0,
                spread: 0,
                volume: None,
                volatility: 0.0,
            });
        let outlook = outlooks(&tail, &terms.feed, terms.atr_bars).pop().unwrap_or_default();
        let seen = Seen { event, outlook, regime: label };
        self.last = Some(seen);
        Ok(seen)
    }

    /// What the last bar showed.
    #[must_use]
    pub fn last(&self) -> Option<Seen> {
        self.last
    }

    /// Writes the features a decision sees now, oldest row first, to `out`; false, and nothing is written, while any of them is not ready.
    pub fn features(&self, out: &mut Vec<f32>) -> bool {
        out.clear();
        let ready = self.rows.len() == self.window && self.rows.iter().all(|(ready, _)| *ready);
        if ready {
            self.rows.iter().for_each(|(_, row)| out.extend_from_slice(row));
        }
        ready
    }
}
