//! Places that are taken and given back: at most so many at a time for each address, or each user.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

/// Places, counted by whose they are. Clones are handles to the same ones.
pub(crate) struct Places<K>(Arc<Inner<K>>);

struct Inner<K> {
    most: usize,
    /// Who holds none is not in it, so it is never larger than what is open.
    taken: Mutex<HashMap<K, usize>>,
}

/// A place, given back on drop.
pub(crate) struct Place<K: Eq + Hash> {
    places: Places<K>,
    whose: K,
}

impl<K: Copy + Eq + Hash> Places<K> {
    /// As many as that for each.
    pub(crate) fn new(most: u32) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self(Arc::new(Inner { most, taken: Mutex::default() }))
    }

    /// One more, unless they have as many as they may.
    pub(crate) fn take(&self, whose: K) -> Option<Place<K>> {
        let mut taken = self.lock();
        let count = taken.entry(whose).or_default();
        if *count >= self.0.most {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Place { places: self.clone(), whose })
    }
}

impl<K: Eq + Hash> Places<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.0.taken.lock().expect("nothing panics under this lock")
    }
}

impl<K> Clone for Places<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
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
        let places = Places::new(2);
        let (first, _second) = (places.take("Ada").unwrap(), places.take("Ada").unwrap());
        assert!(places.take("Ada").is_none());
        let bob = places.take("Bob").unwrap();
        drop(first);
        let _third = places.take("Ada").unwrap();
        assert!(places.take("Ada").is_none());
        drop(bob);
        assert_eq!(places.lock().len(), 1, "who has none is forgotten");
    }
}
