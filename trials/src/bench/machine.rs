//! The machine that produced the numbers.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::load::Error;

/// The machine that produced the numbers. It stays anonymous.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processors that this process may use.
    pub cores: usize,
    /// The processor's model, as the processor reports it.
    pub processor: String,
    /// Memory in GiB.
    pub memory_gib: f64,
    /// The kernel's version.
    pub kernel: String,
    /// The distribution.
    pub system: String,
    /// The median time to sync 4 KiB to the servers' disk, in milliseconds.
    pub sync_ms: f64,
}

impl Machine {
    /// Describes this machine, with the disk that `folder` is on.
    ///
    /// # Errors
    /// When this is not Linux, or nothing can be written there.
    pub fn here(folder: &Path) -> Result<Self, Error> {
        let memory = after(&fs::read_to_string("/proc/meminfo")?, "MemTotal");
        let kib: f64 = memory.trim_end_matches("kB").trim().parse().unwrap_or_default();
        let processor = after(&fs::read_to_string("/proc/cpuinfo")?, "model name");
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        Ok(Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor,
            memory_gib: kib / f64::from(1 << 20),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            system: system.unwrap_or("Linux").trim_matches('"').to_owned(),
            sync_ms: sync(folder)?,
        })
    }
}

/// Returns the value after `name:` in one of `/proc`'s lists.
fn after(list: &str, name: &str) -> String {
    let value = list.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    value.unwrap_or("unknown").trim().to_owned()
}

/// Returns the median time of 200 synced appends of 4 KiB, in milliseconds.
fn sync(folder: &Path) -> Result<f64, Error> {
    let mut file = tempfile::tempfile_in(folder)?;
    let mut times = Vec::with_capacity(200);
    for _ in 0..200 {
        file.write_all(&[7; 4096])?;
        let began = Instant::now();
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(super::figures::median(&times).expect("200 times"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let machine = Machine::here(&std::env::temp_dir()).unwrap();
        assert!(machine.cores > 0 && machine.memory_gib > 0.1 && machine.sync_ms > 0.0, "{machine:?}");
        assert!(!machine.kernel.is_empty() && !machine.system.contains('"'));
    }

    #[test]
    fn a_list_is_read_by_its_names() {
        let list = "MemTotal:       24576000 kB\nMemFree: 1 kB\n";
        assert_eq!(after(list, "MemTotal"), "24576000 kB");
        assert_eq!(after("model name\t: A CPU @ 2 GHz\n", "model name"), "A CPU @ 2 GHz");
        assert_eq!(after(list, "Mem"), "unknown");
    }
}
