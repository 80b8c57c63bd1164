//! Whether the database accepts commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A commit, with what belongs to it, that takes this long will not end well.
const STUCK: Duration = Duration::from_secs(10);

/// Whether the database accepts commits. Clones share the state.
#[derive(Clone)]
pub(crate) struct Health(Arc<State>);

struct State {
    born: Instant,
    writes: AtomicBool,
    /// When the writer's current work began, in milliseconds since `born`, plus one; 0 for none.
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

    /// Whether commits are possible, judging by the last one, and the current one is not stuck.
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

    /// Marks the writer as working until the value is dropped: a checkpoint's sync can hang as well as a commit's.
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
