//! The disk fails to sync: strace fails one `fsync` or `fdatasync` with EIO, at a different point each time.
//!
//! The outcome of that commit is unknown. Its messages must not be acknowledged or seen before it is known; reading
//! goes on; and writing recovers automatically. Every other time the server is killed at that moment: then too, it must
//! come back with what it reported to everybody.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use protocol::Seq;
use tokio::time::{Instant, sleep};

use super::crowd::{Crowd, another_device};
use super::run::{Talk, clean, finish, folder};
use super::{Failure, Outcome, Result, Rig};
use crate::process::{PATIENCE, Process, Start};

/// The calls that sync: which of them SQLite uses depends on how it was compiled.
const SYNCS: &str = "fsync,fdatasync";

/// Which sync fails, counted per thread. The first few belong to the server's start, which a failing disk would end:
/// three for the writer's first commit, four where the last stop was not clean.
const POSITIONS: std::ops::RangeInclusive<u32> = 8..=60;

/// How soon it must acknowledge again, where times count.
const HEALED: Duration = Duration::from_secs(10);

/// Acknowledgements that must include messages sent after the failure: more than were in flight.
const AGAIN: usize = PEOPLE * protocol::MAX_UNACKED + 1;

const PEOPLE: usize = 8;

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    if let Some(why) = cannot_trace() {
        return Ok(Outcome::Skipped(why));
    }
    let folder = folder()?;
    let data = folder.path().join("data");
    let mut server = rig.server(&data).start().await?;
    let address = server.base.strip_prefix("http://").unwrap_or_default().to_owned();
    let base = server.base.clone();
    let crowd = Crowd::gather(&base, PEOPLE, 2, 4).await?;
    let mut visitor = another_device(&crowd.people[0]);
    let session = crowd.sessions[0].0;
    let talk = Talk::begin(rig, crowd, |_| {});
    // Before anything fails, there must be something to read meanwhile.
    let deadline = Instant::now() + PATIENCE;
    while visitor.history(session, Seq(i64::MAX)).await?.messages.is_empty() {
        if Instant::now() > deadline || talk.has_failed() {
            return Err(Failure::Missed("nobody could say anything before a sync failed".into()));
        }
        sleep(Duration::from_millis(20)).await;
    }
    let mut random = rig.random(3_000);
    let mut longest = Duration::ZERO;
    let positions = rig.lane.of(4, 40, 40);
    let healed = if rig.lane.is_timed() { HEALED } else { PATIENCE };
    for position in 0..positions {
        server.terminate().await?;
        let when = random.u32(POSITIONS);
        let log = folder.path().join(format!("trace-{position}"));
        server = traced(rig.server(&data).at(&address), &log, when).await?;
        let failed = || std::fs::read_to_string(&log).is_ok_and(|lines| lines.contains("(INJECTED)"));
        until(&talk, PATIENCE, failed, || format!("sync {when} was never reached")).await?;
        let (acked, failed_at) = (talk.acked.get(), Instant::now());
        if position % 2 == 1 {
            // Before it has recovered or just after: this exposes whatever the failed commit left in the files.
            server.kill().await?;
            server = rig.server(&data).at(&address).start().await?;
        } else if visitor.history(session, Seq(i64::MAX)).await?.messages.is_empty() {
            return Err(Failure::Missed("nothing can be read after a sync failed".into()));
        }
        let again = || talk.acked.get() >= acked + AGAIN;
        let how = || format!("after sync {when} had failed, nothing new was acknowledged within {healed:?}");
        until(&talk, healed.saturating_sub(failed_at.elapsed()), again, how).await?;
        if position % 2 == 0 {
            longest = longest.max(failed_at.elapsed());
        }
    }
    server.kill().await?;
    server = rig.server(&data).at(&address).start().await?;
    let (_, figures) = talk.end_and_check(&base).await?;
    finish(server).await?;
    let said = format!(
        "{positions} failed syncs, half of them healed by the server itself within {longest:.1?}, half met by a kill"
    );
    Ok(Outcome::Passed(format!("{said}; {figures}: {}", clean())))
}

/// Starts a server whose sync number `when` fails.
async fn traced(start: Start, log: &Path, when: u32) -> Result<Process> {
    let inject = format!("inject={SYNCS}:error=EIO:when={when}");
    let (traced, trace) = (format!("trace={SYNCS}"), log.display().to_string());
    let strace = ["strace", "-D", "-f", "-q", "-o", &trace, "-e", &traced, "-e", &inject];
    Ok(start.under(strace).start().await?)
}

/// Waits for something while everybody talks.
async fn until(
    talk: &Talk,
    limit: Duration,
    done: impl Fn() -> bool,
    missed: impl Fn() -> String,
) -> Result<()> {
    let began = Instant::now();
    while !done() {
        if began.elapsed() > limit || talk.has_failed() {
            return Err(Failure::Missed(missed()));
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Returns why errors cannot be injected here, if they cannot.
fn cannot_trace() -> Option<String> {
    let done = Command::new("strace")
        .args(["-f", "-q", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=9", "true"])
        .stdin(Stdio::null())
        .output();
    match done {
        Err(_) => {
            Some("strace, which makes a sync fail, is not installed (Debian: apt-get install strace).".into())
        }
        Ok(done) if !done.status.success() => Some("strace may not trace here.".into()),
        Ok(_) => None,
    }
}
