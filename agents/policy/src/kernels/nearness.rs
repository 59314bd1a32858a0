//! What is wanted soon, asked for early. Nothing here changes a number.

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
