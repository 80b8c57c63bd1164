//! Wakes the writer at a set time. Its thread may outlive the runtime, and a timer polled after the runtime has ended
//! panics, so a task, which ends with the runtime, waits instead.

use std::time::Instant;

use tokio::task::JoinHandle;

/// Rings once, at the time it is set to.
#[derive(Default)]
pub(super) struct Alarm {
    at: Option<Instant>,
    waiting: Option<JoinHandle<()>>,
}

impl Alarm {
    /// Sets it to ring at this time only.
    pub(super) fn set(&mut self, at: Option<Instant>) {
        if self.at == at {
            return;
        }
        self.stop();
        self.at = at;
        self.waiting = at.map(|at| tokio::spawn(tokio::time::sleep_until(at.into())));
    }

    /// Completes when it rings. Never completes once the runtime has ended.
    pub(super) async fn rings(&mut self) {
        let Some(waiting) = &mut self.waiting else { return std::future::pending().await };
        let rang = waiting.await;
        self.waiting = None;
        if rang.is_err() {
            return std::future::pending().await;
        }
        self.at = None;
    }

    fn stop(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.abort();
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.stop();
    }
}
