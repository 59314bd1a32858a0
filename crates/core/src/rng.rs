//! Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy
//! as 1, 2, 3", SC11).
//!
//! A [`Stream`] is named by a seed, a purpose and an index, and its whole state is a counter: any number of streams
//! run side by side without sharing anything, and a resume stores one integer. Bits are the same on every machine.

const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: u32 = 10;

/// What a stream is for. Two purposes under one seed never share numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Purpose {
    /// The course of an environment's episodes.
    Environment = 1,
    /// Sampling actions.
    Policy = 2,
    /// Initial weights.
    Weights = 3,
    /// The order of rows in minibatches.
    Shuffle = 4,
    /// Synthetic markets.
    Synthesis = 5,
    /// Resampling in statistics.
    Bootstrap = 6,
    /// Random baselines.
    Baseline = 7,
    /// Environment checks.
    Check = 8,
    /// What a simulated broker decides by chance.
    Broker = 9,
    /// Starts of fits.
    Regime = 10,
    /// Suggesting what to try next.
    Search = 11,
    /// What members of a population take from each other.
    Population = 12,
}

/// Philox4x32-10 of a 128-bit counter under a 64-bit key.
#[inline(always)]
#[must_use]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let left = u64::from(MULTIPLIER[0]) * u64::from(a);
        let right = u64::from(MULTIPLIER[1]) * u64::from(c);
        (a, b, c, d) =
            ((right >> 32) as u32 ^ b ^ k0, right as u32, (left >> 32) as u32 ^ d ^ k1, left as u32);
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [a, b, c, d]
}

/// The middle of one of 2²³ equal parts of (0, 1).
#[inline(always)]
fn uniform_of(bits: u32) -> f32 {
    ((bits >> 9) as f32 + 0.5) / (1u32 << 23) as f32
}

/// One stream of random numbers; `counter` is its whole state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
    lane: [u32; 2],
    counter: u64,
    spare: [u32; 4],
    n_spare: usize,
}

impl Stream {
    /// The stream of `seed` for `purpose` and `index` (an environment, a member, a layer), at its beginning.
    #[must_use]
    pub fn new(seed: u64, purpose: Purpose, index: u64) -> Self {
        let lane = [index as u32, (((index >> 32) as u32) & 0xFFFF) | (u32::from(purpose as u16) << 16)];
        Self { key: [seed as u32, (seed >> 32) as u32], lane, counter: 0, spare: [0; 4], n_spare: 0 }
    }

    /// Jumps to `counter`: the numbers that follow depend on nothing drawn before.
    pub fn seek(&mut self, counter: u64) {
        self.counter = counter;
        self.n_spare = 0;
    }

    /// The counter to store for a resume; numbers left of the current block are dropped by [`Stream::seek`].
    #[must_use]
    pub fn position(&self) -> u64 {
        self.counter
    }

    /// The stream `distance` indices further on, of the same seed and purpose and at the same counter.
    #[must_use]
    pub fn neighbour(&self, distance: u64) -> Self {
        let mut out = Self { n_spare: 0, ..self.clone() };
        out.lane = self.lane_at(distance);
        out
    }

    #[inline(always)]
    fn lane_at(&self, distance: u64) -> [u32; 2] {
        let index =
            (u64::from(self.lane[0]) | (u64::from(self.lane[1] & 0xFFFF) << 32)).wrapping_add(distance);
        [index as u32, (((index >> 32) as u32) & 0xFFFF) | (self.lane[1] & 0xFFFF_0000)]
    }

