//! Turns at reading: one user's devices must not take every reading connection, nor so much of the machine that others
//! wait for their reads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::UserId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::shards::Shards;

/// Concurrent long reads of one user: half of the reading connections.
const AT_ONCE: usize = 2;

/// What a read costs besides the bytes it finds: the request, the lookup, the answer.
const LEAST: i64 = 4 * 1024;

/// How fast one user may read: so many bytes a second, once the burst is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Bytes per second; 0 counts as 1.
    pub per_second: u32,
    /// Bytes in a burst.
    pub burst: u32,
}

/// Everybody's turns. Clones are handles to the same ones.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Inner>);

struct Inner {
    own: Shards<UserId, Arc<Semaphore>>,
    pace: Option<Pace>,
    /// What each user may still read; a user who is not in it has read nothing recently.
    left: Shards<UserId, Left>,
}

/// Negative after a large read: the cost is known only when the read is done.
struct Left {
    bytes: i64,
    at: Instant,
}

/// A turn, held until the value is dropped.
pub(crate) struct Turn {
    _place: OwnedSemaphorePermit,
    turns: Turns,
    user: UserId,
}

impl Turn {
    /// Notes how many bytes were read.
    pub(crate) fn cost(&self, bytes: usize) {
        self.turns.spend(self.user, i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

impl Turns {
    pub(crate) fn new(pace: Option<Pace>) -> Self {
        Self(Arc::new(Inner { own: Shards::default(), pace, left: Shards::default() }))
    }

    /// Waits until the user has a turn. A caller must not hold two.
    pub(crate) async fn take(&self, user: UserId) -> Turn {
        let new = || Arc::new(Semaphore::new(AT_ONCE));
        let own = self.0.own.of(&user).entry(user).or_insert_with(new).clone();
        let place = own.acquire_owned().await.expect("never closed");
        while let Some(wait) = self.wait(user, Instant::now()) {
            tokio::time::sleep(wait).await;
        }
        self.spend(user, LEAST);
        Turn { _place: place, turns: self.clone(), user }
    }

    /// Forgets users who neither have a turn nor wait for one, and those whose full burst is available.
    pub(crate) fn forget_idle(&self, now: Instant) {
        for mut part in self.0.own.each() {
            part.retain(|_, own| Arc::strong_count(own) > 1);
        }
        if let Some(pace) = self.0.pace {
            for mut part in self.0.left.each() {
                part.retain(|_, left| left.by(now, pace) < i64::from(pace.burst));
            }
        }
    }

    /// Returns how long the user has to wait for what they have read.
    fn wait(&self, user: UserId, now: Instant) -> Option<Duration> {
        let pace = self.0.pace?;
        let left = self.0.left.of(&user).get(&user)?.by(now, pace);
        (left <= 0).then(|| Duration::from_secs(left.unsigned_abs() + 1) / pace.per_second.max(1))
    }

    fn spend(&self, user: UserId, bytes: i64) {
        let Some(pace) = self.0.pace else { return };
        let now = Instant::now();
        let mut part = self.0.left.of(&user);
        let left = part.entry(user).or_insert(Left { bytes: pace.burst.into(), at: now });
        *left = Left { bytes: left.by(now, pace).saturating_sub(bytes), at: now };
    }
}

impl Left {
    /// Returns how much it is by then.
    fn by(&self, now: Instant, pace: Pace) -> i64 {
        let since = now.saturating_duration_since(self.at).as_micros();
        let more = since.saturating_mul(u128::from(pace.per_second.max(1))) / 1_000_000;
        let more = i64::try_from(more).unwrap_or(i64::MAX);
        self.bytes.saturating_add(more).min(pace.burst.into())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_person_waits_for_their_own_turns_and_nobody_for_another_persons() {
        let (turns, ada, bob) = (Turns::new(None), UserId::new(), UserId::new());
        let (first, second) = (turns.take(ada).await, turns.take(ada).await);
        assert!(turns.take(ada).now_or_never().is_none());
        assert!(turns.take(bob).now_or_never().is_some());
        turns.forget_idle(Instant::now());
        assert!(turns.take(ada).now_or_never().is_none(), "who has a turn is not forgotten");
        drop(first);
        assert!(turns.take(ada).now_or_never().is_some());
        drop(second);
        turns.forget_idle(Instant::now());
        assert!(turns.0.own.each().all(|part| part.is_empty()));
    }

    #[tokio::test]
    async fn who_has_read_much_waits_for_as_long_as_it_cost_and_nobody_else_does() {
        let (pace, ada, bob) = (Pace { per_second: 1_000, burst: 100_000 }, UserId::new(), UserId::new());
        let turns = Turns::new(Some(pace));
        turns.take(ada).await.cost(90_000);
        turns.take(ada).await.cost(50_000); // there was some budget left, so this read could start
        assert!(turns.take(ada).now_or_never().is_none());
        assert!(turns.take(bob).now_or_never().is_some());
        let now = Instant::now();
        let wait = turns.wait(ada, now).expect("it is owed");
        let owed = Duration::from_secs(48); // 40,000 bytes over the budget, and twice the fixed cost of a read
        assert!(wait > owed - Duration::from_secs(5) && wait < owed + Duration::from_secs(1), "{wait:?}");
        assert_eq!(turns.wait(ada, now + wait), None);
        turns.forget_idle(now + wait);
        assert!(turns.0.left.of(&ada).contains_key(&ada), "what is owed is not forgotten");
        turns.forget_idle(now + wait + Duration::from_secs(101));
        assert!(turns.0.left.each().all(|part| part.is_empty()));
    }
}
