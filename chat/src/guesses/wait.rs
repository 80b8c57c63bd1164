//! Why, and for how long, an attempt is refused.

use std::time::Duration;

pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);

/// Why an attempt is refused for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Wait this long.
    For(Duration),
    /// The same, after too many in a row, so the wait is long until the owner has signed in.
    ForTheOwner(Duration),
}
