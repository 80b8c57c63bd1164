//! Answers in flight: how many bytes wait to be taken, per user and per address. A client that reads slowly, or not at
//! all, makes the server hold this much and no more, however many connections it has.
//!
//! Code that makes an answer first takes room for it, gives back what it did not need, and holds the rest until the
//! answer is written. If there is no room it waits, in line. Small answers need none: the number of connections and
//! sockets bounds them.

use std::net::IpAddr;

use protocol::UserId;
use tokio::sync::OwnedSemaphorePermit;

use crate::budgets::{Budgets, UNIT};
use crate::caller::household;

/// An answer of at most this many bytes bypasses the queue.
const SMALL: usize = 64 * 1024;

/// How many bytes of answers may be in flight at a time. A larger answer goes alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnderWay {
    /// For one user.
    pub user: u32,
    /// For one address, or one /64 of IPv6.
    pub address: u32,
}

/// The answers of all users.
pub(crate) struct Answers(Option<(Budgets<UserId>, Budgets<IpAddr>)>);

/// Room for an answer, released on drop.
#[derive(Default)]
pub struct Room {
    user: Option<OwnedSemaphorePermit>,
    address: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Gives back what an answer of this many bytes does not need.
    pub fn shrink_to(&mut self, bytes: usize) {
        let needed = if bytes <= SMALL { 0 } else { bytes.div_ceil(UNIT) };
        for held in [&mut self.user, &mut self.address] {
            let over = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits).saturating_sub(needed);
            drop(held.as_mut().and_then(|held| held.split(over)));
        }
    }
}

impl Answers {
    pub(crate) fn new(most: Option<UnderWay>) -> Self {
        Self(most.map(|most| (Budgets::new(most.user), Budgets::new(most.address))))
    }

    /// Waits for room for an answer of this many bytes.
    pub(crate) async fn room(&self, user: UserId, address: Option<IpAddr>, bytes: usize) -> Room {
        let Some((users, addresses)) = self.0.as_ref().filter(|_| bytes > SMALL) else {
            return Room::default();
        };
        // Always in this order, to avoid deadlock.
        let user = Some(users.take(user, bytes).await);
        let address = match address {
            Some(address) => Some(addresses.take(household(address), bytes).await),
            None => None,
        };
        Room { user, address }
    }

    /// Forgets users and addresses without an answer in flight.
    pub(crate) fn forget_idle(&self) {
        if let Some((users, addresses)) = &self.0 {
            users.forget_idle();
            addresses.forget_idle();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const KIB: usize = 1024;

    #[tokio::test]
    async fn who_finds_no_room_waits_behind_those_who_came_before_and_small_answers_pass() {
        let answers = Answers::new(Some(UnderWay { user: 400 * 1024, address: 1000 * 1024 }));
        let (ada, bob, here) = (UserId::new(), UserId::new(), Some(IpAddr::from([127, 0, 0, 1])));
        let first = answers.room(ada, here, 300 * KIB).await;
        let mut second = Box::pin(answers.room(ada, here, 200 * KIB));
        assert!((&mut second).now_or_never().is_none());
        let mut third = Box::pin(answers.room(ada, here, 70 * KIB));
        assert!((&mut third).now_or_never().is_none(), "there would be room, and somebody was here before");
        assert!(answers.room(ada, here, 64 * KIB).now_or_never().is_some(), "small ones pass");
        let other = answers.room(bob, here, 300 * KIB).now_or_never();
        assert!(other.is_some(), "another user has their own");
        drop(first);
        assert!((&mut second).now_or_never().is_some() && (&mut third).now_or_never().is_some());
    }

    #[tokio::test]
    async fn an_address_has_its_own_bound_and_one_above_it_goes_alone() {
        let answers = Answers::new(Some(UnderWay { user: 400 * 1024, address: 500 * 1024 }));
        let (ada, bob) = (UserId::new(), UserId::new());
        let (here, there) = (Some(IpAddr::from([127, 0, 0, 1])), Some(IpAddr::from([127, 0, 0, 2])));
        let mut alone = answers.room(ada, here, 9000 * KIB).await;
        assert!(answers.room(bob, here, 200 * KIB).now_or_never().is_none());
        assert!(answers.room(bob, there, 200 * KIB).now_or_never().is_some());
        alone.shrink_to(100 * KIB);
        let rest = answers.room(bob, here, 200 * KIB).now_or_never();
        assert!(rest.is_some(), "what was not needed is given back");
        alone.shrink_to(64 * KIB);
        assert!(answers.room(ada, here, 250 * KIB).now_or_never().is_some(), "a small one needs no room");
        drop((alone, rest));
        answers.forget_idle();
        let (users, addresses) = answers.0.as_ref().unwrap();
        assert!(users.is_at_rest() && addresses.is_at_rest());
    }
}
