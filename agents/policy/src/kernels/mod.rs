//! The hot loops, compiled three times: for AVX-512, for AVX2 with FMA, and plain.
//!
//! The only module of the workspace with `unsafe`, for two reasons: code compiled for an instruction set may only run
//! where the processor has it, which [`Instructions::is_available`] establishes; and inside the product kernel, whose
//! slices are checked once at the door, indexing is unchecked. All three variants are the same code, and every element
//! is one chain (of a narrow product: sixteen) of fused multiply-adds in index order, so they give equal bits; a test
//! compares them.

#![expect(unsafe_code, reason = "instruction sets chosen at run time; see the module's first lines")]

mod instructions;
mod nearness;
mod peak;
mod product;
mod rows;
mod vector;

use crate::math;
pub use instructions::{Instructions, KernelError, Work, with};
pub use nearness::{prefetch, prefetch_to_write};
pub use peak::peak_loop;
pub use product::NARROW;
use product::Product;
pub use rows::{AdamStep, adam, add_into, add_rows, norm};

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

/// What is done to rows of a product as soon as they are there, while they are in the nearest cache.
#[derive(Debug)]
pub enum After<'a> {
    /// Nothing.
    Nothing,
    /// y = tanh(z).
    Tanh,
    /// y = max(z, 0).
    Relu,
    /// y = z σ(z) (Elfwing, Uchibe & Doya 2018); z is kept here, for the way back.
    Silu(&'a mut [f32]),
    /// d · (1 − y²), where y was a tanh's output.
    TanhBack(&'a [f32]),
    /// d where y, a ReLU's output, was positive; else 0.
    ReluBack(&'a [f32]),
    /// d · σ(z)(1 + z(1 − σ(z))), where z went into a SiLU.
    SiluBack(&'a [f32]),
}

/// Applies `after` to `rows`, the part of the result that begins at `at`.
#[inline(always)]
fn finish(after: &mut After<'_>, at: usize, rows: &mut [f32]) {
    let place = at..at + rows.len();
    match after {
        After::Nothing => {}
        After::Tanh => rows.iter_mut().for_each(|v| *v = math::tanh(*v)),
        After::Relu => rows.iter_mut().for_each(|v| *v = if *v > 0.0 { *v } else { 0.0 }),
        After::Silu(kept) => {
            kept[place].copy_from_slice(rows);
            rows.iter_mut().for_each(|v| *v *= math::sigmoid(*v));
        }
        After::TanhBack(y) => rows.iter_mut().zip(&y[place]).for_each(|(d, &y)| *d *= (-y).mul_add(y, 1.0)),
        After::ReluBack(y) => {
            rows.iter_mut().zip(&y[place]).for_each(|(d, &y)| *d = if y > 0.0 { *d } else { 0.0 });
        }
        After::SiluBack(z) => rows.iter_mut().zip(&z[place]).for_each(|(d, &z)| {
            let s = math::sigmoid(z);
            *d *= s * z.mul_add(1.0 - s, 1.0);
        }),
    }
}

/// `c[m × n] = start + a[m × k] · b[k × n]`; `b` and `c` are row-major with rows `n` apart. Rows of the result go
/// through `after` as they are done.
///
/// # Panics
/// When a slice is too short for its shape.
#[expect(clippy::too_many_arguments, reason = "the shape of a matrix product, and the instruction set")]
pub fn matmul(
    instructions: Instructions,
    m: usize,
    n: usize,
    k: usize,
    a: Strided<'_>,
    b: &[f32],
    start: Start<'_>,
    c: &mut [f32],
    after: After<'_>,
) {
    let product = Product { m, n, k, a, b, start };
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128, __m256, __m512};
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma,avx2")]
        fn avx512(product: Product<'_>, c: &mut [f32], after: After<'_>) {
            // SAFETY: this function has the instruction sets.
            unsafe { product.run::<__m512, __m256, __m128>(c, after) }
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(product: Product<'_>, c: &mut [f32], after: After<'_>) {
            // SAFETY: as above.
            unsafe { product.run::<__m256, __m128, __m128>(c, after) }
        }
        match instructions {
            // SAFETY: `is_available` found the instruction set on this processor.
            Instructions::Avx512 if instructions.is_available() => {
                return unsafe { avx512(product, c, after) };
            }
            // SAFETY: as above.
            Instructions::Avx2 if instructions.is_available() => return unsafe { avx2(product, c, after) },
            _ => {}
        }
    }
    let _ = instructions;
    // SAFETY: arrays of floats need no instruction set.
    unsafe { product.run::<[f32; 4], [f32; 4], [f32; 4]>(c, after) }
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
        for (m, n, k) in
            [(1, 1, 1), (7, 3, 5), (64, 64, 64), (33, 81, 19), (4, 16, 0), (130, 67, 64), (50, 3, 70)]
        {
            let (a, b, bias) = (random(m * k, 1), random(k * n, 2), random(n, 3));
            let strided = Strided { data: &a, row_stride: k, column_stride: 1 };
            let run = |instructions| {
                let mut c = vec![0.5; m * n];
                let bias = Start::Row(&bias);
                matmul(instructions, m, n, k, strided, &b, bias, &mut c, After::Nothing);
                matmul(instructions, m, n, k, strided, &b, Start::Result, &mut c, After::Tanh);
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
        for (m, n, k) in [(9, 20, 13), (64, 3, 2050), (64, 64, 1030)] {
            let (a, b) = (random(m * k, 4), random(k * n, 5));
            let mut transposed = vec![0.0; m * k];
            for i in 0..m {
                for p in 0..k {
                    transposed[p * m + i] = a[i * k + p];
                }
            }
            let straight = Strided { data: &a, row_stride: k, column_stride: 1 };
            let turned = Strided { data: &transposed, row_stride: 1, column_stride: m };
            let run = |instructions, side| {
                let mut c = vec![0.0; m * n];
                matmul(instructions, m, n, k, side, &b, Start::Zero, &mut c, After::Nothing);
                c
            };
            let plain = run(Instructions::Plain, straight);
            for instructions in Instructions::ALL.into_iter().filter(|i| i.is_available()) {
                assert!(plain == run(instructions, straight), "{instructions:?}, {m}×{n}×{k}");
                assert!(plain == run(instructions, turned), "{instructions:?} turned, {m}×{n}×{k}");
            }
        }
    }

    /// Lengths around the widths of registers and strips. Sums and norms are held against f64, Adam against its formula.
    #[test]
    fn loops_over_arrays_give_the_same_bits_and_the_right_numbers() {
        for n in [1, 7, 16, 63, 64, 65, 200] {
            let (rows, start) = (random(5 * n, 6), random(n, 7));
            let step =
                AdamStep { scale: 0.5, beta1: 0.9, beta2: 0.999, rate: 0.01, second: 1.5, epsilon: 1e-5 };
            let run = |instructions| {
                let (mut sums, mut w) = (start.clone(), start.clone());
                let (mut m, mut v) =
                    (rows[..n].to_vec(), rows[..n].iter().map(|x| x * x).collect::<Vec<_>>());
                add_rows(instructions, &rows, &mut sums);
                add_into(instructions, &rows[..n], &mut sums);
                adam(instructions, &step, &rows[n..2 * n], &mut m, &mut v, &mut w);
                let bits =
                    [sums.clone(), m, v, w.clone()].concat().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                (bits, norm(instructions, &rows).to_bits(), sums, w)
            };
            let (bits, length, sums, w) = run(Instructions::Plain);
            for instructions in Instructions::ALL.into_iter().filter(|i| i.is_available()) {
                let other = run(instructions);
                assert!((&bits, length) == (&other.0, other.1), "{instructions:?}, {n}");
            }
            let squares: f64 = rows.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            assert!((f64::from_bits(length) - squares.sqrt()).abs() < 1e-12 * squares.sqrt());
            for i in 0..n {
                let all: f64 = (0..5).map(|row| f64::from(rows[row * n + i])).sum();
                let wanted = f64::from(start[i]) + all + f64::from(rows[i]);
                assert!((f64::from(sums[i]) - wanted).abs() < 1e-5);
                let (g, before) = (0.5 * f64::from(rows[n + i]), f64::from(rows[i]));
                let (m, v) = (0.9 * before + 0.1 * g, 0.999 * before * before + 0.001 * g * g);
                let wanted = f64::from(start[i]) - 0.01 * m / (v.sqrt() * 1.5 + 1e-5);
                assert!((f64::from(w[i]) - wanted).abs() < 1e-5, "{} {wanted}", w[i]);
            }
        }
    }
}
