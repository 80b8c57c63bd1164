//! Work without which a server would look alive but serve nobody.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

/// Runs the work, and aborts the process if it panics: after a restart, everything acknowledged is there. Carrying on
/// would leave a writer that stores nothing, or sockets that receive nothing, behind a server that reports itself
/// healthy.
pub(crate) async fn vital(name: &'static str, work: impl Future<Output = ()>) {
    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
        tracing::error!("{name} panicked, as said above: the server ends, so that it can be started anew");
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[tokio::test]
    #[ignore = "run by the test below, in a process of its own"]
    async fn panics() {
        let task = tokio::spawn(vital("the test", async { panic!("on purpose") }));
        let _ = task.await;
    }

    #[test]
    fn a_panic_in_vital_work_ends_the_process_and_not_the_task_alone() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let done =
            child.args(["--exact", "vital::tests::panics", "--ignored", "--nocapture"]).output().unwrap();
        assert_eq!(done.status.signal(), Some(6), "{done:?}"); // SIGABRT
    }
}
