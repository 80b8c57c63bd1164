//! What a process has taken of the machine.

use super::Error;
use crate::process::{memory, processor_time};

/// A process that is looked at.
#[derive(Debug, Clone, Copy)]
pub struct ProcessId(pub u32);

/// What it has taken.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    /// CPU time in seconds, its own and the system's for it, of all its threads, to a hundredth of a second.
    pub cpu_seconds: f64,
    /// Memory that is really there, in KiB.
    pub rss_kib: u64,
}

impl ProcessId {
    /// This process.
    #[must_use]
    pub fn own() -> Self {
        Self(std::process::id())
    }

    /// What it has taken until now.
    ///
    /// # Errors
    /// When there is no such process, or this is not Linux.
    pub fn used(self) -> Result<Used, Error> {
        Ok(Used { cpu_seconds: processor_time(self.0)?.as_secs_f64(), rss_kib: memory(self.0)? / 1024 })
    }
}
