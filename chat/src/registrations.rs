//! How many accounts were created from each network in the last day. Pure: the caller passes the time.
//!
//! Kept in memory: a restart forgets it, and only the operator can cause one.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Recent registrations.
pub(crate) struct Registrations {
    most: usize,
    /// Oldest first.
    made: HashMap<IpAddr, VecDeque<Instant>>,
}

impl Registrations {
    /// Allows at most this many a day from one network.
    pub(crate) fn new(most: u32) -> Self {
        Self { most: usize::try_from(most).unwrap_or(usize::MAX), made: HashMap::new() }
    }

    /// Checks whether one more is allowed; the error says when.
    pub(crate) fn may(&mut self, now: Instant, network: IpAddr) -> Result<(), Duration> {
        let Some(made) = self.made.get_mut(&network) else { return Ok(()) };
        while made.front().is_some_and(|at| *at + DAY <= now) {
            made.pop_front();
        }
        match made.len().checked_sub(self.most).map(|at| made[at]) {
            Some(first) => Err((first + DAY).saturating_duration_since(now)),
            None => Ok(()),
        }
    }

    /// Does the same, and counts it: many may be in progress concurrently.
    pub(crate) fn begin(&mut self, now: Instant, network: IpAddr) -> Result<(), Duration> {
        self.may(now, network)?;
        self.made.retain(|_, made| made.back().is_some_and(|at| now < *at + DAY));
        self.made.entry(network).or_default().push_back(now);
        Ok(())
    }

    /// Uncounts one that was begun but not completed.
    pub(crate) fn not_made(&mut self, network: IpAddr) {
        if let Some(made) = self.made.get_mut(&network) {
            made.pop_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_network_makes_so_many_accounts_in_any_day_and_others_as_many() {
        let (mut registrations, start) = (Registrations::new(50), Instant::now());
        let network = |n: u32| IpAddr::from(Ipv4Addr::from_bits(n << 8));
        let minute = Duration::from_secs(60);
        let mut made = |network: IpAddr, from: u32, to: u32| {
            (from..to).filter(|n| registrations.begin(start + minute * *n, network).is_ok()).count()
        };
        assert_eq!(made(network(1), 0, 24 * 60), 50);
        assert_eq!(made(network(2), 0, 24 * 60), 50);
        assert_eq!(made(network(1), 24 * 60, 48 * 60), 50, "the next day");
        let now = start + minute * 47 * 60;
        let hour = Duration::from_secs(60 * 60);
        assert_eq!(registrations.may(now, network(1)).unwrap_err(), hour, "until the first is a day old");
        registrations.not_made(network(1));
        assert!(registrations.begin(now, network(1)).is_ok());
        assert!(registrations.begin(now, network(1)).is_err());
        registrations.begin(start + DAY * 9, network(3)).unwrap();
        assert_eq!(registrations.made.len(), 1, "nothing is kept for ever");
    }
}
