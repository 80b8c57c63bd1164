//! Everybody talks through a proxy that cuts, delays, doubles and half-opens connections, and drops messages.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::crowd::Crowd;
use super::proxy::Proxy;
use super::run::{Talk, clean, finish, folder};
use super::{Failure, Outcome, Result, Rig};

/// A device that waits this long for an acknowledgement considers its connection dead.
const PATIENCE: Duration = Duration::from_millis(700);

/// The longest that a device stays on a connection: then it reconnects, to meet another fate.
const RESTLESS: Duration = Duration::from_millis(400);

/// How much longer the run may take to meet every fate, where connections are few.
const LATE: Duration = Duration::from_secs(60);

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    let data = folder()?;
    let server = rig.server(data.path()).start().await?;
    let mut crowd = Crowd::gather(&server.base, 16, 4, 8).await?;
    let proxy = Proxy::start(&server.base, rig.random(4_000)).await?;
    for client in &mut crowd.people {
        client.kill();
        client.http.move_to(&proxy.base);
    }
    let talk = Talk::begin(rig, crowd, |device| {
        device.set_patience(PATIENCE);
        device.set_restless(RESTLESS);
    });
    let until = Instant::now()
        + rig.lane.of(Duration::from_secs(8), Duration::from_secs(60), Duration::from_secs(300));
    let met = || Instant::now() > until + LATE || proxy.fates.all_met();
    while (Instant::now() < until || !met()) && !talk.has_failed() {
        sleep(Duration::from_millis(100)).await;
    }
    let base = server.base.clone();
    let (_, figures) = talk.end_and_check(&base).await?;
    let fates = proxy.fates.to_string();
    finish(server).await?;
    if !proxy.fates.all_met() {
        return Err(Failure::Missed(format!("not every fate was met: {fates}")));
    }
    Ok(Outcome::Passed(format!("connections: {fates}; {figures}: {}", clean())))
}
