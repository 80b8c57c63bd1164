//! One server, its crowd, and everything they did, from start to finish.

use std::time::Duration;

use futures::future::try_join_all;
use protocol::{Rev, SessionId};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::crowd::Crowd;
use super::device::{Counter, Device};
use super::{Failure, Result, Rig};
use crate::check::{Actor, Bounds, History, Stored, Table, Verdict, Violation, check};
use crate::process::{Process, Start};
use headless::{Client, Http};

impl Rig {
    /// Prepares the server on a folder.
    pub(super) fn server(&self, data: &std::path::Path) -> Start {
        let start = Start::new(&self.natter, data);
        match &self.bug {
            Some(bug) => start.variable("NATTER_PLANTED", bug),
            None => start,
        }
    }
}

/// Creates a temporary folder for a scenario.
pub(super) fn folder() -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix("natter-faults-").tempdir()
}

/// People who talk without pause to a server while a scenario breaks it.
pub(super) struct Talk {
    pub(super) history: History,
    pub(super) acked: Counter,
    sessions: Vec<(SessionId, Vec<usize>)>,
    stop: watch::Sender<bool>,
    talking: Vec<JoinHandle<Result<Device>>>,
    pub(super) bounds: Bounds,
}

/// How a talk ended.
pub(super) struct Ended {
    pub(super) table: Table,
    pub(super) history: History,
    /// What devices show otherwise than it is stored.
    pub(super) differences: Vec<Violation>,
    /// How long each absence of a device lasted.
    pub(super) absences: Vec<Duration>,
}

impl Talk {
    /// Lets everybody start talking, after `change` has adjusted each device.
    pub(super) fn begin(rig: &Rig, crowd: Crowd, mut change: impl FnMut(&mut Device)) -> Self {
        let (history, acked) = (History::new(), Counter::default());
        let (stop, told) = watch::channel(false);
        let own: Vec<_> = (0..crowd.people.len()).map(|person| crowd.sessions_of(person)).collect();
        let mut talking = Vec::new();
        for ((client, sessions), n) in crowd.people.into_iter().zip(own).zip(0..) {
            let mut device = Device::new(client, history.log(Actor(n)));
            change(&mut device);
            let random = rig.random(u64::from(n));
            talking.push(tokio::spawn(device.talk(sessions, random, told.clone(), acked.clone())));
        }
        Self { history, acked, sessions: crowd.sessions, stop, talking, bounds: Bounds::default() }
    }

    /// Returns whether a device has given up: then there is no point in going on.
    pub(super) fn has_failed(&self) -> bool {
        self.talking.iter().any(JoinHandle::is_finished)
    }

    /// Ends the talk: waits until everything is answered, reads the tables, and lets everybody catch up. For that,
    /// devices connect to `base`, bypassing anything between them and the server.
    pub(super) async fn end(mut self, base: &str) -> Result<Ended> {
        let _ = self.stop.send(true);
        let mut devices = Vec::new();
        for talking in self.talking {
            devices.push(talking.await.map_err(|error| Failure::Missed(error.to_string()))??);
        }
        for device in &mut devices {
            if device.client.http.base() != base {
                device.unplug();
                device.client.http.move_to(base);
                device.back().await?;
            }
        }
        let mut table = Table::new();
        for (session, members) in &self.sessions {
            table.insert(*session, stored(&mut devices[members[0]].client, *session).await?);
        }
        let heads = |person: usize| {
            let own = self.sessions.iter().filter(move |(_, members)| members.contains(&person));
            own.map(|(id, _)| (*id, table[id].last().map_or(Rev(0), |row| row.rev))).collect::<Vec<_>>()
        };
        let own: Vec<_> = (0..devices.len()).map(heads).collect();
        try_join_all(devices.iter_mut().zip(&own).map(|(device, heads)| device.catch_up(heads))).await?;
        let (mut differences, mut absences) = (Vec::new(), Vec::new());
        for device in devices {
            differences.extend(device.differs(&table));
            let (_, log, away) = device.into_parts();
            self.history.add(log);
            absences.extend(away);
        }
        Ok(Ended { table, history: self.history, differences, absences })
    }

    /// Ends the talk and checks it. The figures are in the result either way.
    pub(super) async fn end_and_check(self, base: &str) -> Result<(Ended, Figures)> {
        let bounds = self.bounds;
        let ended = self.end(base).await?;
        let figures = ended.check(&bounds)?;
        Ok((ended, figures))
    }
}

impl Ended {
    /// Runs the checker.
    pub(super) fn check(&self, bounds: &Bounds) -> Result<Figures> {
        let figures = Figures {
            acked: self.history.acked(),
            stored: self.table.values().map(Vec::len).sum(),
            entries: self.history.entries().len(),
        };
        let mut broken = check(&self.history, &self.table, bounds);
        broken.extend(self.differences.iter().cloned());
        broken.sort_by_key(|violation| violation.rule);
        if broken.is_empty() {
            Ok(figures)
        } else {
            Err(Failure::Broken { broken, figures: figures.to_string() })
        }
    }
}

/// What a checked history consists of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    pub(super) acked: usize,
    pub(super) stored: usize,
    pub(super) entries: usize,
}

impl std::ops::AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.acked += other.acked;
        self.stored += other.stored;
        self.entries += other.entries;
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { acked, stored, entries } = self;
        write!(f, "{acked} acked, {stored} stored, {entries} events checked")
    }
}

/// Returns the verdict that follows figures that passed.
pub(super) fn clean() -> String {
    Verdict::default().to_string()
}

/// Returns what is stored of a session, according to the server.
pub(super) async fn stored(client: &mut Client, session: SessionId) -> Result<Vec<Stored>> {
    Ok(client.whole_history(session).await?.iter().map(Stored::from).collect())
}

/// Ends a server that is not needed any more.
pub(super) async fn finish(mut server: Process) -> Result<()> {
    let status = server.terminate().await?;
    if status.success() { Ok(()) } else { Err(Failure::Missed(format!("the server ended with {status}"))) }
}

/// Returns the server's metric of this name.
pub(super) async fn told(private: &str, name: &str) -> Result<u64> {
    let metrics = Http::new(private).get("/metrics").await?.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let count = line.and_then(|rest| rest.split_whitespace().last()?.parse().ok());
    count.ok_or_else(|| Failure::Missed(format!("the server does not tell {name}")))
}

/// Returns the value that this share of them does not exceed.
pub(super) fn percentile(values: &mut [Duration], share: f64) -> Duration {
    values.sort_unstable();
    let at = (values.len() as f64 * share).ceil() as usize;
    values.get(at.saturating_sub(1)).copied().unwrap_or_default()
}
