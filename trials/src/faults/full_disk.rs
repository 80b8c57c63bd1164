//! A full disk: messages fill a small tmpfs, it stays full for a while, and then has room again. Once to the last byte,
//! and once to the floor below which the server takes no new messages.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use headless::Client;
use protocol::SessionId;
use rustix::fs::{FallocateFlags, fallocate};
use tokio::time::{Instant, sleep, timeout};

use super::crowd::{Crowd, another_device};
use super::disk::{Mount, cannot_mount};
use super::run::{Talk, clean, finish, folder, told};
use super::{Failure, Outcome, Result, Rig};
use crate::process::PATIENCE;

/// A message's length in bytes.
const TEXT: usize = 2_000;

/// The disk counts as full when the server's metric says so and no acknowledgement has come for this long.
const TAKES_COMMITS: &str = "natter_takes_commits";
const TAKES_MESSAGES: &str = "natter_takes_messages";
const QUIET: Duration = Duration::from_millis(1500);

/// How soon writing must recover automatically.
const BACK: Duration = Duration::from_secs(5);

/// How full it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    /// Commits fail.
    ToTheLastByte,
    /// New messages are refused for now: a twentieth of the disk is left, more than the write-ahead log may grow to.
    ToTheFloor,
}

impl Full {
    /// Returns the size of the disk and of what is already on it, in MiB.
    const fn mebibytes(self) -> (u64, u64) {
        match self {
            Full::ToTheLastByte => (8, 0),
            Full::ToTheFloor => (400, 352),
        }
    }

    /// Returns whether the server reports that the disk is this full.
    async fn is_said(self, private: &str) -> Result<bool> {
        Ok(match self {
            Full::ToTheLastByte => told(private, TAKES_COMMITS).await? == 0,
            Full::ToTheFloor => {
                if told(private, TAKES_COMMITS).await? == 0 {
                    return Err(Failure::Missed("a commit failed above the floor".into()));
                }
                told(private, TAKES_MESSAGES).await? == 0
            }
        })
    }
}

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    if let Some(why) = cannot_mount("tmpfs") {
        return Ok(Outcome::Skipped(format!("{why}.")));
    }
    let last_byte = talked(rig, Full::ToTheLastByte).await?;
    let floor = talked(rig, Full::ToTheFloor).await?;
    Ok(Outcome::Passed(format!("without a floor {last_byte}; with it {floor}: {}", clean())))
}

async fn talked(rig: &Rig, full: Full) -> Result<String> {
    let folder = folder()?;
    let at = folder.path().join("mounted");
    let (size, taken) = full.mebibytes();
    let disk = Mount::new_tmpfs(&at, size)?;
    let ballast = at.join("ballast");
    lay(&ballast, taken)?;
    let start = rig.server(&at.join("data")).private();
    let start = if full == Full::ToTheFloor { start.limited() } else { start };
    let server = start.start().await?;
    let private = server.private.clone().unwrap_or_default();
    let crowd = Crowd::gather(&server.base, 8, 2, 4).await?;
    let mut visitor = another_device(&crowd.people[0]);
    let session = crowd.sessions[0].0;
    let talk = Talk::begin(rig, crowd, |device| device.set_filling(TEXT));

    let acked = timeout(PATIENCE, fills(&talk, full, &private)).await;
    let acked = acked.map_err(|_| Failure::Missed("the disk did not get full".into()))??;
    let full_for = rig.lane.of(Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(5));
    let reads = read_on(&mut visitor, session, full_for).await?;

    match full {
        Full::ToTheLastByte => disk.resize(512)?,
        Full::ToTheFloor => std::fs::remove_file(&ballast)?,
    }
    let back = writing_returns(&talk).await?;
    if rig.lane.is_timed() && back > BACK {
        return Err(Failure::Missed(format!("writing returned after {back:.1?}, not within {BACK:?}")));
    }
    sleep(Duration::from_millis(500)).await;
    let base = server.base.clone();
    let (_, figures) = talk.end_and_check(&base).await?;
    finish(server).await?;
    drop(disk);
    Ok(format!(
        "full after {acked} acks, {reads} reads while full, writing again {back:.1?} after it had room; {figures}"
    ))
}

/// Waits until the disk is full. Returns how many messages were acknowledged until then.
async fn fills(talk: &Talk, full: Full, private: &str) -> Result<usize> {
    let (mut acked, mut since) = (talk.acked.get(), Instant::now());
    // Now and then a small commit still fits, and a pause may have another cause.
    while (since.elapsed() < QUIET || !full.is_said(private).await?) && !talk.has_failed() {
        sleep(Duration::from_millis(50)).await;
        if talk.acked.get() != acked {
            (acked, since) = (talk.acked.get(), Instant::now());
        }
    }
    Ok(acked)
}

/// Reads for a while, the history as well as what a newly opened page loads. Returns how often.
async fn read_on(visitor: &mut Client, session: SessionId, length: Duration) -> Result<usize> {
    let (began, mut reads) = (Instant::now(), 0);
    while began.elapsed() < length {
        if visitor.whole_history(session).await?.is_empty() {
            return Err(Failure::Missed("nothing can be read while the disk is full".into()));
        }
        visitor.load().await?;
        visitor.online().await?;
        visitor.kill();
        reads += 3;
    }
    Ok(reads)
}

/// Waits until messages are acknowledged again. Returns how long that took.
async fn writing_returns(talk: &Talk) -> Result<Duration> {
    let (grown, stood) = (Instant::now(), talk.acked.get());
    while talk.acked.get() == stood && !talk.has_failed() {
        if grown.elapsed() > PATIENCE {
            return Err(Failure::Missed("writing did not return after the disk had room".into()));
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(grown.elapsed())
}

/// Creates a file that takes this many MiB.
fn lay(file: &Path, mebibytes: u64) -> Result<()> {
    let file = File::create(file)?;
    if mebibytes > 0 {
        let laid = fallocate(&file, FallocateFlags::empty(), 0, mebibytes << 20);
        laid.map_err(|error| Failure::Missed(format!("no ballast on the disk: {error}")))?;
    }
    Ok(())
}
