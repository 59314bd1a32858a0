//! What the processor can do at most.

use super::Instructions;
use super::vector::Vector;

/// Multiply-adds of vectors in registers, `n` times sixteen of them: what a processor can do at most. Returns the floating
/// point operations done; the sum keeps the compiler from leaving them out.
#[must_use]
pub fn peak_loop(instructions: Instructions, n: u64) -> (f64, f32) {
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
