//! A map in parts, each under a lock of its own, so that what happens in one session hardly ever waits for another.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

use super::sync::{Mutex, MutexGuard};

/// Parts of a map: several for each core of a large machine, and little to walk through when all are asked.
const PARTS: usize = 32;

/// One part: a std mutex, because nothing awaits under it and nothing under it takes long.
pub(crate) type Part<'a, K, V> = MutexGuard<'a, HashMap<K, V>>;

/// The parts.
pub(crate) struct Shards<K, V> {
    parts: [Mutex<HashMap<K, V>>; PARTS],
    hasher: RandomState,
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        Self { parts: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }
}

impl<K: Hash + Eq, V> Shards<K, V> {
    /// The part that holds this key, or would.
    pub(crate) fn of(&self, key: &K) -> Part<'_, K, V> {
        let hash = usize::try_from(self.hasher.hash_one(key) % PARTS as u64).expect("smaller than PARTS");
        lock(&self.parts[hash])
    }

    /// Every part, one after the other: never two at once.
    pub(crate) fn each(&self) -> impl Iterator<Item = Part<'_, K, V>> {
        self.parts.iter().map(lock)
    }
}

fn lock<K, V>(part: &Mutex<HashMap<K, V>>) -> Part<'_, K, V> {
    part.lock().expect("nothing panics under this lock")
}
