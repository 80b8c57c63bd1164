//! A flood of concurrent sign-ins: people who talk notice nothing, and memory stays bounded.

use std::time::Duration;

use futures::future::{try_join, try_join_all};

use super::crowd::{Crowd, another_login, credentials};
use super::meanwhile::{most_memory, talk};
use super::run::{finish, folder, percentile};
use super::{Failure, Outcome, Result, Rig};
use headless::{Http, Response};

/// The limit for 99 of 100 acknowledgements of somebody who talks meanwhile.
const ACK: Duration = Duration::from_millis(25);

/// How often they send.
const PACE: Duration = Duration::from_millis(5);

/// One flood lasts two or three seconds, so a single moment in which the machine does something else affects more than
/// one message in a hundred.
const ROUNDS: usize = 5;

/// How much memory the flood may take: this much, plus what one password takes to hash (argon2's m, RFC 9106) for each
/// hashing thread, one per core less one. On two cores that is 64 MiB.
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
    let rounds = if rig.lane.is_timed() { ROUNDS } else { 1 };
    let flood = std::thread::spawn(move || flood(&base, &body, logins, rounds));
    let is_over = || flood.is_finished();
    let (mut acks, most) =
        try_join(talk(&mut talker, session, PACE, is_over), most_memory(&server, is_over)).await?;
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
    another_login(&crowd.people[0]).await?; // afterwards sign-ins work again
    finish(server).await?;
    let (p99, worst) = (percentile(&mut acks, 0.99), acks.iter().max().copied().unwrap_or_default());
    let grown = most.saturating_sub(before);
    let said = format!(
        "{rounds} times {logins} logins at once, {let_in} let in and {put_off} put off; meanwhile {} acks, p99 {p99:.1?}, the worst {worst:.1?}, memory +{} KiB",
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

/// Signs in this many times concurrently, in several rounds; on its own thread, so that people who talk never wait for
/// this side's work.
fn flood(base: &str, body: &serde_json::Value, logins: usize, rounds: usize) -> Result<Vec<Response>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let http = Http::new(base);
    let mut answers = Vec::new();
    for _ in 0..rounds {
        let signing_in = (0..logins).map(|_| {
            let mut http = http.clone();
            async move { http.post("/api/login", body).await }
        });
        answers.extend(runtime.block_on(try_join_all(signing_in))?);
    }
    Ok(answers)
}
