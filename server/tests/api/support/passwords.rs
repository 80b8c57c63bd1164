//! Requests with passwords. The server hashes few at a time, at the lowest priority, and asks callers that waited 2 s
//! to retry. On a busy machine that is no failure, so clients here do retry.

use std::path::Path;
use std::time::Duration;

use headless::{Backoff, LIMIT};
use protocol::{Code, Fault};
use tokio::time::{sleep, timeout};

use super::{natter, run};

/// Retries as long as the server answers that it is busy. On a machine with four CPU-bound programs, passwords wait
/// longer than anything else.
pub async fn patiently<T>(mut ask: impl AsyncFnMut() -> T, is_busy: impl Fn(&T) -> bool) -> T {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
    let asking = async {
        loop {
            let answer = ask().await;
            if !is_busy(&answer) {
                return answer;
            }
            sleep(backoff.next_wait()).await;
        }
    };
    timeout(4 * LIMIT, asking).await.expect("the server has time for a password")
}

/// Runs `natter password` with this standard input; returns exit code, stdout and stderr.
pub async fn set_password(data: &Path, name: &str, input: &str) -> (Option<i32>, String, String) {
    let busy = Fault::of(Code::Unavailable).reason;
    let ask = async || run(natter(data).args(["password", name]), input).await;
    patiently(ask, |(_, _, err)| err.contains(&busy)).await
}
