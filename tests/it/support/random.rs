//! Random instants for tests that kill processes.

use std::time::Duration;

/// A generator of its own for each who needs one (SplitMix64); no secret comes from it.
pub struct Random(u64);

impl Random {
    /// One that begins anywhere.
    pub fn new() -> Self {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).expect("the system's randomness");
        Self(u64::from_le_bytes(seed))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A duration of up to `bound`.
    pub fn up_to(&mut self, bound: Duration) -> Duration {
        Duration::from_micros(self.number() % (bound.as_micros() as u64 + 1))
    }
}
