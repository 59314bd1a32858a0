//! A whole column of rows at once: `[bars × features]`, shared by every environment, agent and fold.

use cambist_core::{Bar, MarketTape};

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

/// The bars up to one row: what is known when it closes.
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    tape: &'a MarketTape,
    row: usize,
}

impl Past<'_> {
    /// The bar `back` bars ago, 0 for the one that just closed; None before the first.
    #[must_use]
    pub fn bar(&self, back: usize) -> Option<Bar> {
        self.row.checked_sub(back).map(|row| self.tape.bar(row))
    }
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

    /// The same with a column of one's own at the end: `feature` sees the bars up to a row and no further, and says its
    /// value there, or None while it warms up.
    #[must_use]
    pub fn with_own(
        mut self,
        name: &str,
        tape: &MarketTape,
        feature: impl Fn(&Past<'_>) -> Option<f32>,
    ) -> Self {
        let width = self.width();
        let mut values = Vec::with_capacity(self.values.len() + self.n_rows());
        for row in 0..self.n_rows() {
            values.extend_from_slice(&self.values[row * width..(row + 1) * width]);
            let own = feature(&Past { tape, row });
            values.push(own.unwrap_or(0.0));
            self.ready[row] &= own.is_some();
        }
        self.names.push(name.to_owned());
        Self { values, ..self }
    }

    /// The same with further columns at the end: `rows` says their values at a row, or None while they warm up.
    #[must_use]
    pub fn with_columns<'a>(mut self, names: &[String], rows: impl Fn(usize) -> Option<&'a [f32]>) -> Self {
        let (width, more) = (self.width(), names.len());
        let mut values = Vec::with_capacity(self.n_rows() * (width + more));
        for row in 0..self.n_rows() {
            values.extend_from_slice(&self.values[row * width..(row + 1) * width]);
            match rows(row) {
                Some(own) => values.extend_from_slice(own),
                None => values.resize(values.len() + more, 0.0),
            }
            self.ready[row] &= rows(row).is_some();
        }
        self.names.extend_from_slice(names);
        Self { values, ..self }
    }

    /// Number of columns.
    #[inline]
    #[must_use]
    pub fn width(&self) -> usize {
        self.names.len()
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.ready.len()
    }

    /// The `n` rows up to and with row `last`, oldest first; none when one of them is not ready.
    #[inline]
    #[must_use]
    pub fn ready_rows(&self, last: usize, n: usize) -> Option<&[f32]> {
        let ready = self.ready.get((last + 1).checked_sub(n)?..=last)?;
        ready.iter().all(|&ready| ready).then(|| self.rows(last, n))
    }

    /// The `n` rows up to and with row `last`, oldest first.
    ///
    /// # Panics
    /// When they begin before the first or end past the last.
    #[inline]
    #[must_use]
    pub fn rows(&self, last: usize, n: usize) -> &[f32] {
        &self.values[(last + 1 - n) * self.width()..(last + 1) * self.width()]
    }
}
