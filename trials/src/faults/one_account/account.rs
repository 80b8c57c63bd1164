//! The account that does everything.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::{BoxFuture, join_all, select};
use headless::{Client, Event, Http, Socket};
use protocol::text::MAX_MESSAGE_BYTES;
use protocol::{Asked, ClientFrame, MessageId, Rev, Search, SendMessage, ServerFrame, SessionId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep, timeout};

use super::super::crowd::{another_device, credentials};
use super::super::outcome::{Failure, Result};
use crate::process::Process;

/// How many do each thing concurrently: together they have as many sockets as a user may.
const AT_ONCE: usize = 5;

/// The pause before retrying what was refused: this side runs on the same machine, and the CPU it would burn by asking
/// without pause is not the server's cost.
const AGAIN: Duration = Duration::from_millis(100);

/// The account that does everything.
pub(super) struct Account {
    http: Http,
    address: String,
    sessions: Vec<SessionId>,
    credentials: serde_json::Value,
    stop: AtomicBool,
    done: Mutex<BTreeMap<&'static str, u64>>,
    /// Bytes of text that were acknowledged.
    stored: AtomicU64,
}

/// A thing that an account can do over and over.
pub(super) struct Way {
    what: &'static str,
    /// Does it once, or for a while. Returns how often it was done, not counting refusals.
    does: for<'a> fn(&'a Account, usize) -> BoxFuture<'a, std::result::Result<u64, headless::Error>>,
}

/// All of them.
pub(super) const WAYS: &[Way] = &[
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
    pub(super) fn new(server: &Process, one: &Client, sessions: &[SessionId]) -> Self {
        let device = another_device(one);
        let mut http = device.http;
        http.move_to(&server.base);
        Self {
            http,
            address: server.base.strip_prefix("http://").unwrap_or_default().to_owned(),
            sessions: sessions.to_vec(),
            credentials: credentials(one),
            stop: AtomicBool::default(),
            done: Mutex::default(),
            stored: AtomicU64::default(),
        }
    }

    /// Does all of it concurrently until it is stopped; on its own thread, so that people who talk never wait for this
    /// side's work.
    pub(super) fn does_everything(&self) -> Result<()> {
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

    /// Lets it stop soon.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Returns how many bytes of its text were acknowledged.
    pub(super) fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// Returns what it did, and how often.
    pub(super) fn done(&self) -> Result<BTreeMap<&'static str, u64>> {
        let done = self.done.lock().map_err(|_| Failure::Missed("the account has panicked".into()))?;
        Ok(done.clone())
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
        let data = "x".repeat(if n.is_multiple_of(2) { MAX_MESSAGE_BYTES } else { 1 });
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
