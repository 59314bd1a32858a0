//! The hot loops, compiled three times: for AVX-512, for AVX2 with FMA, and plain.
//!
//! The only module of the workspace with `unsafe`, for two reasons: a function compiled for an instruction set may only
//! be called where the processor has it, which [`Instructions::detect`] establishes; and inside the matrix kernel,
//! whose slices are checked once at the door, indexing is unchecked. All three variants are the same code, and every
//! element is one chain of fused multiply-adds in index order, so they give equal bits; a test compares them.

#![expect(unsafe_code, reason = "instruction sets chosen at run time; see the module's first lines")]

use crate::math;

/// An instruction set the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instructions {
    /// 512-bit vectors.
    Avx512,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// Whatever every machine has.
    Plain,
}

impl Instructions {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Plain];

    /// Whether this processor has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            Self::Avx512 => std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("fma"),
            Self::Avx2 => std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma"),
            Self::Plain => true,
        };
        #[cfg(not(target_arch = "x86_64"))]
        return self == Self::Plain;
    }

    /// The widest this processor has, or the one that `CAMBIST_KERNEL` (avx512, avx2, plain) names if it has that.
    #[must_use]
    pub fn detect() -> Self {
        let wanted = std::env::var("CAMBIST_KERNEL").unwrap_or_default();
        let named = Self::ALL.into_iter().find(|i| i.name() == wanted);
        named
            .filter(|i| i.is_available())
            .unwrap_or_else(|| Self::ALL.into_iter().find(|i| i.is_available()).unwrap_or(Self::Plain))
    }

    /// Its name in `CAMBIST_KERNEL`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Plain => "plain",
        }
    }
}

/// A matrix in a slice: element `(i, j)` lies at `i · row_stride + j · column_stride`.
#[derive(Debug, Clone, Copy)]
pub struct Strided<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// Distance of rows.
    pub row_stride: usize,
    /// Distance of columns.
    pub column_stride: usize,
}

/// What a product starts from.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// Every row starts from this row, `[n]`.
    Row(&'a [f32]),
    /// Zero.
    Zero,
    /// What stands in the result.
    Result,
}

