//! So many bytes at a time for each: whoever finds no room waits, behind those who came before.

use std::hash::Hash;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::hub::Shards;

/// What room is counted in, in bytes. Everything takes one at least.
pub(crate) const UNIT: usize = 1024;

/// The room of each, by what they are counted by.
pub(crate) struct Budgets<K> {
    units: u32,
    of: Shards<K, Arc<Semaphore>>,
}

impl<K: Copy + Eq + Hash> Budgets<K> {
    /// Room for so many bytes for each.
    pub(crate) fn new(bytes: u32) -> Self {
        let units = bytes / u32::try_from(UNIT).unwrap_or(u32::MAX);
        Self { units: units.max(1), of: Shards::default() }
    }

    /// Waits for room for so many bytes, which is held until the value is dropped. What is larger than all of the room
    /// takes all of it. Cancel safe, but whoever comes again waits behind the others.
    pub(crate) async fn take(&self, whose: K, bytes: usize) -> OwnedSemaphorePermit {
        let new = || Arc::new(Semaphore::new(self.units as usize));
        let own = self.of.of(&whose).entry(whose).or_insert_with(new).clone();
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.units);
        own.acquire_many_owned(units).await.expect("never closed")
    }

    /// Forgets those who neither hold room nor wait for it.
    pub(crate) fn forget_idle(&self) {
        for mut part in self.of.each() {
            part.retain(|_, own| Arc::strong_count(own) > 1);
        }
    }

    /// Whether nobody is known.
    #[cfg(test)]
    pub(crate) fn is_at_rest(&self) -> bool {
        self.of.each().all(|part| part.is_empty())
    }
}
