//! Very many sign in at once: those who talk notice nothing, and the memory stays bounded.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep};

use super::crowd::{Crowd, credentials};
use super::run::{finish, folder, percentile};
use super::{Failure, Outcome, Result, Rig};

/// The acknowledgement of somebody who talks meanwhile, 99 of 100.
const ACK: Duration = Duration::from_millis(25);

/// How much memory the flood may take.
const MEMORY: u64 = 64 << 20;

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    let logins: usize = if rig.lane.is_timed() { 1_000 } else { 100 };
    let data = folder()?;
    let server = rig.server(data.path()).start().await?;
    let mut crowd = Crowd::gather(&server.base, 2, 1, 2).await?;
    let session = crowd.sessions[0].0;
    let http = crate::Http::new(&server.base);
    let body = credentials(&crowd.people[0]);
    let mut talker = crowd.people.remove(1);
    let before = server.memory()?;
    let flood = tokio::spawn(join_all((0..logins).map(|_| {
        let (mut http, body) = (http.clone(), body.clone());
        async move { http.post("/api/login", &body).await }
    })));
    let (mut acks, mut most) = (Vec::new(), 0);
    while !flood.is_finished() {
        let began = Instant::now();
        talker.say_and_wait(session, "meanwhile").await?;
        acks.push(began.elapsed());
        most = most.max(server.memory()?);
        sleep(Duration::from_millis(5)).await;
    }
    let (mut let_in, mut put_off) = (0, 0);
    for answer in flood.await.map_err(|error| Failure::Missed(error.to_string()))? {
        let answer = answer?;
        match answer.status {
            200 => let_in += 1,
            503 if answer.header("retry-after").is_some() => put_off += 1,
            other => {
                return Err(Failure::Missed(format!("a login was answered with {other}: {}", answer.text())));
            }
        }
    }
    finish(server).await?;
    let p99 = percentile(&mut acks, 0.99);
    let grown = most.saturating_sub(before);
    let said = format!(
        "{logins} logins at once, {let_in} let in and {put_off} put off; meanwhile {} acks, p99 {p99:.1?}, memory +{} KiB",
        acks.len(),
        grown >> 10
    );
    if let_in == 0 || grown > MEMORY || (rig.lane.is_timed() && p99 > ACK) {
        return Err(Failure::Missed(said));
    }
    Ok(Outcome::Passed(said))
}
