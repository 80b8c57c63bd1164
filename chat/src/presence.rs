//! Who is online: leases in memory. Pure: the caller brings the time and sends the changes.
//!
//! A user is Online from signing in or the first connection until some time after the last connection ended. Nothing is
//! kept across a restart, so no crash leaves anybody Online.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use protocol::{Presence, UserId};

/// The users who are Online, and why.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    users: HashMap<UserId, Lease>,
    /// Users without a connection, by the end of their lease: checked whenever anybody comes or goes.
    ends: BTreeSet<(Instant, UserId)>,
}

#[derive(Debug)]
struct Lease {
    connections: usize,
    /// When the user goes Offline, while without a connection.
    until: Instant,
}

impl Leases {
    pub(crate) fn of(&self, user: UserId) -> Presence {
        if self.users.contains_key(&user) { Presence::Online } else { Presence::Offline }
    }

    /// Notes a sign-in. Returns whether it brought the user Online.
    pub(crate) fn signed_in(&mut self, user: UserId, now: Instant, lease: Duration) -> bool {
        self.change(user, now, |held| held.until = held.until.max(now + lease))
    }

    /// Notes a new connection. Returns whether it brought the user Online.
    pub(crate) fn connected(&mut self, user: UserId, now: Instant) -> bool {
        self.change(user, now, |held| held.connections += 1)
    }

    /// Notes the end of a connection; the user stays Online for `grace` unless another begins.
    pub(crate) fn disconnected(&mut self, user: UserId, now: Instant, grace: Duration) {
        self.change(user, now, |held| {
            held.connections = held.connections.saturating_sub(1);
            held.until = now + grace;
        });
    }

    /// Changes a user's lease, creating it if there was none. Returns whether it did.
    fn change(&mut self, user: UserId, now: Instant, change: impl FnOnce(&mut Lease)) -> bool {
        let came = !self.users.contains_key(&user);
        let lease = self.users.entry(user).or_insert(Lease { connections: 0, until: now });
        self.ends.remove(&(lease.until, user));
        change(lease);
        if lease.connections == 0 {
            self.ends.insert((lease.until, user));
        }
        came
    }

    /// Removes and returns everybody whose lease has ended.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<UserId> {
        let mut gone = Vec::new();
        while let Some(end @ (_, user)) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            self.ends.remove(&end);
            self.users.remove(&user);
            gone.push(user);
        }
        gone
    }

    /// Returns when to call [`Leases::expire`] next.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.ends.first().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_last_connection_ends_the_lease_after_its_grace() {
        let (mut leases, user, start) = (Leases::default(), UserId::new(), Instant::now());
        assert!(leases.connected(user, start));
        assert!(!leases.connected(user, start), "already here");
        leases.disconnected(user, start, 5 * SECOND);
        assert_eq!(leases.next_expiry(), None, "one connection is left");
        leases.disconnected(user, start + SECOND, 5 * SECOND);
        assert_eq!(leases.next_expiry(), Some(start + 6 * SECOND));
        assert!(leases.expire(start + 5 * SECOND).is_empty());
        assert_eq!(leases.of(user), Presence::Online);
        assert_eq!(leases.expire(start + 6 * SECOND), [user]);
        assert_eq!(leases.of(user), Presence::Offline);
    }

    #[test]
    fn a_connection_within_the_grace_keeps_the_user_online() {
        let (mut leases, user, start) = (Leases::default(), UserId::new(), Instant::now());
        assert!(leases.connected(user, start));
        leases.disconnected(user, start, 5 * SECOND);
        assert!(!leases.connected(user, start + 4 * SECOND), "no new edge");
        assert!(leases.expire(start + 60 * SECOND).is_empty());
    }

    #[test]
    fn signing_in_counts_until_the_socket_takes_over_or_its_lease_ends() {
        let (mut leases, user, start) = (Leases::default(), UserId::new(), Instant::now());
        assert!(leases.signed_in(user, start, 30 * SECOND));
        assert!(leases.expire(start + 29 * SECOND).is_empty());
        assert_eq!(leases.expire(start + 30 * SECOND), [user]);
    }
}
