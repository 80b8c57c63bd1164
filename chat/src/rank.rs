//! Which threads go first when there is more work than cores.

/// Lowers the calling thread's priority below the rest of the process (`nice`: each step is worth a quarter more of a
/// core to the others; sched(7)). Permanent: the system does not let a thread raise it again. On Linux only; elsewhere
/// it would lower the whole process.
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
