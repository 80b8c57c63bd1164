//! Restarts in good order, while everybody talks.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::crowd::Crowd;
use super::run::{Talk, clean, finish, folder, percentile};
use super::{Failure, Outcome, Result, Rig};

/// How soon a server that was told to has to be gone.
const GONE: Duration = Duration::from_secs(15);

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    let data = folder()?;
    let mut server = rig.server(data.path()).start().await?;
    let crowd = Crowd::gather(&server.base, 16, 4, 8).await?;
    let talk = Talk::begin(rig, crowd, |_| {});
    let restarts = rig.lane.of(2, 5, 10);
    let mut longest = Duration::ZERO;
    for _ in 0..restarts {
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