macro_rules! dispatched {
    ($(#[$doc:meta])* $name:ident, $body:ident, ($($arg:ident: $type:ty),*)) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "the shape of a matrix product, and the instruction set")]
        pub fn $name(instructions: Instructions, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma,avx2")]
                fn avx512($($arg: $type),*) { $body::<16>($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) { $body::<8>($($arg),*) }
                match instructions {
                    // SAFETY: `is_available` found the instruction set on this processor.
                    Instructions::Avx512 if instructions.is_available() => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    Instructions::Avx2 if instructions.is_available() => return unsafe { avx2($($arg),*) },
                    _ => {}
                }
            }
            let _ = instructions;
            $body::<4>($($arg),*);
        }
    };
}

dispatched!(
    /// `c[m × n] = start + a[m × k] · b[k × n]`; `b` and `c` are row-major with rows `n` apart.
    ///
    /// # Panics
    /// When a slice is too short for its shape.
    matmul, matmul_body, (m: usize, n: usize, k: usize, a: Strided<'_>, b: &[f32], start: Start<'_>, c: &mut [f32])
);

dispatched!(
    /// `x = tanh(x)`, element by element.
    tanh_in_place, tanh_body, (x: &mut [f32])
);

dispatched!(
    /// `d = d · (1 − y²)`: back through a tanh whose output was `y`.
    tanh_backward, tanh_backward_body, (y: &[f32], d: &mut [f32])
);

dispatched!(
    /// One Adam step (Kingma & Ba 2015, algorithm 1) with the gradient scaled first:
    /// `g = scale·gradient; m = β₁m + (1−β₁)g; v = β₂v + (1−β₂)g²; w −= rate·m / (√v · second + ε)`.
    adam, adam_body, (step: &AdamStep, gradient: &[f32], m: &mut [f32], v: &mut [f32], w: &mut [f32])
);

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

#[inline(always)]
fn matmul_body<const LANES: usize>(
    m: usize,
    n: usize,
    k: usize,
    a: Strided<'_>,
    b: &[f32],
    start: Start<'_>,
    c: &mut [f32],
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(c.len() >= m * n && b.len() >= k * n, "matmul: c or b too short");
    assert!(
        k == 0 || a.data.len() > (m - 1) * a.row_stride + (k - 1) * a.column_stride,
        "matmul: a too short"
    );
    if let Start::Row(row) = start {
        assert!(row.len() >= n, "matmul: start too short");
    }
    let mut column = 0;
    // Columns in the widest blocks that fit: blocking does not touch the order within an element's chain.
    macro_rules! blocks {
        ($($width:literal),*) => {
            $(while n - column >= $width {
                let mut row = 0;
                while row + 4 <= m {
                    tile::<4, { $width }>(row, column, n, k, a, b, start, c);
                    row += 4;
                }
                while row < m {
                    tile::<1, { $width }>(row, column, n, k, a, b, start, c);
                    row += 1;
                }
                column += $width;
            })*
        };
    }
    if LANES >= 16 {
        blocks!(32, 16, 8, 4, 1);
    } else {
        blocks!(16, 8, 4, 1);
    }
}

/// `R` rows by `W` columns of the product, held in registers.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the shape of a matrix product")]
fn tile<const R: usize, const W: usize>(
    row: usize,
    column: usize,
    n: usize,
    k: usize,
    a: Strided<'_>,
    b: &[f32],
    start: Start<'_>,
    c: &mut [f32],
) {
    let mut sums = [[0.0f32; W]; R];
    for (r, sum) in sums.iter_mut().enumerate() {
        match start {
            Start::Zero => {}
            Start::Row(from) => sum.copy_from_slice(&from[column..column + W]),
            Start::Result => sum.copy_from_slice(&c[(row + r) * n + column..(row + r) * n + column + W]),
        }
    }
    for p in 0..k {
        // SAFETY: `matmul_body` checked that b has k·n elements, and column + W ≤ n.
        let line = unsafe { b.get_unchecked(p * n + column..p * n + column + W) };
        for (r, sum) in sums.iter_mut().enumerate() {
            // SAFETY: `matmul_body` checked the last element of a, and row + r < m.
            let x = unsafe { *a.data.get_unchecked((row + r) * a.row_stride + p * a.column_stride) };
            for (s, &y) in sum.iter_mut().zip(line) {
                *s = x.mul_add(y, *s);
            }
        }
    }
    for (r, sum) in sums.iter().enumerate() {
        c[(row + r) * n + column..(row + r) * n + column + W].copy_from_slice(sum);
    }
}

#[inline(always)]
fn tanh_body<const LANES: usize>(x: &mut [f32]) {
    for v in x {
        *v = math::tanh(*v);
    }
}

#[inline(always)]
fn tanh_backward_body<const LANES: usize>(y: &[f32], d: &mut [f32]) {
    for (d, &y) in d.iter_mut().zip(y) {
        *d *= (-y).mul_add(y, 1.0);
    }
}

#[inline(always)]
fn adam_body<const LANES: usize>(
    step: &AdamStep,
    gradient: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    w: &mut [f32],
) {
    let AdamStep { scale, beta1, beta2, rate, second, epsilon } = *step;
    for (((w, &g), m), v) in w.iter_mut().zip(gradient).zip(m).zip(v) {
        let g = scale * g;
        *m = beta1.mul_add(*m, (1.0 - beta1) * g);
        *v = beta2.mul_add(*v, (1.0 - beta2) * g * g);
        *w -= rate * *m / v.sqrt().mul_add(second, epsilon);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cambist_core::rng::{Purpose, Stream};

    fn random(n: usize, index: u64) -> Vec<f32> {
        let mut stream = Stream::new(1, Purpose::Check, index);
        (0..n).map(|_| stream.normal() as f32).collect()
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits_and_the_right_product() {
        for (m, n, k) in [(1, 1, 1), (7, 3, 5), (64, 64, 64), (33, 81, 19), (4, 16, 0), (130, 67, 64)] {
            let (a, b, bias) = (random(m * k, 1), random(k * n, 2), random(n, 3));
            let strided = Strided { data: &a, row_stride: k, column_stride: 1 };
            let run = |instructions| {
                let mut c = vec![0.5; m * n];
                matmul(instructions, m, n, k, strided, &b, Start::Row(&bias), &mut c);
                matmul(instructions, m, n, k, strided, &b, Start::Result, &mut c);
                tanh_in_place(instructions, &mut c);
                c
            };
            let plain = run(Instructions::Plain);
            for instructions in Instructions::ALL.into_iter().filter(|i| i.is_available()) {
                let same = plain.iter().zip(run(instructions)).all(|(x, y)| x.to_bits() == y.to_bits());
                assert!(same, "{instructions:?} differs for {m}×{n}×{k}");
            }
            for i in 0..m {
                for j in 0..n {
                    let product: f64 =
                        (0..k).map(|p| f64::from(a[i * k + p]) * f64::from(b[p * n + j])).sum();
                    let wanted = libm::tanh(f64::from(bias[j]) + 2.0 * product);
                    assert!((f64::from(plain[i * n + j]) - wanted).abs() < 2e-5);
                }
            }
        }
    }

    #[test]
    fn a_transposed_left_side_is_read_through_its_strides() {
        let (m, n, k) = (9, 20, 13);
        let (a, b) = (random(m * k, 4), random(k * n, 5));
        let mut transposed = vec![0.0; m * k];
        for i in 0..m {
            for p in 0..k {
                transposed[p * m + i] = a[i * k + p];
            }
        }
        let (mut x, mut y) = (vec![0.0; m * n], vec![0.0; m * n]);
        let instructions = Instructions::detect();
        matmul(
            instructions,
            m,
            n,
            k,
            Strided { data: &a, row_stride: k, column_stride: 1 },
            &b,
            Start::Zero,
            &mut x,
        );
        let turned = Strided { data: &transposed, row_stride: 1, column_stride: m };
        matmul(instructions, m, n, k, turned, &b, Start::Zero, &mut y);
        assert_eq!(x, y);
    }
}
