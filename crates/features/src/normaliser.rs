//! Features to zero mean and unit deviation, as seen in the training window alone.

use serde::{Deserialize, Serialize};

use crate::view::FeatureView;

/// A column whose deviation is smaller than this is constant in the training window.
const SMALLEST_DEVIATION: f64 = 1e-12;

/// Per column `clamp((x − mean) · inverse_deviation, ±clip)`; saved with the artefact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normaliser {
    /// Names of the columns it was fitted on.
    pub names: Vec<String>,
    /// Means in the training window.
    pub mean: Vec<f32>,
    /// One over the standard deviation; zero for a constant column.
    pub inverse_deviation: Vec<f32>,
    /// Bound of what comes out.
    pub clip: f32,
}

impl Normaliser {
    /// Fits on the ready rows of `view` within `rows`; no other row is looked at.
    #[must_use]
    pub fn fit(view: &FeatureView, rows: impl IntoIterator<Item = usize>, clip: f32) -> Self {
        let width = view.width();
        let ready: Vec<usize> = rows.into_iter().filter(|&r| view.ready.get(r) == Some(&true)).collect();
        let n = ready.len().max(1) as f64;
        let mut mean = vec![0.0f64; width];
        for &row in &ready {
            mean.iter_mut().zip(view.rows(row, 1)).for_each(|(m, &v)| *m += f64::from(v));
        }
        mean.iter_mut().for_each(|m| *m /= n);
        let mut square = vec![0.0f64; width];
        for &row in &ready {
            for ((s, m), &v) in square.iter_mut().zip(&mean).zip(view.rows(row, 1)) {
                *s += (f64::from(v) - m) * (f64::from(v) - m);
            }
        }
        let inverse = |s: f64| {
            let deviation = (s / n).sqrt();
            if deviation > SMALLEST_DEVIATION { (1.0 / deviation) as f32 } else { 0.0 }
        };
        Self {
            names: view.names.clone(),
            mean: mean.into_iter().map(|m| m as f32).collect(),
            inverse_deviation: square.into_iter().map(inverse).collect(),
            clip,
        }
    }

    /// Leaves every value as it is, but clipped.
    #[must_use]
    pub fn identity(names: &[String], clip: f32) -> Self {
        Self {
            names: names.to_vec(),
            mean: vec![0.0; names.len()],
            inverse_deviation: vec![1.0; names.len()],
            clip,
        }
    }

    /// Normalises one row of raw features.
    #[inline]
    pub fn apply(&self, raw: &[f32], out: &mut [f32]) {
        for (((out, &x), &mean), &inverse) in
            out.iter_mut().zip(raw).zip(&self.mean).zip(&self.inverse_deviation)
        {
            *out = ((x - mean) * inverse).clamp(-self.clip, self.clip);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_training_rows_count() {
        let mut view = FeatureView {
            names: vec!["a".into(), "b".into()],
            values: vec![1.0, 5.0, 3.0, 5.0, 5.0, 5.0, 1e6, -1e6],
            ready: vec![true; 4],
        };
        let fitted = Normaliser::fit(&view, 0..3, 10.0);
        assert_eq!(fitted.mean, [3.0, 5.0]);
        let mut out = [0.0; 2];
        fitted.apply(&[5.0, 7.0], &mut out);
        // Deviation of 1, 3, 5 is sqrt(8/3); column b is constant and stays zero.
        assert!((out[0] - 2.0 / (8.0f32 / 3.0).sqrt()).abs() < 1e-6 && out[1] == 0.0);
        fitted.apply(&[1e9, 0.0], &mut out);
        assert_eq!(out[0], 10.0);
        view.values[6] = 0.0;
        assert_eq!(Normaliser::fit(&view, 0..3, 10.0), fitted);
    }
}
