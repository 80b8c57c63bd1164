//! One account, from one address, does everything it may, all concurrently: people at other addresses notice nothing,
//! and the memory and disk that it takes stay bounded.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{BoxFuture, join_all, select, try_join, try_join_all};
use protocol::{Asked, ClientFrame, MessageId, Rev, Search, SendMessage, ServerFrame, SessionId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep, timeout};

use super::crowd::{Crowd, another_device, credentials};
use super::meanwhile::{most_memory, talk};
use super::run::{finish, folder, percentile};
use super::{Failure, Outcome, Result, Rig};
use crate::process::{Process, written};
use headless::{Client, Event, Http, Socket};

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
const LONGEST: usize = 16 << 10;

/// What an account may write by default: `--text-burst`, `--text-per-second`.
const TEXT_BURST: u64 = 2 << 20;
const TEXT_PER_SECOND: u64 = 64 << 10;

/// The factor by which a text takes more disk than its length: whole pages, the row's other columns, the index. And
/// what a short message of the others takes, in bytes.
const ON_DISK: u64 = 2;
const SHORT: u64 = 1 << 10;

/// How many do each thing concurrently: together they have as many sockets as a user may.
const AT_ONCE: usize = 5;

/// The pause before retrying what was refused: this side runs on the same machine, and the CPU it would burn by asking
/// without pause is not the server's cost.
const AGAIN: Duration = Duration::from_millis(100);

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    let length = Duration::from_secs(if rig.lane.is_timed() { 60 } else { 8 });
    let data = folder()?;
    let scene = Scene::set(rig, data.path()).await?;
    let before = size(data.path())?;
    let server = rig.server(data.path()).holding_back().start().await?;
    let talking = Talkers::of(&server, &scene.others);
    let mut alone = talking.talk(&server, length / 4).await?;

    let account = Arc::new(Account::new(&server, &scene));
    let (stop, doing) = (account.stop.clone(), account.clone());
    let everything = std::thread::spawn(move || doing.does_everything());
    let mut beside = talking.talk(&server, length).await?;
    stop.store(true, Ordering::Relaxed);
    everything.join().map_err(|_| Failure::Missed("the account has panicked".into()))??;
    let text = account.stored.load(Ordering::Relaxed);
    finish(server).await?;
    let grown = size(data.path())?.saturating_sub(before);

    let others = (alone.acks.len() + beside.acks.len()) as u64 * SHORT;
    let (p99, without) = (percentile(&mut beside.acks, 0.99), percentile(&mut alone.acks, 0.99));
    let may_store = TEXT_BURST + TEXT_PER_SECOND * (beside.length.as_secs() + 1) + LONGEST as u64;
    let did = account.done.lock().map_err(|_| Failure::Missed("the account has panicked".into()))?.clone();
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
                person.say_and_wait(session, "\"".repeat(LONGEST)).await?;
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

/// The account that does everything.
struct Account {
    http: Http,
    address: String,
    sessions: Vec<SessionId>,
    credentials: serde_json::Value,
    stop: Arc<AtomicBool>,
    done: Mutex<BTreeMap<&'static str, u64>>,
    /// Bytes of text that were acknowledged.
    stored: AtomicU64,
}

/// A thing that an account can do over and over.
struct Way {
    what: &'static str,
    /// Does it once, or for a while. Returns how often it was done, not counting refusals.
    does: for<'a> fn(&'a Account, usize) -> BoxFuture<'a, std::result::Result<u64, headless::Error>>,
}

const WAYS: &[Way] = &[
    Way { what: "loads", does: |account, _| Box::pin(account.loads()) },
    Way { what: "sips", does: |account, _| Box::pin(account.sips()) },
    Way { what: "pages of history", does: |account, n| Box::pin(account.turns_pages(n)) },
    Way { what: "messages", does: |account, n| Box::pin(account.floods(n)) },
    Way { what: "searches", does: |account, n| Box::pin(account.searches(n)) },
    Way { what: "fetches", does: |account, _| Box::pin(account.fetches()) },
    Way { what: "sockets", does: |account, _| Box::pin(account.connects()) },
    Way { what: "sign-ins", does: |account, n| Box::pin(account.signs_in(n)) },
];

