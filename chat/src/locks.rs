//! The hub's locks and counters: the standard library's or, with the feature `shuttle`, versions that can be
//! interrupted in every way that threads can be: see `interleavings`.

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};
