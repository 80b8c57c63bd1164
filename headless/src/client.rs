//! A person at a device.

mod person;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use protocol::api::{Credentials, History, Loaded, Registered};
use protocol::{Change, Me, Message, Seq, ServerFrame, SessionId, Step, Sync, UserId};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{Backoff, Error, Event, Handshake, Http, Response, Socket};

/// How long a client waits for anything by default.
pub const LIMIT: Duration = Duration::from_secs(15);

/// The factor on the limit for passwords: the server hashes at the lowest priority, so other programs on a busy machine
/// delay nothing as much.
const PASSWORDS: u32 = 4;

/// Frames remembered for [`Client::expect`].
const REMEMBERED: usize = 256;

/// A person at a device: an account, a login, at most one socket, and everything the device knows.
#[derive(Debug)]
pub struct Client {
    /// The HTTP side, with the login's cookie.
    pub http: Http,
    sync: Sync,
    socket: Option<Socket>,
    me: Option<Me>,
    limit: Duration,
    backoff: Backoff,
    receive_buffer: Option<u32>,
    /// When to resend what a session refused for now.
    due: HashMap<SessionId, Instant>,
    /// Received frames that nobody has asked for yet, oldest first.
    frames: VecDeque<ServerFrame>,
    changes: Vec<Change>,
}

impl Client {
    /// Creates a client of the server at `base`, such as `http://127.0.0.1:3000`, without account or login.
    #[must_use]
    pub fn new(base: impl Into<String>) -> Self {
        Self::with_http(Http::new(base))
    }

    /// Creates a client that uses this `http`: a clone of another's shares its connections and copies its cookie.
    #[must_use]
    pub fn with_http(http: Http) -> Self {
        Self {
            http,
            sync: Sync::new(),
            socket: None,
            me: None,
            limit: LIMIT,
            backoff: Backoff::default(),
            receive_buffer: None,
            due: HashMap::new(),
            frames: VecDeque::new(),
            changes: Vec::new(),
        }
    }

    /// Changes how long this client waits for anything.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Changes how long this client waits between attempts to reconnect.
    pub fn set_backoff(&mut self, backoff: Backoff) {
        self.backoff = backoff;
    }

    /// Limits how much the next socket buffers before it is read: for a slow reader.
    pub fn set_receive_buffer(&mut self, bytes: u32) {
        self.receive_buffer = Some(bytes);
    }

    /// Returns everything the device knows.
    #[must_use]
    pub fn sync(&self) -> &Sync {
        &self.sync
    }

    /// Returns who is signed in.
    ///
    /// # Panics
    /// Before the first [`Client::login`].
    #[must_use]
    pub fn me(&self) -> &Me {
        self.me.as_ref().expect("signed in before")
    }

    /// Returns the account's ID.
    ///
    /// # Panics
    /// Before the first [`Client::login`].
    #[must_use]
    pub fn id(&self) -> UserId {
        self.me().user_id
    }

    /// Takes everything that changed since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    // ---- HTTP ----

