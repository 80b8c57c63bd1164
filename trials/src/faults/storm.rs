//! Everybody reconnects together after a `kill -9`, with something to catch up on.

use std::time::Duration;

use futures::future::try_join_all;
use protocol::Rev;
use tokio::time::Instant;

use super::crowd::{Crowd, another_device};
use super::device::Device;
use super::run::{Ended, clean, finish, folder, stored, told};
use super::{Failure, Outcome, Result, Rig};
use crate::check::{Actor, Bounds, History, Table};

/// Messages sent in each session before the others reconnect, and again while they do.
const MISSED: usize = 50;

/// How soon everybody must have caught up.
const BACK: Duration = Duration::from_secs(10);

/// Pages that may be read from the database per session.
const PAGES: u64 = 3;

/// Who reconnects.
#[derive(Debug, Clone, Copy)]
struct Shape {
    sessions: usize,
    /// Per session.
    people: usize,
    /// Per person.
    devices: usize,
}

/// Pairs with many devices; and large groups, in which everybody also sees everybody else come and go.
const FULL: [Shape; 2] =
    [Shape { sessions: 50, people: 2, devices: 20 }, Shape { sessions: 4, people: 200, devices: 1 }];
const SHORT: [Shape; 2] =
    [Shape { sessions: 10, people: 2, devices: 10 }, Shape { sessions: 1, people: 40, devices: 1 }];

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    let mut said = Vec::new();
    for shape in if rig.lane.is_timed() { FULL } else { SHORT } {
        said.push(storm(rig, shape).await?);
    }
    Ok(Outcome::Passed(format!("{}: {}", said.join("; "), clean())))
}

/// Runs one storm. Returns its figures.
async fn storm(rig: &Rig, shape: Shape) -> Result<String> {
    let Shape { sessions, people, devices: each } = shape;
    let readers = sessions * people * each;
    let data = folder()?;
    let mut server = rig.server(data.path()).private().start().await?;
    let crowd = Crowd::gather(&server.base, sessions * people, sessions, people).await?;
    let mut history = History::new();
    let mut numbers = (0..).map(Actor);
    let mut device =
        |client| Device::new(client, history.log(numbers.next().expect("there is no last number")));
    let (mut senders, mut devices) = (Vec::new(), Vec::new());
    let mut everybody = crowd.people.into_iter();
    for (session, _) in &crowd.sessions {
        let mut group: Vec<_> = everybody.by_ref().take(shape.people).collect();
        for of in group.iter().cycle().take(shape.people * each) {
            devices.push((device(another_device(of)), *session));
        }
        senders.push((device(group.swap_remove(0)), *session));
    }
    try_join_all(devices.iter_mut().map(|(device, _)| device.back())).await?;

    devices.iter_mut().for_each(|(device, _)| device.unplug());
    try_join_all(senders.iter_mut().map(|(device, session)| device.write(*session, MISSED))).await?;
    server.kill().await?;
    let killed = Instant::now();
    let writing = try_join_all(senders.iter_mut().map(|(device, session)| device.write(*session, MISSED)));
    let goal = Rev(i64::try_from(2 * MISSED).expect("a small number"));
    let catching_up = try_join_all(devices.iter_mut().map(|(device, session)| async move {
        device.catch_up(&[(*session, goal)]).await?;
        Ok::<_, Failure>(killed.elapsed())
    }));
    let starting = async { Ok::<_, Failure>(server.start_again().await?) };
    let (_, back, ()) = tokio::try_join!(writing, catching_up, starting)?;
    let last = back.into_iter().max().unwrap_or_default();

    let private = server.private.clone().unwrap_or_default();
    let (pages, lags) =
        (told(&private, "natter_page_reads_total").await?, told(&private, "natter_lag_total").await?);
    let (mut table, mut differences) = (Table::new(), Vec::new());
    for (device, session) in &mut senders {
        table.insert(*session, stored(&mut device.client, *session).await?);
    }
    for (device, _) in senders.into_iter().chain(devices) {
        differences.extend(device.differs(&table));
        history.add(device.into_parts().1);
    }
    let figures = Ended { table, history, differences, absences: Vec::new() }.check(&Bounds::default())?;
    finish(server).await?;
    let said = format!(
        "{readers} devices of {} people in {sessions} sessions at the head {last:.1?} after the kill, {:.1} page reads a session, {lags} lagged; {figures}",
        sessions * people,
        pages as f64 / sessions as f64
    );
    // At least once each: the missed messages are nowhere else.
    let needed = sessions as u64;
    if !(needed..=PAGES * needed).contains(&pages) || (rig.lane.is_timed() && last > BACK) {
        return Err(Failure::Missed(said));
    }
    Ok(said)
}
