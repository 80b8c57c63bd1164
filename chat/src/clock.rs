//! The only place that reads the clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::TimeStamp;

/// Returns the current time by this machine's clock; if that is set back, time stands still until it has caught up.
pub(crate) fn now() -> TimeStamp {
    static LATEST: AtomicI64 = AtomicI64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    TimeStamp(LATEST.fetch_max(now, Ordering::Relaxed).max(now))
}