    /// Creates an account, without signing in. While the server is too busy it retries when the server asks it to, for
    /// up to four times its limit.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn register(&mut self, username: &str, password: &str) -> Result<UserId, Error> {
        let answer = self.post_password("/api/register", username, password).await?;
        Ok(answer.json::<Registered>()?.user_id)
    }

    /// Signs in. While the server is too busy it retries when the server asks it to, for up to four times its limit.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn login(&mut self, username: &str, password: &str) -> Result<&Me, Error> {
        let me = self.post_password("/api/login", username, password).await?.json()?;
        Ok(self.me.insert(me))
    }

    /// Passwords are slow to hash, so a busy server puts some off: 503 and `Retry-After` (RFC 9110, 10.2.3).
    async fn post_password(&mut self, path: &str, username: &str, password: &str) -> Result<Response, Error> {
        let deadline = Instant::now() + PASSWORDS * self.limit;
        loop {
            let answer = self.http.post(path, &credentials(username, password)).await?;
            let after = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
            match after.map(Duration::from_secs) {
                Some(after) if answer.status == 503 && Instant::now() + after < deadline => {
                    sleep(after).await
                }
                _ => return Ok(answer),
            }
        }
    }

    /// Signs out and drops the cookie when the server's answer says so, as a browser does.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn logout(&mut self) -> Result<(), Error> {
        let answer = self.http.post("/api/logout", &serde_json::json!({})).await?;
        answer.json::<serde_json::Value>().map(drop)
    }

    /// Fetches every session with its users and newest messages.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn load(&mut self) -> Result<Loaded, Error> {
        self.http.get("/api/load").await?.json()
    }

    /// Fetches one page of messages from before `before`, oldest first.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn history(&mut self, session_id: SessionId, before: Seq) -> Result<History, Error> {
        self.http.get(&format!("/api/history?SessionID={session_id}&Before={before}")).await?.json()
    }

    /// Fetches all messages of a session page by page, and returns them oldest first.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn whole_history(&mut self, session_id: SessionId) -> Result<Vec<Message>, Error> {
        let (mut parts, mut before) = (Vec::new(), Seq(i64::MAX));
        loop {
            let History { messages, more, .. } = self.history(session_id, before).await?;
            before = messages.first().map_or(before, |oldest| oldest.seq);
            parts.push(messages);
            if !more {
                return Ok(parts.into_iter().rev().flatten().collect());
            }
        }
    }

    // ---- the socket ----

    /// Opens the socket and sends `Hello`. The answer comes later: see [`Client::ready`].
    ///
    /// # Errors
    /// When the server is unreachable or refuses.
    pub async fn connect(&mut self) -> Result<(), Error> {
        self.kill();
        let mut socket = Socket::open(&self.handshake()).await?;
        socket.queue(self.sync.connected().encode());
        socket.flush().await?;
        self.socket = Some(socket);
        Ok(())
    }

    /// Opens the socket and waits until it is in step.
    ///
    /// # Errors
    /// When the server is unreachable, refuses, or takes too long.
    pub async fn online(&mut self) -> Result<(), Error> {
        self.connect().await?;
        self.ready().await
    }

    /// Waits until the socket is in step.
    ///
    /// # Errors
    /// When the socket closes or it takes too long.
    pub async fn ready(&mut self) -> Result<(), Error> {
        self.wait_for("Welcome", |sync| sync.is_ready()).await
    }

    /// Reconnects after a loss: retries with full-jitter backoff until it succeeds, and waits until the socket is in
    /// step.
    ///
    /// # Errors
    /// When the server refuses, or after the client's limit.
    pub async fn reconnect(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + self.limit;
        loop {
            match self.online().await {
                Ok(()) => {
                    self.backoff.reset();
                    return Ok(());
                }
                Err(error) if !error.is_disconnect() => return Err(error),
                Err(error) => {
                    let wait = self.backoff.next_wait();
                    if Instant::now() + wait > deadline {
                        return Err(Error::TimedOut(format!("the server to come back: {error}")));
                    }
                    sleep(wait).await;
                }
            }
        }
    }

    /// Returns the handshake with which this client opens its socket.
    #[must_use]
    pub fn handshake(&self) -> Handshake {
        let (base, headers) = (self.http.base().to_owned(), self.http.all_headers());
        Handshake { base, headers, receive_buffer: self.receive_buffer, from: self.http.from }
    }

    /// Returns whether there is a socket, as far as the client knows.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// Drops the connection as a pulled plug does, without a close frame. What was in flight is lost.
    pub fn kill(&mut self) {
        if self.socket.take().is_some() {
            self.sync.disconnected();
        }
    }

    /// Closes the socket properly.
    ///
    /// # Errors
    /// When it is gone already.
    pub async fn disconnect(&mut self) -> Result<(), Error> {
        let socket = self.socket.take().ok_or(Error::NotConnected)?;
        self.sync.disconnected();
        socket.close().await
    }

    /// Returns the bare socket, for sending what no well-behaved client would.
    ///
    /// # Errors
    /// When there is none.
    pub fn socket(&mut self) -> Result<&mut Socket, Error> {
        self.socket.as_mut().ok_or(Error::NotConnected)
    }

    /// Receives the next frame, applies it to what the device knows, and answers it where needed. Cancel safe, so fit
    /// for `select!`.
    ///
    /// # Errors
    /// [`Error::Closed`] when the socket is gone.
    pub async fn next(&mut self) -> Result<ServerFrame, Error> {
        loop {
            let due = self.due.iter().min_by_key(|(_, at)| **at).map(|(session, at)| (*session, *at));
            let Some((session, at)) = due else { return self.hear().await };
            if let Ok(frame) = timeout_at(at, self.hear()).await {
                return frame;
            }
            self.due.remove(&session);
            let step = self.sync.resume(session);
            self.queue(step);
        }
    }

    /// Receives the next frame, ignoring what is due to be resent.
    async fn hear(&mut self) -> Result<ServerFrame, Error> {
        let socket = self.socket.as_mut().ok_or(Error::NotConnected)?;
        let event = match socket.flush().await {
            Ok(()) => socket.next().await,
            // The server closed: its reason may still be readable.
            Err(_) => loop {
                if let closed @ Event::Closed(_) = socket.next().await {
                    break closed;
                }
            },
        };
        let text = match event {
            Event::Text(text) => text,
            Event::Binary(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Event::Closed(code) => {
                self.kill();
                return Err(Error::Closed(code));
            }
        };
        let frame = ServerFrame::decode(&text).map_err(|error| Error::Frame { error, frame: text })?;
        let step = self.sync.receive(frame.clone());
        self.queue(step);
        Ok(frame)
    }

    /// Waits until what the device knows satisfies `wanted`. Frames that arrive meanwhile stay for [`Client::expect`].
    ///
    /// # Errors
    /// When the socket closes or it takes too long; `what` is named then.
    pub async fn wait_for(&mut self, what: &str, mut wanted: impl FnMut(&Sync) -> bool) -> Result<(), Error> {
        let deadline = Instant::now() + self.limit;
        while !wanted(&self.sync) {
            let frame = self.next_before(deadline, what).await?;
            self.remember(frame);
        }
        self.flush().await
    }

    /// Waits for a frame: searches those that arrived and that nobody asked for, then those to come.
    ///
    /// # Errors
    /// When the socket closes or it takes too long; `what` is named then.
    pub async fn expect<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&ServerFrame) -> Option<T>,
    ) -> Result<T, Error> {
        if let Some((at, found)) = self.frames.iter().enumerate().find_map(|(at, f)| Some((at, wanted(f)?))) {
            self.frames.remove(at);
            return Ok(found);
        }
        let deadline = Instant::now() + self.limit;
        loop {
            let frame = self.next_before(deadline, what).await?;
            if let Some(found) = wanted(&frame) {
                self.flush().await?;
                return Ok(found);
            }
            self.remember(frame);
        }
    }

    /// Reads until the server closes the socket, and returns its code.
    ///
    /// # Errors
    /// When it takes too long.
    pub async fn closed(&mut self) -> Result<Option<u16>, Error> {
        let deadline = Instant::now() + self.limit;
        loop {
            match self.next_before(deadline, "the server to close").await {
                Ok(frame) => self.remember(frame),
                Err(Error::Closed(code)) => return Ok(code),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the frames that arrived and that nobody asked for yet, oldest first.
    pub fn take_frames(&mut self) -> Vec<ServerFrame> {
        self.frames.drain(..).collect()
    }

    async fn next_before(&mut self, deadline: Instant, what: &str) -> Result<ServerFrame, Error> {
        timeout_at(deadline, self.next()).await.unwrap_or_else(|_| Err(Error::TimedOut(what.to_owned())))
    }

    fn remember(&mut self, frame: ServerFrame) {
        if self.frames.len() == REMEMBERED {
            self.frames.pop_front();
        }
        self.frames.push_back(frame);
    }

    fn queue(&mut self, step: Step) {
        for change in &step.changes {
            if let Change::PutOff(session, after) = change {
                self.due.insert(*session, Instant::now() + Duration::from_millis(*after));
            }
        }
        self.changes.extend(step.changes);
        let excess = self.changes.len().saturating_sub(REMEMBERED);
        self.changes.drain(..excess); // a caller who never takes them must not pay for them
        if let Some(socket) = &mut self.socket {
            step.send.iter().for_each(|frame| socket.queue(frame.encode()));
        }
    }

    async fn flush(&mut self) -> Result<(), Error> {
        match &mut self.socket {
            Some(socket) => socket.flush().await,
            None => Ok(()),
        }
    }
}

fn credentials(username: &str, password: &str) -> Credentials {
    Credentials { username: username.into(), password: password.into() }
}
