//! A byte budget per key: a caller that finds no room waits, in line.

use std::hash::Hash;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::shards::Shards;

/// The unit in which room is counted, in bytes. Everything takes at least one.
pub(crate) const UNIT: usize = 1024;

/// The room of each key.
pub(crate) struct Budgets<K> {
    units: u32,
    of: Shards<K, Arc<Semaphore>>,
}

impl<K: Copy + Eq + Hash> Budgets<K> {
    /// Makes budgets of this many bytes per key.
    pub(crate) fn new(bytes: u32) -> Self {
        let units = bytes / u32::try_from(UNIT).unwrap_or(u32::MAX);
        Self { units: units.max(1), of: Shards::default() }
    }

    /// Waits for room for this many bytes, held until the value is dropped. Anything larger than the whole budget takes
    /// all of it. Cancel safe, but a caller that retries goes to the end of the line.
    pub(crate) async fn take(&self, whose: K, bytes: usize) -> OwnedSemaphorePermit {
        let new = || Arc::new(Semaphore::new(self.units as usize));
        let own = self.of.of(&whose).entry(whose).or_insert_with(new).clone();
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.units);
        own.acquire_many_owned(units).await.expect("never closed")
    }

    /// Forgets keys that neither hold room nor wait for it.
    pub(crate) fn forget_idle(&self) {
        for mut part in self.of.each() {
            part.retain(|_, own| Arc::strong_count(own) > 1);
        }
    }

    /// Whether no key is known.
    #[cfg(test)]
    pub(crate) fn is_at_rest(&self) -> bool {
        self.of.each().all(|part| part.is_empty())
    }
}
