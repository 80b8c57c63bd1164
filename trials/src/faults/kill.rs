//! `kill -9` at random moments, while everybody talks.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::crowd::Crowd;
use super::run::{Figures, Talk, clean, finish, folder, percentile};
use super::{Failure, Outcome, Result, Rig};
use crate::process::PATIENCE;

/// Kills per chapter. Each chapter has its own server folder and people and is checked separately, so that neither
/// database nor histories grow with the number of kills.
const CHAPTER: usize = 25;

const SENDERS: usize = 16;
const SESSIONS: usize = 4;
/// People in each session: every sender is in two.
const MEMBERS: usize = 8;

/// When to kill, in milliseconds after the server was ready.
const MOMENTS: std::ops::RangeInclusive<u64> = 50..=900;

/// One in `STARTING` kills hits the server while it starts, `RECOVERING` ms after its process did: mid-recovery.
const STARTING: u64 = 5;
const RECOVERING: std::ops::RangeInclusive<u64> = 1..=60;

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    let (kills, acked) = match rig.bug {
        Some(_) => (20, 2_000), // a planted bug shows soon
        None => rig.lane.of((50, 25_000), (200, 100_000), (2_000, 1_000_000)),
    };
    let chapters = usize::div_ceil(kills, CHAPTER);
    let (mut total, mut killed, mut ready) = (Figures::default(), 0, Vec::new());
    for chapter in 0..chapters {
        let left = chapters - chapter;
        let goal =
            ((kills - killed).div_ceil(left), usize::saturating_sub(acked, total.acked).div_ceil(left));
        let (figures, done, mut readies) = self::chapter(rig, chapter, goal).await?;
        total += figures;
        killed += done;
        ready.append(&mut readies);
        if chapters > 1 {
            println!("    kill: {killed} kills, {total}: {}", clean());
        }
    }
    if killed < kills || total.acked < acked {
        return Err(Failure::Missed(format!("only {killed} kills and {total}: then nothing moved any more")));
    }
    let ready = percentile(&mut ready, 0.99);
    Ok(Outcome::Passed(format!("{killed} kills, {total}: {}; ready again in {ready:.0?} (p99)", clean())))
}

async fn chapter(rig: &Rig, chapter: usize, goal: (usize, usize)) -> Result<(Figures, usize, Vec<Duration>)> {
    let data = folder()?;
    let mut server = rig.server(data.path()).start().await?;
    let crowd = Crowd::gather(&server.base, SENDERS, SESSIONS, MEMBERS).await?;
    let talk = Talk::begin(rig, crowd, |_| {});
    let mut random = rig.random(1_000 + chapter as u64);
    let (mut kills, mut ready) = (0, Vec::new());
    let mut moved = Instant::now();
    while (kills < goal.0 || talk.acked.get() < goal.1) && !talk.has_failed() && moved.elapsed() < PATIENCE {
        let before = talk.acked.get();
        sleep(Duration::from_millis(random.u64(MOMENTS))).await;
        // Killing a server that nobody talks to proves nothing, so it does not count.
        if talk.acked.get() > before {
            (kills, moved) = (kills + 1, Instant::now());
        }
        server.kill().await?;
        if random.u64(..STARTING) == 0 {
            server.start_and_kill(Duration::from_millis(random.u64(RECOVERING))).await?;
        }
        server.start_again().await?;
        ready.push(server.ready_after);
    }
    let base = server.base.clone();
    let (_, figures) = talk.end_and_check(&base).await?;
    finish(server).await?;
    Ok((figures, kills, ready))
}
