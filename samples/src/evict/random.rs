//! Random choices that are the same for the same seed.

/// A xorshift generator (Marsaglia, "Xorshift RNGs", 2003): enough for choosing what to disturb.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`, which is not 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        // The upper bits are the better ones; a limit is far smaller than they are.
        usize::try_from(self.next() >> 16).unwrap_or(0) % limit.max(1)
    }
}
