//! Counting permits: at most so many at a time for each address, or each user.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

/// Slots, counted per owner. Clones share the same counts.
pub(crate) struct Slots<K>(Arc<Inner<K>>);

struct Inner<K> {
    most: usize,
    /// Has no entry for an owner without slots, so it never outgrows what is open.
    taken: Mutex<HashMap<K, usize>>,
}

/// A slot, returned on drop.
pub(crate) struct Slot<K: Eq + Hash> {
    slots: Slots<K>,
    whose: K,
}

impl<K: Copy + Eq + Hash> Slots<K> {
    /// Allows each owner this many.
    pub(crate) fn new(most: u32) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self(Arc::new(Inner { most, taken: Mutex::default() }))
    }

    /// Takes one more slot, unless the owner is at the limit.
    pub(crate) fn take(&self, whose: K) -> Option<Slot<K>> {
        let mut taken = self.lock();
        let count = taken.entry(whose).or_default();
        if *count >= self.0.most {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Slot { slots: self.clone(), whose })
    }
}

impl<K: Eq + Hash> Slots<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.0.taken.lock().expect("nothing panics under this lock")
    }
}

impl<K> Clone for Slots<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Eq + Hash> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        if let Some(count) = taken.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_so_many_places_and_gets_them_back() {
        let slots = Slots::new(2);
        let (first, _second) = (slots.take("Ada").unwrap(), slots.take("Ada").unwrap());
        assert!(slots.take("Ada").is_none());
        let bob = slots.take("Bob").unwrap();
        drop(first);
        let _third = slots.take("Ada").unwrap();
        assert!(slots.take("Ada").is_none());
        drop(bob);
        assert_eq!(slots.lock().len(), 1, "who has none is forgotten");
    }
}
