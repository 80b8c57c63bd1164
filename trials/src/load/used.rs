//! What a process has used of the machine.

use super::Error;
use crate::process::{memory, processor_time};

/// A process to observe.
#[derive(Debug, Clone, Copy)]
pub struct ProcessId(pub u32);

/// What a process has used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    /// CPU time of all its threads, user and system, in seconds, to a hundredth of a second.
    pub cpu_seconds: f64,
    /// Resident memory, in KiB.
    pub rss_kib: u64,
}

impl ProcessId {
    /// Returns this process.
    #[must_use]
    pub fn own() -> Self {
        Self(std::process::id())
    }

    /// Returns what it has used until now.
    ///
    /// # Errors
    /// When there is no such process, or this is not Linux.
    pub fn used(self) -> Result<Used, Error> {
        Ok(Used { cpu_seconds: processor_time(self.0)?.as_secs_f64(), rss_kib: memory(self.0)? / 1024 })
    }
}
