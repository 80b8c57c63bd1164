//! Very many sign in at once: those who talk notice nothing, and the memory stays bounded.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::try_join_all;
use protocol::ServerFrame;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::crowd::{Crowd, another_login, credentials};
use super::run::{finish, folder, percentile};
use super::{Failure, Outcome, Result, Rig};
use crate::{Answer, Http};

/// The acknowledgement of somebody who talks meanwhile, 99 of 100.
const ACK: Duration = Duration::from_millis(25);

/// How often they say something.
const PACE: Duration = Duration::from_millis(5);

/// How much memory the flood may take: so much, and what one password takes to hash (argon2's m, RFC 9106) for each
/// thread that hashes, all cores but one. On two cores that is 64 MiB.
const MEMORY: u64 = 45 << 20;
const PASSWORD: u64 = 19 << 20;

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    let logins: usize = if rig.lane.is_timed() { 1_000 } else { 100 };
    let data = folder()?;
    let server = rig.server(data.path()).start().await?;
    let mut crowd = Crowd::gather(&server.base, 2, 1, 2).await?;
    let session = crowd.sessions[0].0;
    let base = server.base.clone();
    let body = credentials(&crowd.people[0]);
    let mut talker = crowd.people.remove(1);
    let before = server.memory()?;
    let flood = std::thread::spawn(move || flood(&base, &body, logins));
    // At a pace of its own, whatever the answers do: a stall is charged to all that had to wait in it.
    let (mut acks, mut most, mut waiting) = (Vec::new(), 0, HashMap::new());
    let mut due = interval(PACE);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while !flood.is_finished() || !waiting.is_empty() {
        tokio::select! {
            at = due.tick(), if !flood.is_finished() => {
                waiting.insert(talker.say(session, "meanwhile").await?, at);
                most = most.max(server.memory()?);
            }
            frame = talker.next() => {
                if let ServerFrame::Ack { message_id, .. } = frame? {
                    acks.extend(waiting.remove(&message_id).map(|at: Instant| at.elapsed()));
                }
            }
        }
    }
    let (mut let_in, mut put_off) = (0, 0);
    for answer in flood.join().map_err(|_| Failure::Missed("the flood has panicked".into()))?? {
        match answer.status {
            200 => let_in += 1,
            503 if answer.header("retry-after").is_some() => put_off += 1,
            other => {
                return Err(Failure::Missed(format!("a login was answered with {other}: {}", answer.text())));
            }
        }
    }
    another_login(&crowd.people[0]).await?; // afterwards everybody is let in again
    finish(server).await?;
    let (p99, worst) = (percentile(&mut acks, 0.99), acks.iter().max().copied().unwrap_or_default());
    let grown = most.saturating_sub(before);
    let said = format!(
        "{logins} logins at once, {let_in} let in and {put_off} put off; meanwhile {} acks, p99 {p99:.1?}, the worst {worst:.1?}, memory +{} KiB",
        acks.len(),
        grown >> 10
    );
    let threads =
        std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1));
    let timely = let_in > 0 && put_off > 0 && p99 <= ACK;
    if acks.is_empty() || grown > MEMORY + PASSWORD * threads as u64 || (rig.lane.is_timed() && !timely) {
        return Err(Failure::Missed(said));
    }
    Ok(Outcome::Passed(said))
}

/// So many sign in at once; on a thread of its own, so that those who talk never wait for this side's work.
fn flood(base: &str, body: &serde_json::Value, logins: usize) -> Result<Vec<Answer>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let http = Http::new(base);
    let signing_in = (0..logins).map(|_| {
        let mut http = http.clone();
        async move { http.post("/api/login", body).await }
    });
    Ok(runtime.block_on(try_join_all(signing_in))?)
}
