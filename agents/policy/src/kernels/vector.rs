//! Vectors of floats, one type an instruction set: the only thing the product kernels ask of a processor.

/// A vector of [`Vector::LANES`] floats.
///
/// # Safety
/// Every method may only run where the processor has the type's instruction set, and pointers must be good for `LANES`
/// floats; alignment is not needed.
pub(super) trait Vector: Copy {
    /// Floats in a vector.
    const LANES: usize;
    /// Vectors in a row of a tile: as many as leave registers for four rows of them.
    const TILE: usize;
    unsafe fn splat(x: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// `self · by + plus`, rounded once.
    unsafe fn fma(self, by: Self, plus: Self) -> Self;
    /// The sum of sixteen lanes, held in as many of `lanes` as it takes: halves onto halves, to the last.
    unsafe fn total(lanes: &[Self; 4]) -> f32;
}

macro_rules! vector {
    ($type:ty, $lanes:literal, $tile:literal, $splat:ident, $load:ident, $store:ident, $fma:ident, $total:ident) => {
        impl Vector for $type {
            const LANES: usize = $lanes;
            const TILE: usize = $tile;
            #[inline(always)]
            unsafe fn splat(x: f32) -> Self {
                // SAFETY: the caller has the instruction set.
                unsafe { x86::$splat(x) }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller has the instruction set, and `from` is good for the lanes.
                unsafe { x86::$load(from) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: as above.
                unsafe { x86::$store(to, self) }
            }
            #[inline(always)]
            unsafe fn fma(self, by: Self, plus: Self) -> Self {
                // SAFETY: the caller has the instruction set.
                unsafe { x86::$fma(self, by, plus) }
            }
            #[inline(always)]
            unsafe fn total(lanes: &[Self; 4]) -> f32 {
                // SAFETY: as above.
                unsafe { $total(lanes) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64 as x86;
#[cfg(target_arch = "x86_64")]
vector!(x86::__m512, 16, 4, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps, total_512);
#[cfg(target_arch = "x86_64")]
vector!(x86::__m256, 8, 2, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps, total_256);
#[cfg(target_arch = "x86_64")]
vector!(x86::__m128, 4, 2, _mm_set1_ps, _mm_loadu_ps, _mm_storeu_ps, _mm_fmadd_ps, total_128);

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn total_512(lanes: &[x86::__m512; 4]) -> f32 {
    // SAFETY: the caller has AVX-512.
    unsafe {
        let (low, high) = (x86::_mm512_castps512_ps256(lanes[0]), x86::_mm512_extractf32x8_ps(lanes[0], 1));
        total_eight(x86::_mm256_add_ps(low, high))
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn total_256(lanes: &[x86::__m256; 4]) -> f32 {
    // SAFETY: the caller has AVX2.
    unsafe { total_eight(x86::_mm256_add_ps(lanes[0], lanes[1])) }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn total_128(lanes: &[x86::__m128; 4]) -> f32 {
    // SAFETY: every x86-64 has SSE.
    unsafe {
        let (low, high) = (x86::_mm_add_ps(lanes[0], lanes[2]), x86::_mm_add_ps(lanes[1], lanes[3]));
        total_four(x86::_mm_add_ps(low, high))
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn total_eight(lanes: x86::__m256) -> f32 {
    // SAFETY: the caller has AVX2.
    unsafe {
        let (low, high) = (x86::_mm256_castps256_ps128(lanes), x86::_mm256_extractf128_ps(lanes, 1));
        total_four(x86::_mm_add_ps(low, high))
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn total_four(lanes: x86::__m128) -> f32 {
    // SAFETY: every x86-64 has SSE.
    unsafe {
        let two = x86::_mm_add_ps(lanes, x86::_mm_movehl_ps(lanes, lanes));
        x86::_mm_cvtss_f32(x86::_mm_add_ss(two, x86::_mm_shuffle_ps(two, two, 1)))
    }
}

/// Floats that any machine has.
macro_rules! array {
    ($lanes:literal) => {
        #[allow(clippy::modulo_one, reason = "of one lane there is one")]
        impl Vector for [f32; $lanes] {
            const LANES: usize = $lanes;
            const TILE: usize = 2;
            #[inline(always)]
            unsafe fn splat(x: f32) -> Self {
                [x; $lanes]
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: `from` is good for the lanes; an array of floats needs no more than their alignment.
                unsafe { from.cast::<Self>().read_unaligned() }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: as above.
                unsafe { to.cast::<Self>().write_unaligned(self) }
            }
            #[inline(always)]
            unsafe fn fma(self, by: Self, plus: Self) -> Self {
                std::array::from_fn(|i| self[i].mul_add(by[i], plus[i]))
            }
            #[inline(always)]
            unsafe fn total(lanes: &[Self; 4]) -> f32 {
                let mut sums: [f32; 4 * $lanes] = std::array::from_fn(|i| lanes[i / $lanes][i % $lanes]);
                let mut n = 2 * $lanes;
                while n > 0 {
                    (0..n).for_each(|i| sums[i] += sums[i + n]);
                    n /= 2;
                }
                sums[0]
            }
        }
    };
}

array!(4);
array!(1);
