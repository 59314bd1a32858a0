//! Matrix products, a tile of the result at a time in registers.
//!
//! Vectors lie along the columns of the result, so an element is one chain of fused multiply-adds in index order however
//! wide they are. Results of fewer than [`NARROW`] columns (heads, values) are dot products instead, in [`DOT_LANES`]
//! chains summed in a fixed tree: the rule depends on the shape alone, so it too gives equal bits.

use super::vector::Vector;
use super::{After, Start, Strided, finish};

/// Below this many columns a product is computed as dot products.
pub const NARROW: usize = 8;
/// Longest dot product of a narrow result.
const NARROW_DEPTH: usize = 1024;
/// Chains of a dot product.
const DOT_LANES: usize = 16;
/// Rows of a tile.
const ROWS: usize = 4;

/// `c[m × n] = start + a[m × k] · b[k × n]`, then what `after` says.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) a: Strided<'a>,
    pub(super) b: &'a [f32],
    pub(super) start: Start<'a>,
}

impl Product<'_> {
    /// Checks every slice once, so that the tiles need not.
    #[inline(always)]
    fn check(&self, c: &[f32]) {
        let Self { m, n, k, a, b, start } = *self;
        // Sizes that do not fit a machine word fit no slice.
        let product = |x: usize, y: usize| x.saturating_mul(y);
        assert!(c.len() >= product(m, n) && b.len() >= product(k, n), "matmul: c or b too short");
        let last = product(m - 1, a.row_stride).saturating_add(product(k.max(1) - 1, a.column_stride));
        assert!(k == 0 || a.data.len() > last, "matmul: a too short");
        if let Start::Row(row) = start {
            assert!(row.len() >= n, "matmul: start too short");
        }
    }

    /// The product on vectors `V`, with `H` (half as wide, at most 8) and `Q` (4) for what is left of a row.
    ///
    /// # Safety
    /// The processor must have the instruction sets of all three.
    #[inline(always)]
    pub(super) unsafe fn run<V: Vector, H: Vector, Q: Vector>(self, c: &mut [f32], mut after: After<'_>) {
        if self.m == 0 || self.n == 0 {
            return;
        }
        self.check(c);
        if self.n < NARROW && self.k <= NARROW_DEPTH && self.a.column_stride == 1 {
            // SAFETY: the caller's promise; `check` looked at the slices.
            unsafe { self.dots::<V>(c) };
            return finish(&mut after, 0, &mut c[..self.m * self.n]);
        }
        let mut row = 0;
        while row < self.m {
            let rows = if row + ROWS <= self.m { ROWS } else { 1 };
            // SAFETY: as above; `row + rows ≤ m`.
            unsafe {
                if rows == ROWS {
                    self.strip::<V, H, Q, ROWS>(row, c);
                } else {
                    self.strip::<V, H, Q, 1>(row, c);
                }
            }
            finish(&mut after, row * self.n, &mut c[row * self.n..(row + rows) * self.n]);
            row += rows;
        }
    }

    /// `R` whole rows of the result. Safety as [`Product::run`], and `row + R ≤ m`.
    #[inline(always)]
    unsafe fn strip<V: Vector, H: Vector, Q: Vector, const R: usize>(&self, row: usize, c: &mut [f32]) {
        let mut column = 0;
        // SAFETY: every tile ends at or before column n; the caller's promise otherwise.
        unsafe {
            if V::TILE == 4 {
                while self.n - column >= 4 * V::LANES {
                    self.tile::<V, R, 4>(row, column, c);
                    column += 4 * V::LANES;
                }
            }
            while self.n - column >= 2 * V::LANES {
                self.tile::<V, R, 2>(row, column, c);
                column += 2 * V::LANES;
            }
            while self.n - column >= V::LANES {
                self.tile::<V, R, 1>(row, column, c);
                column += V::LANES;
            }
            while self.n - column >= H::LANES {
                self.tile::<H, R, 1>(row, column, c);
                column += H::LANES;
            }
            while self.n - column >= Q::LANES {
                self.tile::<Q, R, 1>(row, column, c);
                column += Q::LANES;
            }
            while self.n > column {
                self.tile::<[f32; 1], R, 1>(row, column, c);
                column += 1;
            }
        }
    }

    /// `R` rows by `W` vectors of the result, held in registers. Safety as [`Product::run`]; the tile lies inside.
    #[expect(
        clippy::needless_range_loop,
        reason = "counted loops over constants are unrolled into registers"
    )]
    #[inline(always)]
    unsafe fn tile<V: Vector, const R: usize, const W: usize>(
        &self,
        row: usize,
        column: usize,
        c: &mut [f32],
    ) {
        let Self { n, k, a, b, start, .. } = *self;
        // SAFETY: `check` established that rows below m and columns below n lie in c, depths below k in a and b, and the
        // caller that the tile does.
        unsafe {
            let c = c.as_mut_ptr().add(row * n + column);
            let mut sums = [[V::splat(0.0); W]; R];
            for r in 0..R {
                for w in 0..W {
                    match start {
                        Start::Zero => {}
                        Start::Row(from) => sums[r][w] = V::load(from.as_ptr().add(column + w * V::LANES)),
                        Start::Result => sums[r][w] = V::load(c.add(r * n + w * V::LANES)),
                    }
                }
            }
            // Without depth there may be nothing to point to.
            let mut left = a.data.as_ptr().wrapping_add(row * a.row_stride);
            let mut right = b.as_ptr().wrapping_add(column);
            for _ in 0..k {
                let mut line = [V::splat(0.0); W];
                for w in 0..W {
                    line[w] = V::load(right.add(w * V::LANES));
                }
                for r in 0..R {
                    let x = V::splat(*left.add(r * a.row_stride));
                    for w in 0..W {
                        sums[r][w] = x.fma(line[w], sums[r][w]);
                    }
                }
                left = left.wrapping_add(a.column_stride);
                right = right.wrapping_add(n);
            }
            for r in 0..R {
                for w in 0..W {
                    sums[r][w].store(c.add(r * n + w * V::LANES));
                }
            }
        }
    }

    /// A narrow result: element `(i, j)` is the start plus the dot product of row i of a and column j of b, summed in
    /// [`DOT_LANES`] chains. Safety as [`Product::run`].
    #[inline(always)]
    unsafe fn dots<V: Vector>(&self, c: &mut [f32]) {
        let Self { m, n, k, a, b, start } = *self;
        let mut column = [0.0f32; NARROW_DEPTH];
        for j in 0..n {
            for p in 0..k {
                column[p] = b[p * n + j];
            }
            for i in 0..m {
                let line = &a.data[i * a.row_stride..i * a.row_stride + k];
                // SAFETY: both hold k floats.
                let sum = unsafe { dot::<V>(line, &column[..k]) };
                let from = match start {
                    Start::Zero => 0.0,
                    Start::Row(row) => row[j],
                    Start::Result => c[i * n + j],
                };
                c[i * n + j] = from + sum;
            }
        }
    }
}

