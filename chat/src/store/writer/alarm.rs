//! Wakes the writer at a time. Its thread may outlast the runtime, and a timer that is asked after the runtime has ended
//! panics: so a task waits in its place, which ends with the runtime.

use std::time::Instant;

use tokio::task::JoinHandle;

/// Rings once, at the time that it is set to.
#[derive(Default)]
pub(super) struct Alarm {
    at: Option<Instant>,
    waiting: Option<JoinHandle<()>>,
}

impl Alarm {
    /// To be rung at this time, and at no other.
    pub(super) fn set(&mut self, at: Option<Instant>) {
        if self.at == at {
            return;
        }
        self.stop();
        self.at = at;
        self.waiting = at.map(|at| tokio::spawn(tokio::time::sleep_until(at.into())));
    }

    /// Ready when it rings. Never, when the runtime has ended.
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
