//! Stalled readers beside healthy ones: the server must not grow with them, the others must not wait for them, and they
//! must get everything once they read again.

use std::ops::Range;
use std::time::Duration;

use futures::future::try_join_all;
use protocol::{Rev, ServerFrame, SessionId};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::crowd::{Crowd, another_device};
use super::device::Device;
use super::run::{Ended, clean, finish, folder, percentile, stored, told};
use super::{Failure, Outcome, Result, Rig};
use crate::check::{Actor, Bounds, History, Table};
use crate::process::{PATIENCE, Process};

/// The memory that one stalled reader may take, and everything else (issue: 64 KiB each and 32 MiB).
const EACH: u64 = 64 << 10;
const ALL_ELSE: u64 = 32 << 20;

/// How soon every message must reach the healthy readers, who stay in step.
const IN_TIME: Duration = Duration::from_secs(2);

/// The factor by which it may be slower for the others.
const SLOWER: f64 = 1.2;

/// How often stalled readers reconnect, and stall again: soon afterwards the server would close them, and they would no
/// longer be stalled readers.
const AGAIN: Duration = Duration::from_secs(14);

/// The length of a longish message.
const TEXT: usize = 300;

/// How much of everything.
struct Size {
    sessions: usize,
    healthy: usize,
    stalled: usize,
    /// Messages a second, in all sessions together.
    rate: u32,
    alone: Duration,
    beside: Duration,
}

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    let seconds = Duration::from_secs;
    let full =
        Size { sessions: 10, healthy: 50, stalled: 200, rate: 1000, alone: seconds(20), beside: seconds(60) };
    let short =
        Size { sessions: 2, healthy: 6, stalled: 40, rate: 200, alone: seconds(2), beside: seconds(5) };
    let size = if rig.lane.is_timed() { full } else { short };
    let data = folder()?;
    let server = rig.server(data.path()).private().start().await?;
    let crowd = Crowd::gather(&server.base, size.sessions * 3, size.sessions, 3).await?;
    let mut scene = Scene::begin(crowd, &size);
    // By turns, so that whatever else this machine does is charged to both. While the stalled readers connect, two
    // hundred handshakes are in progress: that counts as neither.
    let turns = u32::try_from(size.beside.as_secs().div_ceil(AGAIN.as_secs())).unwrap_or(1);
    let (mut alone, mut beside, mut left) = (Vec::new(), Vec::new(), size.beside);
    let (mut before, mut most, mut stalled) = (0, 0, Vec::new());
    for _ in 0..turns {
        stalled.iter_mut().for_each(Device::unplug);
        let began = Instant::now();
        sleep(size.alone / turns).await;
        alone.push(began..Instant::now());
        if stalled.is_empty() {
            before = server.memory()?;
            stalled = scene.stall(&size).await?;
        } else {
            come_again(&mut stalled).await?;
        }
        let (began, length) = (Instant::now(), left.min(AGAIN));
        most = most.max(watch_memory(&server, length).await?);
        beside.push(began..Instant::now());
        left -= length;
    }
    let lagged = all_stalled(&server, size.stalled).await?;
    let (history, table, latencies) = scene.end(stalled).await?;
    finish(server).await?;
    let ended = Ended { table, history, differences: Vec::new(), absences: Vec::new() };
    let delivery = if rig.lane.is_timed() { IN_TIME } else { Bounds::default().delivery };
    let figures = ended.check(&Bounds { delivery, ..Bounds::default() })?;

    let p99 = |windows: &[Range<Instant>]| {
        let within = latencies.iter().filter(|(at, _)| windows.iter().any(|window| window.contains(at)));
        percentile(&mut within.map(|(_, took)| *took).collect::<Vec<_>>(), 0.99)
    };
    let (alone, beside) = (p99(&alone), p99(&beside));
    let grown = most.saturating_sub(before);
    let allowed = size.stalled as u64 * EACH + ALL_ELSE;
    let said = format!(
        "{} stalled ({lagged} times out of step) beside {} healthy at {}/s: memory +{} KiB of {} allowed, p99 {beside:.1?} after {alone:.1?} alone; {figures}",
        size.stalled,
        size.healthy,
        size.rate,
        grown >> 10,
        allowed >> 10,
    );
    if grown > allowed || (rig.lane.is_timed() && beside > alone.mul_f64(SLOWER)) {
        return Err(Failure::Missed(said));
    }
    Ok(Outcome::Passed(format!("{said}: {}", clean())))
}

