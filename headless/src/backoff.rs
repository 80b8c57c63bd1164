//! How long to wait before the next attempt to connect: full jitter, so that clients do not all reconnect together.

use std::time::Duration;

/// A random wait below a bound that doubles with every attempt.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    attempt: u32,
}

impl Default for Backoff {
    /// The page's backoff: below 0.5 s first, below 20 s at most.
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(20))
    }
}

impl Backoff {
    /// Starts with a wait below `first`, and never waits longer than `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, attempt: 0 }
    }

    /// Returns the wait before the next attempt.
    pub fn next_wait(&mut self) -> Duration {
        let bound = self.first.saturating_mul(1 << self.attempt.min(20)).min(self.longest);
        self.attempt += 1;
        // 53 random bits make a float in 0..1. Without randomness there is no jitter, which is no reason to give up.
        let random = getrandom::u64().map_or(1.0, |bits| (bits >> 11) as f64 / (1_u64 << 53) as f64);
        bound.mul_f64(random)
    }

    /// Starts over, after a successful attempt.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_again_after_a_success() {
        let mut backoff = Backoff::default();
        for attempt in 0..100 {
            let bound = Duration::from_millis(500 << attempt.min(10)).min(Duration::from_secs(20));
            assert!(backoff.next_wait() <= bound, "attempt {attempt}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(500));
    }

    #[test]
    fn two_clients_do_not_wait_the_same() {
        let waits: std::collections::BTreeSet<_> = (0..20).map(|_| Backoff::default().next_wait()).collect();
        assert!(waits.len() > 10, "{waits:?}");
    }
}
