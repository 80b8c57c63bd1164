//! What takes a password. The server hashes few at a time and behind all else, and asks whoever waited 2 s to come back:
//! on a machine that has other things to do that is no failure, so people here do come back.

use std::path::Path;
use std::time::Duration;

use headless::{Backoff, LIMIT};
use protocol::{Code, Fault};
use tokio::time::{sleep, timeout};

use super::{natter, run};

/// Asks again as long as the answer is that the server is busy. Four programs that only count keep a password waiting
/// for longer than anything else.
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

/// `natter password`, with this on its standard input: exit code, stdout, stderr.
pub async fn set_password(data: &Path, name: &str, input: &str) -> (Option<i32>, String, String) {
    let busy = Fault::of(Code::Unavailable).reason;
    let ask = async || run(natter(data).args(["password", name]), input).await;
    patiently(ask, |(_, _, err)| err.contains(&busy)).await
}