/// Waits until readers fell out of step as often as there are stalled ones. Returns how often that was.
async fn all_stalled(server: &Process, stalled: usize) -> Result<u64> {
    let (private, deadline) = (server.private.as_deref().unwrap_or_default(), Instant::now() + PATIENCE);
    loop {
        let lagged = told(private, "natter_lag_total").await?;
        if lagged >= stalled as u64 {
            return Ok(lagged);
        }
        if Instant::now() > deadline {
            return Err(Failure::Missed(format!("only {lagged} of {stalled} readers stalled")));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Returns the most memory that the server took during a while, in bytes.
async fn watch_memory(server: &Process, during: Duration) -> Result<u64> {
    let (until, mut most) = (Instant::now() + during, 0);
    while Instant::now() < until {
        sleep(Duration::from_millis(100)).await;
        most = most.max(server.memory()?);
    }
    Ok(most)
}

/// When a message arrived, and its latency.
type Latency = (Instant, Duration);

/// A reader, and the latency of each message to it.
type Reader = (Device, Vec<Latency>);

/// The healthy senders and readers.
struct Scene {
    history: History,
    sessions: Vec<SessionId>,
    /// The person in each session whose devices will stall.
    idlers: Vec<headless::Client>,
    devices: u32,
    stop: watch::Sender<bool>,
    senders: Vec<JoinHandle<Result<Device>>>,
    readers: Vec<JoinHandle<Result<Reader>>>,
}

impl Scene {
    fn begin(crowd: Crowd, size: &Size) -> Self {
        let (history, origin) = (History::new(), Instant::now());
        let (stop, told) = watch::channel(false);
        let sessions: Vec<_> = crowd.sessions.iter().map(|(session, _)| *session).collect();
        let pace = Duration::from_secs(1) * u32::try_from(sessions.len()).unwrap_or(1) / size.rate;
        let (mut senders, mut readers, mut idlers) = (Vec::new(), Vec::new(), Vec::new());
        let mut devices = 0;
        let mut device = |client| {
            devices += 1;
            Device::new(client, history.log(Actor(devices)))
        };
        let mut people = crowd.people.into_iter();
        for &session in &sessions {
            let (Some(sender), Some(reader), Some(idler)) = (people.next(), people.next(), people.next())
            else {
                break;
            };
            for _ in 1..size.healthy / sessions.len() {
                let other = another_device(&reader);
                readers.push(tokio::spawn(read(device(other), origin, told.clone())));
            }
            readers.push(tokio::spawn(read(device(reader), origin, told.clone())));
            senders.push(tokio::spawn(send(device(sender), session, pace, origin, told.clone())));
            idlers.push(idler);
        }
        Self { history, sessions, idlers, devices, stop, senders, readers }
    }

    /// Connects the readers that then stall.
    async fn stall(&mut self, size: &Size) -> Result<Vec<Device>> {
        let each = size.stalled / self.sessions.len();
        let mut stalled = Vec::new();
        for idler in &mut self.idlers {
            idler.kill();
            for _ in 0..each {
                let mut client = another_device(idler);
                client.set_receive_buffer(4096);
                client.connect().await?;
                self.devices += 1;
                stalled.push(Device::new(client, self.history.log(Actor(self.devices))));
            }
        }
        Ok(stalled)
    }

    /// Lets everybody stop, read what is left, and catch up.
    async fn end(mut self, stalled: Vec<Device>) -> Result<(History, Table, Vec<Latency>)> {
        let _ = self.stop.send(true);
        let gone = |error: tokio::task::JoinError| Failure::Missed(error.to_string());
        let (mut devices, mut latencies, mut table) = (stalled, Vec::new(), Table::new());
        for (sender, session) in self.senders.into_iter().zip(&self.sessions) {
            let mut sender = sender.await.map_err(gone)??;
            table.insert(*session, stored(&mut sender.client, *session).await?);
            devices.push(sender);
        }
        for reader in self.readers {
            let (reader, mut seen) = reader.await.map_err(gone)??;
            latencies.append(&mut seen);
            devices.push(reader);
        }
        // Each device is in one session, and knows it once it has read its Welcome.
        try_join_all(devices.iter_mut().map(|device| async {
            while device.client.sync().sessions().is_empty() {
                device.live().await?;
            }
            let own = device.client.sync().sessions().keys().copied();
            let heads: Vec<_> = own
                .map(|id| (id, table.get(&id).and_then(|rows| rows.last()).map_or(Rev(0), |row| row.rev)))
                .collect();
            device.catch_up(&heads).await
        }))
        .await?;
        for device in devices {
            let broken = device.differs(&table);
            if !broken.is_empty() {
                return Err(Failure::Broken { broken, figures: "seen at the end".into() });
            }
            self.history.add(device.into_parts().1);
        }
        Ok((self.history, table, latencies))
    }
}

/// Lets the stalled readers reconnect, and stall again.
async fn come_again(stalled: &mut [Device]) -> Result<()> {
    for device in stalled {
        device.unplug();
        device.client.connect().await?;
    }
    Ok(())
}

/// Sends at a pace, without waiting for answers. The text says when it was due.
async fn send(
    mut device: Device,
    session: SessionId,
    pace: Duration,
    origin: Instant,
    stop: watch::Receiver<bool>,
) -> Result<Device> {
    let mut due = interval(pace);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        tokio::select! {
            at = due.tick(), if !*stop.borrow() => {
                let text = format!("{} {:.>TEXT$}", at.duration_since(origin).as_micros(), "");
                device.say(session, text).await?;
            }
            taken = device.next() => drop(taken?),
        }
        if *stop.borrow() && device.client.sync().outbox().is_empty() {
            device.listens_no_more();
            return Ok(device);
        }
    }
}

/// Reads, and measures how long each message took from when it was due.
async fn read(mut device: Device, origin: Instant, mut stop: watch::Receiver<bool>) -> Result<Reader> {
    let mut seen = Vec::new();
    if !device.client.is_connected() {
        device.back().await?;
    }
    loop {
        let frame = tokio::select! {
            _ = stop.changed() => {
                device.listens_no_more();
                return Ok((device, seen));
            }
            frame = device.next() => frame?,
        };
        let messages = match frame {
            ServerFrame::Message(live) => vec![live.message],
            ServerFrame::Page { messages, .. } => messages,
            _ => Vec::new(),
        };
        for message in messages {
            let due = message.data.split(' ').next().and_then(|micros| micros.parse().ok());
            let due = origin + Duration::from_micros(due.unwrap_or_default());
            seen.push((Instant::now(), due.elapsed()));
        }
    }
}
