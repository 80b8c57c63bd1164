//! Turns at reading: one person's devices must not take every connection that reads the database.

use std::sync::Arc;

use protocol::UserId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::hub::Shards;

/// Long reads of one user at a time: half of the connections that read.
const AT_ONCE: usize = 2;

/// Everybody's turns.
#[derive(Default)]
pub(crate) struct Turns(Shards<UserId, Arc<Semaphore>>);

impl Turns {
    /// Waits until the user has a turn, which lasts until the value is dropped. Not to be held twice by one caller.
    pub(crate) async fn take(&self, user: UserId) -> OwnedSemaphorePermit {
        let new = || Arc::new(Semaphore::new(AT_ONCE));
        let own = self.0.of(&user).entry(user).or_insert_with(new).clone();
        own.acquire_owned().await.expect("never closed")
    }

    /// Forgets those who neither have a turn nor wait for one.
    pub(crate) fn forget_idle(&self) {
        for mut part in self.0.each() {
            part.retain(|_, own| Arc::strong_count(own) > 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_person_waits_for_their_own_turns_and_nobody_for_another_persons() {
        let (turns, ada, bob) = (Turns::default(), UserId::new(), UserId::new());
        let (first, second) = (turns.take(ada).await, turns.take(ada).await);
        assert!(turns.take(ada).now_or_never().is_none());
        assert!(turns.take(bob).now_or_never().is_some());
        turns.forget_idle();
        assert!(turns.take(ada).now_or_never().is_none(), "who has a turn is not forgotten");
        drop(first);
        assert!(turns.take(ada).now_or_never().is_some());
        drop(second);
        turns.forget_idle();
        assert!(turns.0.each().all(|part| part.is_empty()));
    }
}
