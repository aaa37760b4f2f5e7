//! Randomness for the jitter of deadlines and waits.

/// Returns a random number in [0, 1).
pub(super) fn random() -> f64 {
    // Jitter protects no secret: without randomness from the system, the middle is good enough.
    let bits = getrandom::u64().unwrap_or(1 << 63);
    (bits >> 11) as f64 / (1u64 << 53) as f64
}
