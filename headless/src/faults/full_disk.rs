//! A disk that is full: a small tmpfs is talked full, stays full for a while, and is grown.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::crowd::{Crowd, another_device};
use super::disk::{Mount, cannot_mount};
use super::run::{Talk, clean, finish, folder, told};
use super::{Failure, Outcome, Result, Rig};
use crate::process::PATIENCE;

/// The disk before and after it is grown.
const MEBIBYTES: (u64, u64) = (8, 512);

/// Bytes of a message.
const TEXT: usize = 2_000;

/// The disk is full when the server says so, and without any acknowledgement for so long.
const TAKES: &str = "natter_takes_commits";
const QUIET: Duration = Duration::from_millis(1500);

/// How soon writing has to return by itself.
const BACK: Duration = Duration::from_secs(5);

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    if let Some(why) = cannot_mount("tmpfs") {
        return Ok(Outcome::Skipped(format!("{why}.")));
    }
    let folder = folder()?;
    let at = folder.path().join("mounted");
    let disk = Mount::new_tmpfs(&at, MEBIBYTES.0)?;
    let server = rig.server(&at.join("data")).private().start().await?;
    let private = server.private.clone().unwrap_or_default();
    let crowd = Crowd::gather(&server.base, 8, 2, 4).await?;
    let mut visitor = another_device(&crowd.people[0]);
    let session = crowd.sessions[0].0;
    let talk = Talk::begin(rig, crowd, |device| device.set_filling(TEXT));

    let full = async {
        let (mut acked, mut since) = (talk.acked.get(), Instant::now());
        // Now and then a small commit still fits; and a pause may have another reason.
        while (since.elapsed() < QUIET || told(&private, TAKES).await? == 1) && !talk.has_failed() {
            sleep(Duration::from_millis(50)).await;
            if talk.acked.get() != acked {
                (acked, since) = (talk.acked.get(), Instant::now());
            }
        }
        Ok::<_, Failure>(acked)
    };
    let acked = timeout(PATIENCE, full).await;
    let acked = acked.map_err(|_| Failure::Missed("the disk did not get full".into()))??;

    // Full: everything that was acknowledged is there to be read, by an old acquaintance and on a new page.
    let mut reads = 0;
    let full_for =
        Instant::now() + rig.lane.of(Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(5));
    while Instant::now() < full_for {
        let stored = visitor.whole_history(session).await?;
        if stored.is_empty() {
            return Err(Failure::Missed("nothing can be read while the disk is full".into()));
        }
        visitor.load().await?;
        visitor.online().await?;
        visitor.kill();
        reads += 3;
    }

    disk.resize(MEBIBYTES.1)?;
    let (grown, stood) = (Instant::now(), talk.acked.get());
    while talk.acked.get() == stood && !talk.has_failed() {
        if grown.elapsed() > PATIENCE {
            return Err(Failure::Missed("writing did not return after the disk was grown".into()));
        }
        sleep(Duration::from_millis(20)).await;
    }
    let back = grown.elapsed();
    if rig.lane.is_timed() && back > BACK {
        return Err(Failure::Missed(format!("writing returned after {back:.1?}, not within {BACK:?}")));
    }
    sleep(Duration::from_millis(500)).await;
    let base = server.base.clone();
    let (_, figures) = talk.end_and_check(&base).await?;
    finish(server).await?;
    drop(disk);
    Ok(Outcome::Passed(format!(
        "full after {acked} acks, {reads} reads while full, writing again {back:.1?} after it grew; {figures}: {}",
        clean()
    )))
}
