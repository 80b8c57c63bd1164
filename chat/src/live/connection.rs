//! A socket, as the chat sees it.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::{Head, ServerFrame, SessionId};

use super::{Shared, encode};
use crate::hub::{Outgoing, Socket};
use crate::origin::{ConnId, Origin};
use crate::quota::Gate;
use crate::sessions::View;
use crate::{Actor, Chat};

/// At most one typing signal per socket and session is passed on in this time.
const TYPING_EVERY: Duration = Duration::from_secs(1);

/// Most sessions named in one `Heads`: about 50 KiB, sent to a socket every 15 s.
const MOST_HEADS: usize = 512;

/// One socket, as the chat sees it. Dropping it ends the socket.
pub struct Connection {
    socket: Arc<Socket>,
    actor: Actor,
    /// The client's address, if known.
    address: Option<IpAddr>,
    /// The last session named in its `Heads`.
    told: Mutex<Option<SessionId>>,
    /// When this user's last typing signal was sent, by session.
    typed: Mutex<HashMap<SessionId, Instant>>,
    /// What it was temporarily refused.
    gate: Arc<Gate>,
    shared: Arc<Shared>,
}

impl Connection {
    /// Returns who acts on it.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Returns the client's address.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Sets the client's address.
    #[must_use]
    pub fn from(mut self, address: Option<IpAddr>) -> Self {
        self.address = address;
        self
    }

    /// Returns where what it sends comes from.
    pub(crate) fn origin(&self) -> Origin {
        Origin(self.id())
    }

    /// Returns its identifier in this process.
    #[must_use]
    pub fn id(&self) -> ConnId {
        self.socket.id()
    }

    /// Waits for what to write next. A close is the last. Cancel safe. For one writer.
    pub async fn outgoing(&self) -> Outgoing {
        self.socket.outgoing().await
    }

    /// Waits while many answers to this socket are still queued: until then the transport must read nothing more from
    /// it. Cancel safe. For one reader.
    pub async fn room(&self) {
        self.socket.room().await;
    }

    /// Whether the client may send `Hello` now: it lagged and was notified. From now on frames are queued again, so
    /// [`Chat::hello`] must follow.
    #[must_use]
    pub fn reopen(&self) -> bool {
        self.socket.reopen()
    }

    /// Whether answers are queued. Not while it lags: then they would be discarded.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.socket.is_open()
    }

    /// Counts the queued frames.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.socket.waiting()
    }

    /// Returns how it is to end, once that is decided: then the transport must accept nothing more from it.
    #[must_use]
    pub fn ending(&self) -> Option<(u16, &'static str)> {
        self.socket.closed()
    }

    /// Waits until that is decided. Cancel safe. For one watcher.
    pub async fn closing(&self) -> (u16, &'static str) {
        self.socket.closing().await
    }

    /// Takes the frames queued right now. For the writer, and for a socket that is about to end.
    #[must_use]
    pub fn left(&self) -> VecDeque<Bytes> {
        self.socket.take_rest()
    }

    /// Makes a `Heads` frame: where this socket's sessions stand. If there are very many, some each time, in turn.
    #[must_use]
    pub fn heads(&self) -> Bytes {
        let mut told = self.told.lock().expect("nothing panics under this lock");
        let sessions = self.shared.hub.heads(&self.socket, *told, MOST_HEADS);
        *told = sessions.last_key_value().map(|(session, _)| *session);
        encode(&ServerFrame::Heads { sessions })
    }

    /// Sends an answer to this socket alone, after what is already queued.
    pub fn send(&self, frame: &ServerFrame) {
        self.socket.answer(encode(frame));
    }

    /// Sends a frame that is already encoded.
    pub fn send_encoded(&self, frame: Bytes) {
        self.socket.answer(frame);
    }

    /// Tells everybody else in a session that this user is typing. Does nothing if the user is not in it, or was
    /// reported only just now.
    pub fn typing(&self, session_id: SessionId) {
        let now = Instant::now();
        let mut typed = self.typed.lock().expect("nothing panics under this lock");
        let is_due = typed.get(&session_id).is_none_or(|last| now - *last >= TYPING_EVERY);
        if is_due && self.view(session_id).is_some() {
            typed.retain(|_, last| now - *last < TYPING_EVERY); // bounded, however many sessions there are
            typed.insert(session_id, now);
            let frame = ServerFrame::Typing { session_id, user_id: self.actor.user_id() };
            self.shared.hub.publish_to_others(session_id, &encode(&frame), &[self.actor.user_id()]);
        }
    }

    pub(crate) fn gate(&self) -> Arc<Gate> {
        self.gate.clone()
    }

    /// Follows these sessions and no other. If its user is in one of the others no more, what is
    /// queued may be from after they left, and is dropped. Returns whether anything is different now.
    pub(crate) fn follow_exactly(&self, sessions: Vec<(SessionId, Head, View)>) -> bool {
        let mut ids: Vec<SessionId> = sessions.iter().map(|(session, ..)| *session).collect();
        ids.sort_unstable();
        let (others, silent) = self.shared.hub.unfollow_others(&self.socket, &ids);
        silent.into_iter().for_each(|session| self.shared.tails.forget(session));
        if !others.is_empty() {
            drop(self.left());
        }
        let mut is_news = !others.is_empty();
        for (session, head, view) in sessions {
            is_news |= self.shared.hub.follow(&self.socket, session, head, view);
        }
        is_news
    }

    /// Returns what its user may see of a session; `None` if it does not follow the session.
    pub(crate) fn view(&self, session: SessionId) -> Option<View> {
        self.shared.hub.view(&self.socket, session)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for session in self.shared.hub.disconnect(&self.socket) {
            self.shared.tails.forget(session);
        }
        let grace = self.shared.offline_after;
        self.shared.leases().disconnected(self.actor.user_id(), Instant::now(), grace);
        self.shared.leases_changed.notify_one();
    }
}

impl Chat {
    /// Opens a user's socket. From now on it receives every event, so what is read for its `Welcome` after this leaves
    /// no gap.
    #[must_use]
    pub fn connect(&self, actor: Actor) -> Connection {
        let shared = self.0.live.shared.clone();
        let socket = shared.hub.connect(actor.user_id(), actor.login());
        let came = shared.leases().connected(actor.user_id(), Instant::now());
        shared.came_or_stayed(actor.user_id(), came);
        let (told, typed, gate) = (Mutex::default(), Mutex::default(), Arc::default());
        Connection { socket, actor, address: None, told, typed, gate, shared }
    }

    /// Asks every socket to come back later and ends it. The delays are spread over `window`, so that not everybody
    /// reconnects together.
    pub fn drain(&self, window: Duration) {
        self.0.live.hub().drain(window);
    }
}