/// `Σ x[p] · y[p]` in [`DOT_LANES`] chains, p going to chain p modulo their number. Safety: the instruction set; equal
/// lengths.
#[inline(always)]
unsafe fn dot<V: Vector>(x: &[f32], y: &[f32]) -> f32 {
    let n = DOT_LANES / V::LANES;
    let whole = x.len() - x.len() % DOT_LANES;
    // SAFETY: p + DOT_LANES ≤ whole ≤ the lengths; the padded tails hold DOT_LANES.
    unsafe {
        let mut sums = [V::splat(0.0); 4];
        let mut add = |x: *const f32, y: *const f32| {
            for (v, sum) in sums.iter_mut().enumerate().take(n) {
                let at = v * V::LANES;
                *sum = V::load(x.add(at)).fma(V::load(y.add(at)), *sum);
            }
        };
        for p in (0..whole).step_by(DOT_LANES) {
            add(x.as_ptr().add(p), y.as_ptr().add(p));
        }
        if whole < x.len() {
            let (mut left, mut right) = ([0.0; DOT_LANES], [0.0; DOT_LANES]);
            left[..x.len() - whole].copy_from_slice(&x[whole..]);
            right[..x.len() - whole].copy_from_slice(&y[whole..]);
            add(left.as_ptr(), right.as_ptr());
        }
        V::total(&sums)
    }
}
