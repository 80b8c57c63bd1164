//! Reconnecting after missing very many messages: everything arrives, in order, in time.

use std::time::Duration;

use futures::future::try_join_all;
use protocol::Rev;
use tokio::time::Instant;

use super::crowd::Crowd;
use super::device::Device;
use super::run::{Ended, clean, finish, folder, stored};
use super::{Failure, Outcome, Result, Rig};
use crate::check::{Actor, Bounds, History, Table};

/// How long catching up may take (issue: 3 s for 100,000).
const BACK: Duration = Duration::from_secs(3);

const WRITERS: usize = 4;

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    let missed: usize = if rig.lane.is_timed() { 100_000 } else { 10_000 };
    let data = folder()?;
    let server = rig.server(data.path()).start().await?;
    let crowd = Crowd::gather(&server.base, WRITERS + 1, 1, WRITERS + 1).await?;
    let session = crowd.sessions[0].0;
    let mut history = History::new();
    let mut devices: Vec<_> = crowd
        .people
        .into_iter()
        .zip(0..)
        .map(|(client, n)| Device::new(client, history.log(Actor(n))))
        .collect();
    let mut reader = devices.remove(0);
    reader.unplug();
    try_join_all(devices.iter_mut().map(|writer| writer.write(session, missed / WRITERS))).await?;
    devices.iter_mut().for_each(Device::listens_no_more);

    let began = Instant::now();
    reader.back().await?;
    reader.catch_up(&[(session, Rev(i64::try_from(missed).expect("a small number")))]).await?;
    let took = began.elapsed();

    let table = Table::from([(session, stored(&mut reader.client, session).await?)]);
    let differences = reader.differs(&table);
    devices.into_iter().chain([reader]).for_each(|device| history.add(device.into_parts().1));
    let figures = Ended { table, history, differences, absences: Vec::new() }.check(&Bounds::default())?;
    finish(server).await?;
    let said = format!("{missed} missed, all there after {took:.2?}; {figures}");
    if rig.lane.is_timed() && took > BACK {
        return Err(Failure::Missed(said));
    }
    Ok(Outcome::Passed(format!("{said}: {}", clean())))
}
