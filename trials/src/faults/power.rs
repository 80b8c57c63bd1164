//! Power cuts. The server's folder is an ext4 on a loop device. At random moments the scenario freezes the server and
//! copies the file behind the device: what was not synced is not in it, just as after a power cut. It mounts the copy,
//! opens the database and checks it against everything that had been acknowledged or seen by then.
//!
//! The control is the planted bug `synchronous-normal`: with it, the same rig must lose something.

use std::time::Duration;

use tokio::time::sleep;

use super::crowd::Crowd;
use super::disk::{Mount, cannot_mount, read_table};
use super::run::{Talk, clean, finish, folder};
use super::{Failure, Outcome, Result, Rig};
use crate::check::{Bounds, Table, check};

/// Images per server; then another starts with an empty disk.
const CHAPTER: usize = 10;

const MEBIBYTES: u64 = 192;

/// Milliseconds of talk between two images.
const MOMENTS: std::ops::RangeInclusive<u64> = 30..=400;

/// The server is frozen while its disk is copied, so a message's latency means nothing.
const FROZEN: Duration = Duration::from_secs(600);

/// What a power cut would have left.
struct Image {
    /// The moment of the cut, since the history began.
    until: Duration,
    table: Table,
}

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    if let Some(why) = cannot_mount("ext4") {
        return Ok(Outcome::Skipped(format!("{why}.")));
    }
    let images = rig.lane.of(10, 60, 200);
    let (mut done, mut acked, mut stored) = (0, 0, 0);
    for chapter in 0..usize::div_ceil(images, CHAPTER) {
        let (a, s) = self::chapter(rig, chapter, CHAPTER.min(images - done)).await?;
        (acked, stored) = (acked + a, stored + s);
        done += CHAPTER.min(images - done);
    }
    if acked == 0 || stored == 0 {
        return Err(Failure::Missed(format!(
            "{done} images: {acked} acked and {stored} rows are nothing to compare"
        )));
    }
    Ok(Outcome::Passed(format!(
        "{done} images, all whole, {acked} acked and {stored} rows compared: {}",
        clean()
    )))
}

async fn chapter(rig: &Rig, chapter: usize, images: usize) -> Result<(usize, usize)> {
    let folder = folder()?;
    let (image, at) = (folder.path().join("disk"), folder.path().join("mounted"));
    let disk = Mount::new_ext4(&image, &at, MEBIBYTES)?;
    let data = at.join("data");
    let server = rig.server(&data).start().await?;
    let crowd = Crowd::gather(&server.base, 16, 4, 8).await?;
    let mut talk = Talk::begin(rig, crowd, |_| {});
    talk.bounds.delivery = FROZEN;
    let mut random = rig.random(2_000 + chapter as u64);
    let mut taken = Vec::new();
    while taken.len() < images && !talk.has_failed() {
        sleep(Duration::from_millis(random.u64(MOMENTS))).await;
        server.freeze().await?;
        let copy = folder.path().join(format!("copy-{}", taken.len()));
        let (from, to) = (image.clone(), copy.clone());
        let copied = tokio::task::spawn_blocking(move || std::fs::copy(from, to)).await;
        // Everything noted until now was acknowledged or seen before the server froze.
        let until = talk.history.elapsed();
        server.thaw()?;
        copied.map_err(|error| Failure::Missed(error.to_string()))??;
        // Each under its own name: a mount may outlive its drop while somebody has it open.
        let found = folder.path().join(format!("found-{}", taken.len()));
        let mounted = Mount::of_image(&copy, &found)?;
        taken.push(Image { until, table: read_table(&found.join("data")).await? });
        drop(mounted);
        std::fs::remove_file(copy)?;
    }
    let base = server.base.clone();
    let (ended, _) = talk.end_and_check(&base).await?;
    finish(server).await?;
    drop(disk);
    let (mut acked, mut stored) = (0, 0);
    for image in &taken {
        let history = ended.history.until(image.until);
        let figures = format!("after {:.1?}", image.until);
        let broken = check(&history, &image.table, &Bounds::default());
        if !broken.is_empty() {
            return Err(Failure::Broken { broken, figures });
        }
        // Each image contains what the earlier ones do.
        acked = acked.max(history.acked());
        stored += image.table.values().map(Vec::len).sum::<usize>();
    }
    Ok((acked, stored))
}
