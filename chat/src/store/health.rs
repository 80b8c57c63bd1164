//! Whether the database takes commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A commit, or what comes with it, that takes this long will not end well.
const STUCK: Duration = Duration::from_secs(10);

/// Whether the database takes commits. Clones look at the same one.
#[derive(Clone)]
pub(crate) struct Health(Arc<State>);

struct State {
    born: Instant,
    writes: AtomicBool,
    /// Since when the writer is at work, in milliseconds from `born`, and one more; 0 for none.
    working: AtomicU64,
    meter: metrics::Gauge,
}

impl Health {
    pub(super) fn new() -> Self {
        let meter = metrics::gauge!("natter_takes_commits");
        meter.set(1.0);
        let (writes, working) = (AtomicBool::new(true), AtomicU64::new(0));
        Self(Arc::new(State { born: Instant::now(), writes, working, meter }))
    }

    /// Whether commits are possible, as far as the last one tells, and the one under way is not stuck.
    pub(crate) fn takes_commits(&self) -> bool {
        let State { born, writes, working, .. } = &*self.0;
        let stuck = match working.load(Ordering::Relaxed) {
            0 => false,
            since => born.elapsed() > Duration::from_millis(since) + STUCK,
        };
        writes.load(Ordering::Relaxed) && !stuck
    }

    pub(super) fn set_writes(&self, possible: bool) {
        self.0.writes.store(possible, Ordering::Relaxed);
        self.0.meter.set(if possible { 1.0 } else { 0.0 });
    }

    /// The writer is at work until the value is dropped: a sync that hangs may be a checkpoint's as well as a commit's.
    pub(super) fn working(&self) -> impl Drop + use<> {
        struct Working(Health);
        impl Drop for Working {
            fn drop(&mut self) {
                self.0.0.working.store(0, Ordering::Relaxed);
            }
        }
        let since = u64::try_from(self.0.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        self.0.working.store(since, Ordering::Relaxed);
        Working(self.clone())
    }
}