    /// What [`Stream::uniform_f32`] of the [neighbour](Stream::neighbour) returns; a loop over these vectorises.
    #[inline(always)]
    #[must_use]
    pub fn neighbours_uniform(&self, distance: u64) -> f32 {
        let lane = self.lane_at(distance);
        let counter = [self.counter as u32, (self.counter >> 32) as u32, lane[0], lane[1]];
        uniform_of(philox(counter, self.key)[0])
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.n_spare == 0 {
            let counter = [self.counter as u32, (self.counter >> 32) as u32, self.lane[0], self.lane[1]];
            self.spare = philox(counter, self.key);
            self.counter = self.counter.wrapping_add(1);
            self.n_spare = 4;
        }
        self.n_spare -= 1;
        self.spare[3 - self.n_spare]
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) | (u64::from(self.next_u32()) << 32)
    }

    /// Uniform in (0, 1), 53 bits, never the ends.
    pub fn uniform(&mut self) -> f64 {
        ((self.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Uniform in (0, 1), 24 bits, never the ends.
    pub fn uniform_f32(&mut self) -> f32 {
        uniform_of(self.next_u32())
    }

    /// A whole number below `bound` without bias (Lemire 2019, "Fast random integer generation in an interval").
    /// Zero when `bound` is zero.
    pub fn index(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        if bound == 0 {
            return 0;
        }
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as usize;
            }
        }
    }

    /// Two independent standard normals (Box & Muller 1958).
    pub fn normal_pair(&mut self) -> (f64, f64) {
        let radius = (-2.0 * libm::log(self.uniform())).sqrt();
        let (sin, cos) = libm::sincos(std::f64::consts::TAU * self.uniform());
        (radius * cos, radius * sin)
    }

    /// One standard normal; the second of the pair is dropped, so that the state stays a counter.
    pub fn normal(&mut self) -> f64 {
        self.normal_pair().0
    }

    /// Shuffles in place (Fisher & Yates; Durstenfeld 1964).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_the_streams_of_their_indices() {
        let mut first = Stream::new(7, Purpose::Policy, u64::from(u32::MAX) - 1);
        first.seek(48);
        for distance in 0..5 {
            let mut named = Stream::new(7, Purpose::Policy, u64::from(u32::MAX) - 1 + distance);
            named.seek(48);
            assert_eq!(named, first.neighbour(distance));
            assert_eq!(named.uniform_f32(), first.neighbours_uniform(distance));
        }
    }

    /// The known answers of Random123's `kat_vectors`.
    #[test]
    fn known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let answer = [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1];
        assert_eq!(philox(pi, [0xa409_3822, 0x299f_31d0]), answer);
    }

    #[test]
    fn seek_forgets_the_past() {
        let mut a = Stream::new(7, Purpose::Policy, 3);
        let mut b = a.clone();
        for _ in 0..5 {
            a.next_u32();
        }
        a.seek(100);
        b.seek(100);
        assert_eq!(a.next_u64(), b.next_u64());
    }

    #[test]
    fn purposes_and_indices_differ() {
        let first = |purpose, index| Stream::new(1, purpose, index).next_u64();
        assert_ne!(first(Purpose::Policy, 0), first(Purpose::Environment, 0));
        assert_ne!(first(Purpose::Policy, 0), first(Purpose::Policy, 1));
    }

    #[test]
    fn normal_has_unit_moments() {
        let mut stream = Stream::new(11, Purpose::Check, 0);
        let n = 200_000;
        let (mut sum, mut square, mut fourth) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let z = stream.normal();
            sum += z;
            square += z * z;
            fourth += z.powi(4);
        }
        let n = f64::from(n);
        assert!((sum / n).abs() < 0.01);
        assert!((square / n - 1.0).abs() < 0.02);
        assert!((fourth / n - 3.0).abs() < 0.1);
    }

    #[test]
    fn index_is_even_and_shuffle_keeps_all() {
        let mut stream = Stream::new(3, Purpose::Check, 1);
        let mut counts = [0u32; 5];
        for _ in 0..50_000 {
            counts[stream.index(5)] += 1;
        }
        assert!(counts.iter().all(|&c| (9_500..10_500).contains(&c)), "{counts:?}");
        let mut items: Vec<u32> = (0..100).collect();
        stream.shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
