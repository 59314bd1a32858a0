//! Loops over whole arrays: sums, norms, Adam.

use super::{Instructions, Work, prefetch_to_write, with};

/// The numbers of an Adam step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Factor of the gradient (norm clip).
    pub scale: f32,
    /// β₁.
    pub beta1: f32,
    /// β₂.
    pub beta2: f32,
    /// Learning rate over `1 − β₁ᵗ`.
    pub rate: f32,
    /// `1 / √(1 − β₂ᵗ)`.
    pub second: f32,
    /// ε.
    pub epsilon: f32,
}

/// One Adam step (Kingma & Ba 2015, algorithm 1) with the gradient scaled first:
/// `g = scale·gradient; m = β₁m + (1−β₁)g; v = β₂v + (1−β₂)g²; w −= rate·m / (√v · second + ε)`.
pub fn adam(
    instructions: Instructions,
    step: &AdamStep,
    gradient: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    w: &mut [f32],
) {
    struct Adam<'a> {
        step: AdamStep,
        gradient: &'a [f32],
        m: &'a mut [f32],
        v: &'a mut [f32],
        w: &'a mut [f32],
    }
    impl Work for Adam<'_> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            let AdamStep { scale, beta1, beta2, rate, second, epsilon } = self.step;
            let Self { gradient, m, v, w, .. } = self;
            for (((w, &g), m), v) in w.iter_mut().zip(gradient).zip(m).zip(v) {
                let g = scale * g;
                *m = beta1.mul_add(*m, (1.0 - beta1) * g);
                *v = beta2.mul_add(*v, (1.0 - beta2) * g * g);
                *w -= rate * *m / v.sqrt().mul_add(second, epsilon);
            }
        }
    }
    prefetch_to_write(w);
    with(instructions, Adam { step: *step, gradient, m, v, w });
}

/// `sums += Σ rows`, for rows as long as `sums`, in order.
pub fn add_rows(instructions: Instructions, rows: &[f32], sums: &mut [f32]) {
    /// Columns summed in registers at a time.
    const WIDE: usize = 64;
    struct AddRows<'a>(&'a [f32], &'a mut [f32]);
    impl Work for AddRows<'_> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            let Self(rows, sums) = self;
            let width = sums.len();
            let mut strips = sums.chunks_exact_mut(WIDE);
            for (index, strip) in strips.by_ref().enumerate() {
                let mut held = [0.0; WIDE];
                held.copy_from_slice(strip);
                for row in rows.chunks_exact(width) {
                    let row = &row[index * WIDE..(index + 1) * WIDE];
                    held.iter_mut().zip(row).for_each(|(a, b)| *a += b);
                }
                strip.copy_from_slice(&held);
            }
            let rest = strips.into_remainder();
            let from = width - rest.len();
            for row in rows.chunks_exact(width) {
                rest.iter_mut().zip(&row[from..]).for_each(|(a, b)| *a += b);
            }
        }
    }
    if !sums.is_empty() {
        with(instructions, AddRows(rows, sums));
    }
}

/// `to += from`.
pub fn add_into(instructions: Instructions, from: &[f32], to: &mut [f32]) {
    struct AddInto<'a>(&'a [f32], &'a mut [f32]);
    impl Work for AddInto<'_> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            self.1.iter_mut().zip(self.0).for_each(|(a, b)| *a += b);
        }
    }
    with(instructions, AddInto(from, to));
}

/// Euclidean norm, in sixteen chains summed in a fixed tree.
#[must_use]
pub fn norm(instructions: Instructions, x: &[f32]) -> f64 {
    struct Norm<'a>(&'a [f32]);
    impl Work for Norm<'_> {
        type Output = f64;
        #[inline(always)]
        fn run(self) -> f64 {
            let mut lanes = [0.0f64; 16];
            let parts = self.0.chunks_exact(16);
            for (lane, &v) in lanes.iter_mut().zip(parts.remainder()) {
                *lane = f64::from(v) * f64::from(v);
            }
            for part in parts {
                for (lane, &v) in lanes.iter_mut().zip(part) {
                    *lane = f64::from(v).mul_add(f64::from(v), *lane);
                }
            }
            let mut n = 8;
            while n > 0 {
                (0..n).for_each(|i| lanes[i] += lanes[i + n]);
                n /= 2;
            }
            lanes[0].sqrt()
        }
    }
    with(instructions, Norm(x))
}
