//! Graceful restarts, while everybody talks.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::crowd::Crowd;
use super::run::{Talk, clean, finish, folder, percentile, told};
use super::{Failure, Outcome, Result, Rig};
use crate::process::{PATIENCE, Process};

/// How soon a server must be gone after being asked to end.
const GONE: Duration = Duration::from_secs(15);

const DEVICES: usize = 16;

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    let data = folder()?;
    let mut server = rig.server(data.path()).private().start().await?;
    let crowd = Crowd::gather(&server.base, DEVICES, 4, 8).await?;
    let talk = Talk::begin(rig, crowd, |_| {});
    let restarts = rig.lane.of(2, 5, 10);
    let mut longest = Duration::ZERO;
    for _ in 0..restarts {
        all_there(&server).await?;
        sleep(Duration::from_secs(1)).await;
        let told = Instant::now();
        let status = server.terminate().await?;
        let gone = told.elapsed();
        if !status.success() || gone > GONE {
            return Err(Failure::Missed(format!(
                "told to end, the server ended after {gone:.1?} with {status}"
            )));
        }
        longest = longest.max(gone);
        server.start_again().await?;
    }
    let base = server.base.clone();
    let (mut ended, figures) = talk.end_and_check(&base).await?;
    finish(server).await?;
    let away = percentile(&mut ended.absences, 0.99);
    Ok(Outcome::Passed(format!(
        "{restarts} restarts, each gone in {longest:.1?} at most, devices away {away:.1?} (p99); {figures}: {}",
        clean()
    )))
}

/// Waits until every device is connected: the server asked some to wait for seconds.
async fn all_there(server: &Process) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let private = server.private.as_deref().unwrap_or_default();
    while told(private, "natter_sockets").await? < DEVICES as u64 {
        if Instant::now() > deadline {
            return Err(Failure::Missed(format!("not everybody was back {PATIENCE:?} after a restart")));
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