/// How long to keep something open before starting over.
const WHILE: Duration = Duration::from_secs(4);

impl Account {
    fn new(server: &Process, scene: &Scene) -> Self {
        let device = another_device(&scene.one);
        let mut http = device.http;
        http.move_to(&server.base);
        Self {
            http,
            address: server.base.strip_prefix("http://").unwrap_or_default().to_owned(),
            sessions: scene.sessions.clone(),
            credentials: credentials(&scene.one),
            stop: Arc::default(),
            done: Mutex::default(),
            stored: AtomicU64::default(),
        }
    }

    /// Does all of it concurrently until it is stopped; on its own thread, so that people who talk never wait for this
    /// side's work.
    fn does_everything(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let doing = WAYS.iter().flat_map(|way| (0..AT_ONCE).map(move |n| self.goes_on(way, n)));
        // Drops what is in progress then, such as a load that waits for its turn: inside the runtime, which dropping it
        // needs.
        let over = async {
            while !self.stop.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        runtime.block_on(async { drop(select(pin!(over), join_all(doing)).await) });
        Ok(())
    }

    async fn goes_on(&self, way: &Way, n: usize) {
        loop {
            match (way.does)(self, n).await {
                Ok(times) if times > 0 => self.count(way.what, times),
                _ => sleep(AGAIN).await,
            }
        }
    }

    fn count(&self, what: &'static str, times: u64) {
        if let Ok(mut done) = self.done.lock() {
            *done.entry(what).or_default() += times;
        }
    }

    /// Sends a request, on any of its connections.
    async fn get(&self, path: &str) -> std::result::Result<u64, headless::Error> {
        Ok(u64::from(self.http.clone().get(path).await?.status == 200))
    }

    async fn loads(&self) -> std::result::Result<u64, headless::Error> {
        self.get("/api/load").await
    }

    async fn turns_pages(&self, n: usize) -> std::result::Result<u64, headless::Error> {
        let session = self.sessions[n % self.sessions.len()];
        self.get(&format!("/api/history?SessionID={session}&Before={}", i64::MAX)).await
    }

    /// Requests everything, and reads it in small sips.
    async fn sips(&self) -> std::result::Result<u64, headless::Error> {
        let until = Instant::now() + WHILE;
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let mut line = socket.connect(self.address.parse().map_err(std::io::Error::other)?).await?;
        let cookie = self.http.cookie().unwrap_or_default();
        let head = format!("GET /api/load HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\n\r\n", self.address);
        line.write_all(head.as_bytes()).await?;
        let (mut drop, mut taken) = ([0; 1024], 0);
        while !is_over(until) {
            let Ok(read) = timeout(WHILE, line.read(&mut drop)).await else { break };
            match read? {
                0 => break,
                bytes => taken += bytes,
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(u64::from(taken > 0))
    }

    async fn socket(&self) -> std::result::Result<Socket, headless::Error> {
        let mut socket = Socket::open(&Client::with_http(self.http.clone()).handshake()).await?;
        socket.send_text(ClientFrame::Hello { sessions: BTreeMap::new() }.encode()).await?;
        Ok(socket)
    }

    /// Talks as fast as it can, in the longest or the shortest messages.
    async fn floods(&self, n: usize) -> std::result::Result<u64, headless::Error> {
        let (mut socket, until) = (self.socket().await?, Instant::now() + WHILE);
        let session_id = self.sessions[n % self.sessions.len()];
        let data = "x".repeat(if n.is_multiple_of(2) { LONGEST } else { 1 });
        let mut on_their_way = 0_usize;
        while !is_over(until) || on_their_way > 0 && !is_over(until + WHILE) {
            while on_their_way < 32 && !is_over(until) {
                let message_id = MessageId::new();
                let (data, time_stamp, sender) = (data.clone(), None, None);
                let message = SendMessage { session_id, message_id, data, time_stamp, sender };
                socket.queue(ClientFrame::Message(message).encode());
                on_their_way += 1;
            }
            let told = timeout(WHILE, async {
                socket.flush().await?;
                Ok::<_, headless::Error>(socket.next().await)
            });
            match told.await {
                Ok(Ok(Event::Text(frame))) => match serde_json::from_str(&frame) {
                    Ok(ServerFrame::Ack { .. }) => {
                        on_their_way = on_their_way.saturating_sub(1);
                        self.count("messages", 1);
                        self.stored.fetch_add(data.len() as u64, Ordering::Relaxed);
                    }
                    Ok(ServerFrame::Refused(_)) => on_their_way = on_their_way.saturating_sub(1),
                    // Its own messages come back on each of its sockets, faster than it reads them.
                    Ok(ServerFrame::Lagged) => {
                        on_their_way = 0;
                        socket.queue(ClientFrame::Hello { sessions: BTreeMap::new() }.encode());
                    }
                    _ => {}
                },
                Ok(Ok(Event::Binary(_))) | Err(_) => {}
                Ok(Ok(Event::Closed(_)) | Err(_)) => break,
            }
        }
        Ok(0) // counted already
    }

    /// Searches for people who do not exist.
    async fn searches(&self, n: usize) -> std::result::Result<u64, headless::Error> {
        let (mut socket, until, mut answers) = (self.socket().await?, Instant::now() + WHILE, 0);
        while !is_over(until) {
            let username = format!("nobody-{n}-{answers}");
            let asked = Asked { username, session_id: None, leave: false };
            socket.send_text(ClientFrame::Search(Search::Ask(asked)).encode()).await?;
            match timeout(WHILE, socket.next()).await {
                Ok(Event::Text(frame)) => answers += u64::from(frame.contains("nobody-")),
                Ok(Event::Binary(_)) => {}
                Ok(Event::Closed(_)) | Err(_) => break,
            }
        }
        Ok(answers)
    }

    /// Fetches every message ever sent, over and over.
    async fn fetches(&self) -> std::result::Result<u64, headless::Error> {
        let (mut socket, until, mut pages) = (self.socket().await?, Instant::now() + WHILE, 0);
        for session_id in self.sessions.iter().cycle() {
            if is_over(until) {
                break;
            }
            socket.send_text(ClientFrame::Fetch { session_id: *session_id, rev: Rev(0) }.encode()).await?;
            match timeout(WHILE, socket.next()).await {
                Ok(Event::Text(frame)) if frame.contains(r#""type":"Page""#) => pages += 1,
                Ok(Event::Closed(_)) | Err(_) => break,
                Ok(_) => {}
            }
        }
        Ok(pages)
    }

    /// Opens a socket, and leaves without closing it.
    async fn connects(&self) -> std::result::Result<u64, headless::Error> {
        let mut socket = self.socket().await?;
        let welcome = timeout(WHILE, socket.next()).await;
        Ok(u64::from(matches!(welcome, Ok(Event::Text(_)))))
    }

    /// Signs in, with the right password and with wrong ones.
    async fn signs_in(&self, n: usize) -> std::result::Result<u64, headless::Error> {
        let mut http = Http::new(self.http.base());
        let mut credentials = self.credentials.clone();
        if !n.is_multiple_of(2) {
            credentials["Password"] = "not the password".into();
        }
        // Accepted or not: the server checked the password.
        Ok(u64::from(http.post("/api/login", &credentials).await?.status != 429))
    }
}

fn is_over(until: Instant) -> bool {
    Instant::now() > until
}

/// Returns the total length of a folder's files, in bytes.
fn size(folder: &Path) -> Result<u64> {
    let mut all = 0;
    for file in std::fs::read_dir(folder)? {
        all += file?.metadata()?.len();
    }
    Ok(all)
}
