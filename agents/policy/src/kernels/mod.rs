//! The hot loops, compiled three times: for AVX-512, for AVX2 with FMA, and plain.
//!
//! The only module of the workspace with `unsafe`, for two reasons: code compiled for an instruction set may only run
//! where the processor has it, which [`Instructions::is_available`] establishes; and inside the product kernel, whose
//! slices are checked once at the door, indexing is unchecked. All three variants are the same code, and every element
//! is one chain (of a narrow product: sixteen) of fused multiply-adds in index order, so they give equal bits; a test
//! compares them.

#![expect(unsafe_code, reason = "instruction sets chosen at run time; see the module's first lines")]

mod product;
mod vector;

use crate::math;
pub use product::NARROW;
use product::Product;

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

/// `CAMBIST_KERNEL` cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// There is no such instruction set.
    #[error("CAMBIST_KERNEL is '{0}': it must be avx512, avx2 or plain, or not be set")]
    Unknown(String),
    /// This processor lacks it.
    #[error("CAMBIST_KERNEL is '{0}', which this processor does not have: unset it for the widest it has")]
    Missing(&'static str),
}

impl Instructions {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Avx512, Self::Avx2, Self::Plain];

    /// Whether this processor has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            // Every feature that the wide code is compiled with.
            Self::Avx512 => {
                std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512vl")
                    && std::is_x86_feature_detected!("avx512dq")
                    && std::is_x86_feature_detected!("avx512bw")
                    && Self::Avx2.is_available()
            }
            Self::Avx2 => std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma"),
            Self::Plain => true,
        };
        #[cfg(not(target_arch = "x86_64"))]
        return self == Self::Plain;
    }

    /// The widest this processor has, or the one that `CAMBIST_KERNEL` (avx512, avx2, plain) names if it has that.
    #[must_use]
    pub fn detect() -> Self {
        let widest = Self::ALL.into_iter().find(|i| i.is_available()).unwrap_or(Self::Plain);
        Self::forced().ok().flatten().unwrap_or(widest)
    }

    /// What `CAMBIST_KERNEL` names, if anything.
    ///
    /// # Errors
    /// When it names nothing there is, or what this processor lacks.
    pub fn forced() -> Result<Option<Self>, KernelError> {
        let wanted = std::env::var("CAMBIST_KERNEL").unwrap_or_default();
        if wanted.is_empty() {
            return Ok(None);
        }
        match Self::ALL.into_iter().find(|i| i.name() == wanted) {
            None => Err(KernelError::Unknown(wanted)),
            Some(named) if !named.is_available() => Err(KernelError::Missing(named.name())),
            named => Ok(named),
        }
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

/// Work whose loops are to be compiled for the processor's vectors. Mark `run` `#[inline(always)]`, or it is not.
pub trait Work {
    /// What comes out.
    type Output;
    /// Does it.
    fn run(self) -> Self::Output;
}

/// Does `work` compiled for `instructions`.
#[inline]
pub fn with<W: Work>(instructions: Instructions, work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma,avx2")]
        fn avx512<W: Work>(work: W) -> W::Output {
            work.run()
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2<W: Work>(work: W) -> W::Output {
            work.run()
        }
        match instructions {
            // SAFETY: `is_available` found the instruction set on this processor.
            Instructions::Avx512 if instructions.is_available() => return unsafe { avx512(work) },
            // SAFETY: as above.
            Instructions::Avx2 if instructions.is_available() => return unsafe { avx2(work) },
            _ => {}
        }
    }
    let _ = instructions;
    work.run()
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

/// Asks for `data[at..at + n]` to be brought near: what is read soon, and from far apart. Changes nothing else.
#[inline(always)]
pub fn prefetch(data: &[f32], at: usize, n: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(wanted) = data.get(at..at + n) {
        for line in wanted.chunks(16) {
            // SAFETY: prefetching reads nothing; every x86-64 has the instruction.
            unsafe {
                std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(line.as_ptr().cast());
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (data, at, n);
}

/// Asks for all of `data` to be brought near and made this core's own: what is written soon, and was last seen by
/// another core. Line by line a store would wait for each. Changes nothing else.
#[inline(always)]
pub fn prefetch_to_write(data: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in data.chunks(16) {
        // SAFETY: prefetching writes nothing; processors without the instruction take it for one that does nothing.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_ET0 }>(line.as_ptr().cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = data;
}

/// Multiply-adds of vectors in registers, `n` times sixteen of them: what a processor can do at most. Returns the floating
/// point operations done; the sum keeps the compiler from leaving them out.
#[must_use]
pub fn peak_loop(instructions: Instructions, n: u64) -> (f64, f32) {
    use vector::Vector;
    /// Safety: the instruction set of `V`.
    #[inline(always)]
    unsafe fn body<V: Vector>(n: u64) -> (f64, f32) {
        const CHAINS: usize = 12;
        // SAFETY: the caller's promise; the array holds the widest vector.
        unsafe {
            let mut sums = [V::splat(std::hint::black_box(1.5)); CHAINS];
            let (by, plus) = (V::splat(0.999), V::splat(0.001));
            for _ in 0..n {
                for sum in &mut sums {
                    *sum = sum.fma(by, plus);
                }
            }
            let mut total = 0.0;
            for sum in sums {
                let mut lanes = [0.0f32; 16];
                sum.store(lanes.as_mut_ptr());
                total += lanes[..V::LANES].iter().sum::<f32>();
            }
            (n as f64 * (2 * CHAINS * V::LANES) as f64, total)
        }
    }
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m256, __m512};
        #[target_feature(enable = "avx512f,fma")]
        fn avx512(n: u64) -> (f64, f32) {
            // SAFETY: this function has the instruction set.
            unsafe { body::<__m512>(n) }
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(n: u64) -> (f64, f32) {
            // SAFETY: as above.
            unsafe { body::<__m256>(n) }
        }
        match instructions {
            // SAFETY: `is_available` found the instruction set on this processor.
            Instructions::Avx512 if instructions.is_available() => return unsafe { avx512(n) },
            // SAFETY: as above.
            Instructions::Avx2 if instructions.is_available() => return unsafe { avx2(n) },
            _ => {}
        }
    }
    let _ = instructions;
    // SAFETY: arrays of floats need no instruction set.
    unsafe { body::<[f32; 4]>(n) }
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
            After::Nothing,
        );
        let turned = Strided { data: &transposed, row_stride: 1, column_stride: m };
        matmul(instructions, m, n, k, turned, &b, Start::Zero, &mut y, After::Nothing);
        assert_eq!(x, y);
    }
}
