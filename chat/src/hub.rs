//! Who is listening on this machine: sockets, the sessions they follow, and the bytes that wait for each.
//!
//! Knows no storage and no rights: `live` tells it who follows what. Frames come encoded, once for everybody.

mod outbox;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use protocol::{Head, Rev, Seq, ServerFrame, SessionId, UserId, close};

pub(crate) use outbox::Outbox;
pub use outbox::Outgoing;

use crate::LoginId;

/// No socket is asked back sooner than this after a drain: a restart takes its time.
const DRAIN_LEAST: Duration = Duration::from_millis(500);

/// Names one socket in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub(crate) u64);

/// The sockets of this process. Clones are handles to the same hub.
#[derive(Clone, Default)]
pub(crate) struct Hub(Arc<Shared>);

#[derive(Default)]
struct Shared {
    last_id: AtomicU64,
    /// A std mutex: nothing awaits under it, and nothing under it takes long.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    conns: HashMap<ConnId, Conn>,
    users: HashMap<UserId, HashSet<ConnId>>,
    topics: HashMap<SessionId, Topic>,
    /// The server stops: whoever comes now is sent away.
    draining: bool,
}

struct Conn {
    user: UserId,
    login: LoginId,
    sessions: HashSet<SessionId>,
    outbox: Outbox,
}

struct Topic {
    head: Head,
    /// Each with the place up to which messages are not for its user to see.
    listeners: HashMap<ConnId, Seq>,
}

impl Hub {
    /// A new socket: from now on it gets what is sent to its user.
    pub(crate) fn connect(&self, user: UserId, login: LoginId) -> (ConnId, Outbox) {
        let id = ConnId(self.0.last_id.fetch_add(1, Ordering::Relaxed));
        let outbox = Outbox::default();
        let mut state = self.lock();
        if state.draining {
            outbox.close(close::RESTART, "The server restarts.");
        }
        state.conns.insert(id, Conn { user, login, sessions: HashSet::new(), outbox: outbox.clone() });
        state.users.entry(user).or_default().insert(id);
        (id, outbox)
    }

    /// The socket is gone.
    pub(crate) fn disconnect(&self, id: ConnId) {
        let mut state = self.lock();
        let Some(conn) = state.conns.remove(&id) else { return };
        for session in conn.sessions {
            state.unfollow(session, id);
        }
        if let Some(own) = state.users.get_mut(&conn.user) {
            own.remove(&id);
            if own.is_empty() {
                state.users.remove(&conn.user);
            }
        }
    }

    /// From now on the socket gets what is published in this session about messages after `joined`.
    pub(crate) fn follow(&self, id: ConnId, session: SessionId, head: Head, joined: Seq) {
        self.lock().follow(id, session, head, joined);
    }

    /// The same for every socket of a user.
    pub(crate) fn follow_all(&self, user: UserId, session: SessionId, head: Head, joined: Seq) {
        let mut state = self.lock();
        let own: Vec<ConnId> = state.users.get(&user).into_iter().flatten().copied().collect();
        for id in own {
            state.follow(id, session, head, joined);
        }
    }

    /// Whether the socket follows this session.
    pub(crate) fn follows(&self, id: ConnId, session: SessionId) -> bool {
        self.lock().conns.get(&id).is_some_and(|conn| conn.sessions.contains(&session))
    }

    /// Sends to everybody who follows the session.
    pub(crate) fn publish(&self, session: SessionId, frame: &Bytes) {
        let state = self.lock();
        let listeners = state.topics.get(&session).into_iter().flat_map(|topic| topic.listeners.keys());
        for conn in listeners.filter_map(|id| state.conns.get(id)) {
            conn.outbox.push(frame.clone());
        }
    }

