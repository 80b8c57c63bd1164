//! One account, from one address, does everything it may, all concurrently: people at other addresses notice nothing,
//! and the memory and disk that it takes stay bounded.

mod account;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{try_join, try_join_all};
use protocol::SessionId;
use protocol::text::MAX_MESSAGE_BYTES;
use tokio::time::Instant;

use super::crowd::Crowd;
use super::meanwhile::{most_memory, talk};
use super::run::{finish, folder, percentile};
use super::{Failure, Outcome, Result, Rig};
use crate::process::{Process, written};
use account::{Account, WAYS};
use headless::{Client, Http};

/// The address of everybody else. The account comes from 127.0.0.1.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// The limits for 99 of 100 acknowledgements of other people's messages, and for the server's total memory.
const ACK: Duration = Duration::from_millis(25);
const MEMORY: u64 = 100 << 20;

/// How many others talk, and the pace of each: below the 30 messages a second that a user may send.
const OTHERS: usize = 10;
const PACE: Duration = Duration::from_millis(50);

/// What the account has to read: this many conversations, full of the longest messages allowed.
const FRIENDS: usize = 8;

/// What an account may write by default: `--text-burst`, `--text-per-second`.
const TEXT_BURST: u64 = 2 << 20;
const TEXT_PER_SECOND: u64 = 64 << 10;

/// The factor by which a text takes more disk than its length: whole pages, the row's other columns, the index. And
/// what a short message of the others takes, in bytes.
const ON_DISK: u64 = 2;
const SHORT: u64 = 1 << 10;

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    let length = Duration::from_secs(if rig.lane.is_timed() { 60 } else { 8 });
    let data = folder()?;
    let scene = Scene::set(rig, data.path()).await?;
    let before = size(data.path())?;
    let server = rig.server(data.path()).holding_back().start().await?;
    let talking = Talkers::of(&server, &scene.others);
    let mut alone = talking.talk(&server, length / 4).await?;

    let account = Arc::new(Account::new(&server, &scene.one, &scene.sessions));
    let doing = account.clone();
    let everything = std::thread::spawn(move || doing.does_everything());
    let mut beside = talking.talk(&server, length).await?;
    account.stop();
    everything.join().map_err(|_| Failure::Missed("the account has panicked".into()))??;
    let (text, did) = (account.stored(), account.done()?);
    finish(server).await?;
    let grown = size(data.path())?.saturating_sub(before);

    let others = (alone.acks.len() + beside.acks.len()) as u64 * SHORT;
    let (p99, without) = (percentile(&mut beside.acks, 0.99), percentile(&mut alone.acks, 0.99));
    let may_store = TEXT_BURST + TEXT_PER_SECOND * (beside.length.as_secs() + 1) + MAX_MESSAGE_BYTES as u64;
    let said = format!(
        "for {:.0?}: {}; it stored {} KiB of {} allowed, the folder grew by {} KiB, {} KiB were written; memory {} KiB; {} acks of others, p99 {p99:.1?} ({without:.1?} without it), the worst {:.1?}",
        beside.length,
        did.iter().map(|(what, times)| format!("{times} {what}")).collect::<Vec<_>>().join(", "),
        text >> 10,
        may_store >> 10,
        grown >> 10,
        beside.written >> 10,
        beside.memory >> 10,
        beside.acks.len(),
        beside.acks.iter().max().copied().unwrap_or_default(),
    );
    // In the short lane's few seconds, some of its sockets still wait behind its own loads.
    let ways = if rig.lane.is_timed() { WAYS.len() } else { WAYS.len() / 2 };
    let did_all = did.len() >= ways;
    let bounded = beside.memory < MEMORY && text <= may_store && grown <= ON_DISK * may_store + others;
    if !did_all || !bounded || beside.acks.is_empty() || rig.lane.is_timed() && p99 > ACK {
        return Err(Failure::Missed(said));
    }
    Ok(Outcome::Passed(said))
}

/// The people, and the messages sent before any limits applied.
struct Scene {
    /// The account.
    one: Client,
    sessions: Vec<SessionId>,
    /// The people who talk, each in a separate conversation.
    others: Vec<(Http, SessionId)>,
}

impl Scene {
    async fn set(rig: &Rig, data: &Path) -> Result<Self> {
        let server = rig.server(data).start().await?;
        let mut crowd = Crowd::gather(&server.base, 2 * OTHERS + 1 + FRIENDS, OTHERS, 2).await?;
        let talkers: Vec<_> =
            crowd.sessions.iter().map(|(session, members)| (members[0], *session)).collect();
        let taken: Vec<_> = crowd.sessions.iter().flat_map(|(_, members)| members.clone()).collect();
        let mut free = (0..crowd.people.len()).filter(|person| !taken.contains(person)).collect::<Vec<_>>();
        let one = free.pop().unwrap_or_default();
        let mut sessions = Vec::new();
        for friend in &free {
            sessions.push(crowd.meet(&[*friend, one]).await?);
        }
        for (friend, session) in free.into_iter().zip(sessions.clone()) {
            let person = &mut crowd.people[friend];
            person.online().await?;
            for _ in 0..rig.lane.of(10, 40, 40) {
                // Each of these characters is two bytes of JSON.
                person.say_and_wait(session, "\"".repeat(MAX_MESSAGE_BYTES)).await?;
            }
            person.kill();
        }
        let others = talkers.iter().map(|(person, session)| (crowd.people[*person].http.clone(), *session));
        let others = others.collect();
        let one = crowd.people.swap_remove(one);
        finish(server).await?;
        Ok(Self { one, sessions, others })
    }
}

/// The people who talk meanwhile.
struct Talkers(Vec<(Http, SessionId)>);

/// Measurements of them and of the server.
struct Seen {
    acks: Vec<Duration>,
    /// The most memory that the server took, in bytes.
    memory: u64,
    /// What it wrote to disk, in bytes.
    written: u64,
    length: Duration,
}

impl Talkers {
    fn of(server: &Process, others: &[(Http, SessionId)]) -> Self {
        let comes = |(http, session): &(Http, SessionId)| {
            let mut here = Http::coming_from(&server.base, ELSEWHERE);
            here.set_cookie(http.cookie().map(str::to_owned));
            (here, *session)
        };
        Self(others.iter().map(comes).collect())
    }

    /// Lets everybody talk for `length`, each at their own pace, without waiting for answers: a stall is charged to
    /// every message that had to wait in it.
    async fn talk(&self, server: &Process, length: Duration) -> Result<Seen> {
        let (began, before) = (Instant::now(), written(server.id()?)?);
        let end = began + length;
        let is_over = || Instant::now() >= end;
        let talking = self.0.iter().map(async |(http, session)| {
            let mut client = Client::with_http(http.clone());
            client.set_limit(crate::process::PATIENCE);
            client.online().await?;
            let acks = talk(&mut client, *session, PACE, is_over).await?;
            client.disconnect().await?;
            Ok(acks)
        });
        let (memory, acks) = try_join(most_memory(server, is_over), try_join_all(talking)).await?;
        let written = written(server.id()?)?.saturating_sub(before);
        Ok(Seen { acks: acks.into_iter().flatten().collect(), memory, written, length: began.elapsed() })
    }
}

/// Returns the total length of a folder's files, in bytes.
fn size(folder: &Path) -> Result<u64> {
    let mut all = 0;
    for file in std::fs::read_dir(folder)? {
        all += file?.metadata()?.len();
    }
    Ok(all)
}
