//! What a process takes of the machine, by Linux' `/proc`.

use super::Error;

/// A process that is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Process(pub u32);

/// What it has taken.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    /// CPU time in seconds, its own and the system's for it, of all its threads, to a hundredth of a second.
    pub cpu_seconds: f64,
    /// Memory that is really there, in KiB.
    pub rss_kib: u64,
}

impl Process {
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
        let Self(pid) = self;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        parse(&stat, &status).ok_or_else(|| Error::protocol(format!("/proc/{pid} is not as expected")))
    }
}

fn parse(stat: &str, status: &str) -> Option<Used> {
    // The name in parentheses may hold anything; utime and stime are the 12th and 13th field behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let ticks = ticks()? + ticks()?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(Used {
        cpu_seconds: ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
        rss_kib: rss.trim().strip_suffix("kB")?.trim().parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_an_odd_name_is_read_right() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 9 0 5 10000 900";
        let used = parse(stat, "Name:\ta ) b\nVmRSS:\t   12345 kB\nThreads:\t9\n").unwrap();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(used, Used { cpu_seconds: 400.0 / ticks, rss_kib: 12_345 });
    }

    #[test]
    fn this_process_has_memory() {
        assert!(Process::own().used().unwrap().rss_kib > 1_000);
    }
}
