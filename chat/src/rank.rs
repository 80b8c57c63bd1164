//! Which threads go first when there are fewer cores than work.

/// Puts the calling thread so far behind the rest of the process (`nice`: each step is worth a quarter more of a core to
/// the others; sched(7)). For good: the system lets nobody come forward again. On Linux only; elsewhere the whole process
/// would stand back.
pub fn stand_back(steps: i32) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        let behind = |rank: i32| setpriority_process(None, rank.saturating_add(steps).min(19));
        if let Err(error) = getpriority_process(None).and_then(behind) {
            tracing::warn!(%error, "a thread cannot be put behind the others");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = steps;
}
