//! A whole column of rows at once: `[bars × features]`, shared by every environment, agent and fold.

use cambist_core::MarketTape;

use crate::spec::FeatureError;
use crate::stream::FeatureStream;

/// Raw features (before any normaliser), row-major, one row a bar of the tape.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureView {
    /// Names of the columns.
    pub names: Vec<String>,
    /// `[n_rows × names.len()]`; zero where a row is not ready.
    pub values: Vec<f32>,
    /// Whether a row is warmed up.
    pub ready: Vec<bool>,
}

impl FeatureView {
    /// Runs the stream of `features` over `tape`.
    ///
    /// # Errors
    /// When a feature cannot be made.
    pub fn compute(features: &[String], tape: &MarketTape) -> Result<Self, FeatureError> {
        let mut stream = FeatureStream::new(features, tape.timeframe)?;
        let names = stream.names().to_vec();
        let mut values = Vec::with_capacity(tape.len() * names.len());
        let mut ready = Vec::with_capacity(tape.len());
        for bar in tape.bars() {
            let row = stream.push(&bar);
            ready.push(row.is_some());
            match row {
                Some(row) => values.extend(row.iter().map(|&v| v as f32)),
                None => values.resize(values.len() + names.len(), 0.0),
            }
        }
        Ok(Self { names, values, ready })
    }

    /// Number of columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.names.len()
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.ready.len()
    }

    /// Row `index`.
    ///
    /// # Panics
    /// When `index` is past the end.
    #[must_use]
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.width()..(index + 1) * self.width()]
    }
}
