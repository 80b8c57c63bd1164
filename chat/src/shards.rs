//! A sharded map, each part under its own lock, so that one session hardly ever waits for another.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

use crate::locks::{Mutex, MutexGuard};

/// Parts of a map: several per core on a large machine, yet few to walk through when all are visited.
const PARTS: usize = 32;

/// One part: a std mutex, because nothing awaits or takes long under it.
pub(crate) type Part<'a, K, V> = MutexGuard<'a, HashMap<K, V>>;

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
    /// Locks the part that holds this key, or would.
    pub(crate) fn of(&self, key: &K) -> Part<'_, K, V> {
        let hash = usize::try_from(self.hasher.hash_one(key) % PARTS as u64).expect("smaller than PARTS");
        lock(&self.parts[hash])
    }

    /// Locks every part, one after the other: never two at once.
    pub(crate) fn each(&self) -> impl Iterator<Item = Part<'_, K, V>> {
        self.parts.iter().map(lock)
    }
}

fn lock<K, V>(part: &Mutex<HashMap<K, V>>) -> Part<'_, K, V> {
    part.lock().expect("nothing panics under this lock")
}