    /// Sends the change `rev` of the message at `seq` to everybody who follows the session, except one socket.
    /// Who came after that message is told only that something changed; their page of it will be empty.
    pub(crate) fn publish_change(
        &self,
        session: SessionId,
        (seq, rev): (Seq, Rev),
        frame: &Bytes,
        except: Option<ConnId>,
    ) {
        let mut state = self.lock();
        let State { conns, topics, .. } = &mut *state;
        let Some(topic) = topics.get_mut(&session) else { return };
        topic.head.rev = topic.head.rev.max(rev);
        for (id, joined) in topic.listeners.iter().filter(|(id, _)| Some(**id) != except) {
            let Some(conn) = conns.get(id) else { continue };
            if seq > *joined {
                conn.outbox.push(frame.clone());
            } else {
                let heads = ServerFrame::Heads { sessions: [(session, topic.head)].into() };
                conn.outbox.push(heads.encode().into());
            }
        }
    }

    /// Sends to everybody who follows the session, except one user.
    pub(crate) fn publish_to_others(&self, session: SessionId, frame: &Bytes, except: UserId) {
        let state = self.lock();
        let listeners = state.topics.get(&session).into_iter().flat_map(|topic| topic.listeners.keys());
        for conn in listeners.filter_map(|id| state.conns.get(id)).filter(|conn| conn.user != except) {
            conn.outbox.push(frame.clone());
        }
    }

    /// Tells every socket to come back, each at another moment of the window, and ends it.
    pub(crate) fn drain(&self, window: Duration) {
        let mut state = self.lock();
        state.draining = true;
        let count = u32::try_from(state.conns.len()).unwrap_or(u32::MAX).max(1);
        for (nth, conn) in (0..count).zip(state.conns.values()) {
            let after = DRAIN_LEAST + window * nth / count;
            let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            conn.outbox.push(ServerFrame::Drain { after_ms }.encode().into());
            conn.outbox.close(close::RESTART, "The server restarts.");
        }
    }

    /// Sends to every socket of a user, except one.
    pub(crate) fn send_to_user(&self, user: UserId, frame: &Bytes, except: Option<ConnId>) {
        let state = self.lock();
        for id in state.users.get(&user).into_iter().flatten().filter(|id| Some(**id) != except) {
            if let Some(conn) = state.conns.get(id) {
                conn.outbox.push(frame.clone());
            }
        }
    }

    /// Sends to one socket.
    pub(crate) fn send(&self, id: ConnId, frame: Bytes) {
        if let Some(conn) = self.lock().conns.get(&id) {
            conn.outbox.push(frame);
        }
    }

    /// Ends one socket.
    pub(crate) fn close(&self, id: ConnId, code: u16, reason: &'static str) {
        if let Some(conn) = self.lock().conns.get(&id) {
            conn.outbox.close(code, reason);
        }
    }

    /// Ends every socket whose login or user is meant.
    pub(crate) fn revoke(&self, meant: impl Fn(LoginId, UserId) -> bool) {
        for conn in self.lock().conns.values().filter(|conn| meant(conn.login, conn.user)) {
            conn.outbox.close(close::LOGIN_REVOKED, "Please sign in again.");
        }
    }

    /// Where every session that this socket follows stands.
    pub(crate) fn heads(&self, id: ConnId) -> BTreeMap<SessionId, Head> {
        let state = self.lock();
        let sessions = state.conns.get(&id).into_iter().flat_map(|conn| &conn.sessions);
        sessions.filter_map(|id| Some((*id, state.topics.get(id)?.head))).collect()
    }

    /// Every login that has a socket here.
    pub(crate) fn logins(&self) -> HashSet<LoginId> {
        self.lock().conns.values().map(|conn| conn.login).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nothing panics under the hub's lock")
    }
}

impl State {
    fn follow(&mut self, id: ConnId, session: SessionId, head: Head, joined: Seq) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.sessions.insert(session);
        let topic = self.topics.entry(session).or_insert_with(|| Topic { head, listeners: HashMap::new() });
        topic.head.rev = topic.head.rev.max(head.rev);
        topic.listeners.insert(id, joined);
    }

    fn unfollow(&mut self, session: SessionId, id: ConnId) {
        if let Some(topic) = self.topics.get_mut(&session) {
            topic.listeners.remove(&id);
            if topic.listeners.is_empty() {
                self.topics.remove(&session);
            }
        }
    }
}
