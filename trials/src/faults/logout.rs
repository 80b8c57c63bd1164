//! Logouts that race requests of the same login: an ended login stays ended, and its sockets see nothing more.
//!
//! Requests write to a login only once a day, to renew it. So the scenario first makes each login look two days old in
//! the database: then every request in flight wants to renew it, and a late one must not resurrect it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use protocol::{SessionId, close};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::time::{Instant, sleep, timeout};

use super::crowd::{Crowd, another_login};
use super::device::Device;
use super::run::{clean, finish, folder, stored};
use super::{Failure, Outcome, Result, Rig};
use crate::check::{Actor, Bounds, History, Table, What, check};
use crate::process::PATIENCE;
use headless::{Client, Error};

/// Requests in flight when the logout comes.
const UNDER_WAY: usize = 10;

const TWO_DAYS: i64 = 2 * 24 * 60 * 60 * 1000;

/// How soon an ended login's sockets must be closed.
const CLOSED: Duration = Duration::from_secs(1);

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    let folder = folder()?;
    let server = rig.server(folder.path()).start().await?;
    let mut crowd = Crowd::gather(&server.base, 2, 1, 2).await?;
    let session = crowd.sessions[0].0;
    let mut history = History::new();
    let writer = Device::new(crowd.people.remove(0), history.log(Actor(0)));
    let mut bounds = Bounds::default();
    if rig.lane.is_timed() {
        bounds.revoked = CLOSED;
    }
    let mut race =
        Race { writer, session, bounds, undone: 0, slowest: Duration::ZERO, statuses: BTreeSet::new() };
    let mut random = rig.random(5_000);
    let most = rig.lane.of(25, 300, 1_000);
    let mut logs = Vec::new();
    // Where requests and logouts differ much in speed, it takes longer until they meet.
    for n in 1..=10 * most {
        if n > most && race.has_met() {
            break;
        }
        let client = another_login(&crowd.people[0]).await?;
        let mut reader = Device::new(client, history.log(Actor(n)));
        reader.back().await?;
        age(folder.path()).await?; // last: the reader's own request renewed it
        race.logout(&mut reader, Duration::from_micros(random.u64(..4_000))).await?;
        logs.push(reader.into_parts().1);
    }
    race.write_all().await?;
    let logouts = logs.len();
    let table = Table::from([(session, stored(&mut race.writer.client, session).await?)]);
    let has_met = race.has_met();
    let Race { writer, undone, slowest, statuses, .. } = race;
    history.add(writer.into_parts().1);
    logs.into_iter().for_each(|log| history.add(log));
    let broken = check(&history, &table, &bounds);
    let figures = format!("{logouts} logouts, each against {UNDER_WAY} requests, {undone} undone");
    let missed = match () {
        () if !broken.is_empty() => return Err(Failure::Broken { broken, figures }),
        () if undone > 0 => format!("an ended login lives again: {figures}"),
        () if !has_met => format!("{figures}: these met no logout, they were answered {statuses:?}"),
        () if rig.lane.is_timed() && slowest > CLOSED => {
            format!("{figures}, but a socket was closed only after {slowest:.1?}")
        }
        () => {
            finish(server).await?;
            return Ok(Outcome::Passed(format!(
                "{figures}, sockets closed within {slowest:.1?}: {}",
                clean()
            )));
        }
    };
    Err(Failure::Missed(missed))
}

/// Logouts, one after another, while somebody else writes.
struct Race {
    writer: Device,
    session: SessionId,
    bounds: Bounds,
    /// Logins that lived again.
    undone: usize,
    /// The longest that a socket stayed open.
    slowest: Duration,
    /// How the requests were answered.
    statuses: BTreeSet<u16>,
}

impl Race {
    /// Whether requests came before a logout as well as after one.
    fn has_met(&self) -> bool {
        self.statuses == BTreeSet::from([200, 401])
    }

    /// Signs a login out while many of its requests are in flight.
    async fn logout(&mut self, reader: &mut Device, wait: Duration) -> Result<()> {
        let cookie = reader.client.http.clone();
        let answers = join_all((0..UNDER_WAY).map(|_| {
            let mut http = cookie.clone();
            async move { http.get("/api/load").await }
        }));
        let mut leaving = Client::with_http(cookie.clone());
        let logout = async {
            sleep(wait).await; // so that it meets the requests at every stage
            leaving.logout().await
        };
        let (answers, left) = tokio::join!(answers, logout);
        left?;
        for answer in answers {
            self.statuses.insert(answer?.status);
        }
        reader.log().note(What::Revoked);
        self.is_closed(reader).await?;
        if cookie.clone().get("/api/load").await?.status != 401 {
            self.undone += 1;
            come_back(reader, &mut self.writer, self.session, self.bounds.revoked).await?;
        }
        Ok(())
    }

    /// Writes what the ended login must not see, and waits until its socket is closed.
    async fn is_closed(&mut self, reader: &mut Device) -> Result<()> {
        let ended = Instant::now();
        self.writer.say(self.session, "after a logout".into()).await?;
        let closing = async {
            let code = timeout(PATIENCE, closed(reader)).await;
            (code, ended.elapsed())
        };
        let (said, (code, took)) = tokio::join!(self.writer.live(), closing);
        said?;
        self.slowest = self.slowest.max(took);
        let code = code.map_err(|_| Failure::Missed("the socket of an ended login stayed open".into()))??;
        match code {
            Some(close::LOGIN_REVOKED) => Ok(()),
            code => Err(Failure::Missed(format!("the socket of an ended login was closed with {code:?}"))),
        }
    }

    /// Waits until everything written is acknowledged.
    async fn write_all(&mut self) -> Result<()> {
        while !self.writer.client.sync().outbox().is_empty() {
            self.writer.live().await?;
        }
        Ok(())
    }
}

/// Keeps reading with an ended login that came back to life, for the checker to notice.
async fn come_back(
    reader: &mut Device,
    writer: &mut Device,
    session: SessionId,
    bound: Duration,
) -> Result<()> {
    sleep(bound).await;
    reader.back().await?;
    let goal = reader.rev(session).next();
    writer.say(session, "read by an ended login".into()).await?;
    while !writer.client.sync().outbox().is_empty() {
        writer.live().await?;
    }
    while reader.rev(session) < goal {
        reader.live().await?;
    }
    Ok(())
}

/// Reads until the server closes, and returns its code.
async fn closed(device: &mut Device) -> Result<Option<u16>> {
    loop {
        match device.next().await {
            Ok(_) => {}
            Err(Failure::Client(Error::Closed(code))) => return Ok(code),
            Err(failure) => return Err(failure),
        }
    }
}

/// Makes every login look as if it had last been used two days ago.
async fn age(data: &Path) -> Result<()> {
    let options =
        SqliteConnectOptions::new().filename(data.join("natter.sqlite")).disable_statement_logging();
    let mut db: SqliteConnection = options.busy_timeout(PATIENCE).connect().await?;
    sqlx::query("update logins set last_used_at = last_used_at - $1").bind(TWO_DAYS).execute(&mut db).await?;
    sqlx::Connection::close(db).await?;
    Ok(())
}
