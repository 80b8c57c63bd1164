//! What is measured, and for how long.

use std::time::Duration;

use crate::load::Plan;

/// The rates of the open loops, in messages a second.
pub(super) const RATES: [f64; 12] =
    [10.0, 25.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1_600.0, 3_200.0, 6_400.0, 12_800.0, 25_600.0];

/// The index of the rate at which the first repeat starts.
pub(super) const FIRST_RATE: usize = 1;

/// Each message's length: a line and a half of a chat.
pub(super) const MESSAGE_BYTES: usize = 140;

/// Pairs that talk in the closed loop of many pairs, and in the open loops.
pub(super) const PAIRS: usize = 50;

/// Messages a second of all pairs together, while people do all that they do on the page: a third
/// of what each may send.
pub(super) const MIXED_RATE: f64 = 1_000.0;

/// Messages in flight at any time in the fan-out's group.
pub(super) const FAN_OUT_DEPTH: usize = 8;

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Course {
    /// How often everything is measured; the page shows medians.
    pub repeats: usize,
    /// How many connections to hold, in ascending order. The most only in the first repeat: thousands of logins take
    /// some systems a minute.
    pub sockets: Vec<usize>,
    /// How long to hold them.
    pub hold: Duration,
    /// How long messages are sent before times count, in each measurement.
    pub warm_up: Duration,
    /// How long messages are sent after that, in each measurement.
    pub length: Duration,
    /// Members of the fan-out's group.
    pub group: usize,
    /// The highest rate tried, in messages a second.
    pub highest_rate: f64,
    /// Whether this is only a trial.
    pub quick: bool,
}

impl Course {
    /// Returns the course behind the page.
    #[must_use]
    pub fn full() -> Self {
        Self {
            repeats: 3,
            sockets: vec![1_000, 5_000],
            hold: Duration::from_secs(3),
            warm_up: Duration::from_millis(500),
            length: Duration::from_secs(4),
            group: 200,
            highest_rate: f64::MAX,
            quick: false,
        }
    }

    /// Returns a trial course: everything once, briefly and with few people.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            repeats: 1,
            sockets: vec![100],
            hold: Duration::from_millis(500),
            warm_up: Duration::from_millis(200),
            length: Duration::from_secs(1),
            group: 20,
            highest_rate: 400.0,
            quick: true,
        }
    }

    /// Returns everybody, in pairs.
    pub(super) fn everybody(&self) -> Plan {
        Plan::new(self.sockets.iter().copied().max().unwrap_or_default().max(2 * PAIRS), 2)
    }

    /// Returns how many connections this repeat holds, one count after another.
    pub(super) fn sockets_in(&self, repeat: usize) -> &[usize] {
        match self.sockets.split_last() {
            Some((_, others)) if repeat > 0 && !others.is_empty() => others,
            _ => &self.sockets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_sockets_are_held_once() {
        let full = Course::full();
        assert_eq!(full.sockets_in(0), [1_000, 5_000]);
        assert_eq!(full.sockets_in(1), [1_000]);
        assert_eq!(full.everybody(), Plan::new(5_000, 2));
        assert_eq!(Course::quick().sockets_in(2), [100]);
    }
}
