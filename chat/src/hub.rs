//! Who is listening on this machine: sockets, the sessions they follow, and the frames queued for each.
//!
//! Knows no storage, no permissions and no runtime: `live` says who follows what. Frames arrive encoded, once for all
//! sockets. Its maps are sharded, each shard under its own lock, so publishing in one session waits for no other, and a
//! session without listeners is not in them.
//!
//! Lock order: a socket's sessions, a shard of a map, a queue. Never two shards at once.

#[cfg(all(test, feature = "shuttle"))]
mod interleavings;
mod send_queue;

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::{Head, Rev, Seq, ServerFrame, SessionId, UserId, close};

pub use send_queue::Outgoing;
use send_queue::{SendQueue, Traffic};

use crate::locks::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::locks::{Mutex, MutexGuard};
use crate::logins::LoginId;
use crate::origin::ConnId;
use crate::sessions::View;
use crate::shards::{Part, Shards};

/// A drain asks no socket to come back sooner than this: a restart takes time.
const DRAIN_LEAST: Duration = Duration::from_millis(500);

const RESTARTS: &str = "The server restarts.";

/// The sockets of this process. Clones are handles to the same hub.
#[derive(Clone, Default)]
pub(crate) struct Hub(Arc<Shared>);

#[derive(Default)]
struct Shared {
    last_id: AtomicU64,
    /// The server is stopping: new sockets are sent away.
    draining: AtomicBool,
    sockets: Shards<ConnId, Arc<Socket>>,
    users: Shards<UserId, Vec<Arc<Socket>>>,
    audiences: Shards<SessionId, Audience>,
}

/// One socket.
pub(crate) struct Socket {
    id: ConnId,
    user: UserId,
    login: LoginId,
    queue: SendQueue,
    follows: Mutex<Follows>,
}

/// The sessions a socket follows, sorted.
#[derive(Default)]
struct Follows {
    sessions: Vec<SessionId>,
    /// The socket is gone and follows nothing more: a session created right now must not keep it.
    gone: bool,
}

/// A session that somebody follows.
struct Audience {
    head: Head,
    listeners: Vec<Listener>,
}

struct Listener {
    socket: Arc<Socket>,
    /// What its user may see.
    view: View,
}

impl Hub {
    /// Adds a socket: from now on it receives what is sent to its user.
    pub(crate) fn connect(&self, user: UserId, login: LoginId) -> Arc<Socket> {
        let id = ConnId(self.0.last_id.fetch_add(1, Ordering::Relaxed));
        let (queue, follows) = (SendQueue::default(), Mutex::default());
        let socket = Arc::new(Socket { id, user, login, queue, follows });
        self.0.sockets.of(&id).insert(id, socket.clone());
        self.0.users.of(&user).entry(user).or_default().push(socket.clone());
        // Checked after the socket is in the maps: a drain either finds it there or is seen here.
        if self.0.draining.load(Ordering::SeqCst) {
            socket.queue.close(None, close::RESTART, RESTARTS);
        }
        socket
    }

    /// Removes a socket. Returns the sessions that nobody listens to any more.
    pub(crate) fn disconnect(&self, socket: &Socket) -> Vec<SessionId> {
        let mut sessions = {
            let mut follows = socket.follows();
            follows.gone = true;
            std::mem::take(&mut follows.sessions)
        };
        sessions.retain(|session| self.unfollow(*session, socket.id));
        self.0.sockets.of(&socket.id).remove(&socket.id);
        let mut users = self.0.users.of(&socket.user);
        if let Some(own) = users.get_mut(&socket.user) {
            own.retain(|other| other.id != socket.id);
            if own.is_empty() {
                users.remove(&socket.user);
            }
        }
        sessions
    }

    /// Subscribes the socket to a session: from now on it receives what is published about messages in this view,
    /// unless it has a newer one. Returns whether that is news.
    pub(crate) fn follow(&self, socket: &Arc<Socket>, session: SessionId, head: Head, view: View) -> bool {
        let mut follows = socket.follows();
        if follows.gone {
            return false;
        }
        let place = follows.sessions.binary_search(&session);
        let mut audiences = self.0.audiences.of(&session);
        let audience = audiences.entry(session).or_insert_with(|| Audience { head, listeners: Vec::new() });
        audience.head.rev = audience.head.rev.max(head.rev);
        match place {
            Ok(_) => {
                let own = audience.listeners.iter_mut().find(|l| l.socket.id == socket.id);
                let older = own.filter(|l| view.is_newer_than(&l.view));
                older.map(|l| l.view = view).is_some()
            }
            Err(place) => {
                follows.sessions.insert(place, session);
                audience.listeners.push(Listener { socket: socket.clone(), view });
                true
            }
        }
    }

    /// Subscribes every socket of a user.
    pub(crate) fn follow_all(&self, user: UserId, session: SessionId, head: Head, view: &View) {
        for socket in self.sockets_of(user) {
            self.follow(&socket, session, head, view.clone());
        }
    }

    /// Unsubscribes the socket from all sessions but these, which are sorted. Returns those it followed, and those of
    /// them that nobody listens to any more.
    pub(crate) fn unfollow_others(
        &self,
        socket: &Socket,
        sessions: &[SessionId],
    ) -> (Vec<SessionId>, Vec<SessionId>) {
        let mut follows = socket.follows();
        let (kept, others): (Vec<_>, Vec<_>) =
            follows.sessions.iter().partition(|session| sessions.binary_search(session).is_ok());
        follows.sessions = kept;
        let silent = others.iter().copied().filter(|session| self.unfollow(*session, socket.id)).collect();
        (others, silent)
    }

    /// Unsubscribes every socket of a user from a session. Returns whether nobody listens to it any more.
    pub(crate) fn unfollow_all(&self, user: UserId, session: SessionId) -> bool {
        let mut is_silent = false;
        for socket in self.sockets_of(user) {
            let mut follows = socket.follows();
            if let Ok(place) = follows.sessions.binary_search(&session) {
                follows.sessions.remove(place);
                is_silent |= self.unfollow(session, socket.id);
            }
        }
        is_silent
    }

    /// Returns what this socket's user may see of the session; `None` if the socket does not follow it.
    pub(crate) fn view(&self, socket: &Socket, session: SessionId) -> Option<View> {
        let audiences = self.0.audiences.of(&session);
        audiences.get(&session)?.listeners.iter().find(|l| l.socket.id == socket.id).map(|l| l.view.clone())
    }

    /// Sends to all followers of the session.
    pub(crate) fn publish(&self, session: SessionId, frame: &Bytes) {
        if let Some(audience) = self.0.audiences.of(&session).get(&session) {
            audience.listeners.iter().for_each(|l| l.socket.publish(frame));
        }
    }

    /// Sends the change `rev` of the message at `seq` to all followers of the session. The socket it came from gets its
    /// answer instead, under the same lock, so a `Heads` that counts the change comes after both. A user who was not
    /// there when the message was said learns only that something changed; their page of it will be empty.
    pub(crate) fn publish_change(
        &self,
        session: SessionId,
        (seq, rev): (Seq, Rev),
        frame: impl FnOnce() -> Bytes,
        mut answer: Option<(ConnId, Bytes)>,
    ) {
        self.publish_change_to_listeners(session, (seq, rev), frame, &mut answer);
        if let Some((origin, answer)) = answer {
            self.answer(origin, answer); // it does not follow the session
        }
    }

    fn publish_change_to_listeners(
        &self,
        session: SessionId,
        (seq, rev): (Seq, Rev),
        frame: impl FnOnce() -> Bytes,
        answer: &mut Option<(ConnId, Bytes)>,
    ) {
        let mut audiences = self.0.audiences.of(&session);
        let Some(audience) = audiences.get_mut(&session) else { return };
        audience.head.rev = audience.head.rev.max(rev);
        let frame = LazyCell::new(frame);
        let heads = LazyCell::new(|| {
            let sessions = [(session, audience.head)].into();
            Bytes::from(ServerFrame::Heads { sessions }.encode())
        });
        for Listener { socket, view } in &audience.listeners {
            match answer.take_if(|(origin, _)| *origin == socket.id) {
                Some((_, answer)) => socket.answer(answer),
                None => socket.publish(if view.sees(seq) { &frame } else { &heads }),
            }
        }
    }

    /// Sends to all followers of the session, except some users.
    pub(crate) fn publish_to_others(&self, session: SessionId, frame: &Bytes, except: &[UserId]) {
        if let Some(audience) = self.0.audiences.of(&session).get(&session) {
            let others = audience.listeners.iter().filter(|l| !except.contains(&l.socket.user));
            others.for_each(|l| l.socket.publish(frame));
        }
    }

    /// Asks every socket to come back, spread over the window, and ends it.
    pub(crate) fn drain(&self, window: Duration) {
        self.0.draining.store(true, Ordering::SeqCst);
        let sockets = self.all();
        let count = u32::try_from(sockets.len()).unwrap_or(u32::MAX).max(1);
        for (nth, socket) in (0..count).zip(sockets) {
            let after = DRAIN_LEAST + window * nth / count;
            let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            let drain = ServerFrame::Drain { after_ms }.encode().into();
            socket.queue.close(Some(drain), close::RESTART, RESTARTS);
        }
    }

    /// Sends to every socket of a user, except one.
    pub(crate) fn send_to_user(&self, user: UserId, frame: &Bytes, except: Option<ConnId>) {
        if let Some(own) = self.0.users.of(&user).get(&user) {
            own.iter().filter(|socket| Some(socket.id) != except).for_each(|socket| socket.publish(frame));
        }
    }

    /// Sends one socket an answer.
    pub(crate) fn answer(&self, id: ConnId, frame: Bytes) {
        if let Some(socket) = self.0.sockets.of(&id).get(&id) {
            socket.answer(frame);
        }
    }

    /// Ends one socket.
    pub(crate) fn close(&self, id: ConnId, code: u16, reason: &'static str) {
        if let Some(socket) = self.0.sockets.of(&id).get(&id) {
            socket.queue.close(None, code, reason);
        }
    }

    /// Ends every socket whose login or user matches.
    pub(crate) fn revoke(&self, meant: impl Fn(LoginId, UserId) -> bool) {
        for socket in self.all().into_iter().filter(|socket| meant(socket.login, socket.user)) {
            socket.queue.close(None, close::LOGIN_REVOKED, "Please sign in again.");
        }
    }

    /// Returns where the sessions that this socket follows stand. If there are more than `most`, returns at most that
    /// many: those after `told`, or from the beginning if that was the last.
    pub(crate) fn heads(
        &self,
        socket: &Socket,
        told: Option<SessionId>,
        most: usize,
    ) -> BTreeMap<SessionId, Head> {
        let sessions = {
            let follows = &socket.follows().sessions;
            let from = match told {
                Some(told) if follows.len() > most => follows.partition_point(|session| *session <= told),
                _ => 0,
            };
            let from = if from == follows.len() { 0 } else { from };
            follows[from..].iter().take(most).copied().collect::<Vec<_>>()
        };
        let head = |id: SessionId| Some((id, self.0.audiences.of(&id).get(&id)?.head));
        sessions.into_iter().filter_map(head).collect()
    }

    /// Returns every login that has a socket here.
    pub(crate) fn logins(&self) -> HashSet<LoginId> {
        let logins = |part: Part<'_, _, Arc<Socket>>| part.values().map(|s| s.login).collect::<Vec<_>>();
        self.0.sockets.each().flat_map(logins).collect()
    }

    /// Unsubscribes a socket. Returns whether nobody listens to the session any more.
    fn unfollow(&self, session: SessionId, id: ConnId) -> bool {
        let mut audiences = self.0.audiences.of(&session);
        let Some(audience) = audiences.get_mut(&session) else { return true };
        audience.listeners.retain(|listener| listener.socket.id != id);
        let is_empty = audience.listeners.is_empty();
        if is_empty {
            audiences.remove(&session);
        }
        is_empty
    }

    fn sockets_of(&self, user: UserId) -> Vec<Arc<Socket>> {
        self.0.users.of(&user).get(&user).cloned().unwrap_or_default()
    }

    fn all(&self) -> Vec<Arc<Socket>> {
        let sockets = |part: Part<'_, _, Arc<Socket>>| part.values().cloned().collect::<Vec<_>>();
        self.0.sockets.each().flat_map(sockets).collect()
    }
}

impl Socket {
    /// Returns its identifier in this process.
    pub(crate) fn id(&self) -> ConnId {
        self.id
    }

    /// Sends an answer to a frame of this socket, after what is already queued.
    pub(crate) fn answer(&self, frame: Bytes) {
        self.push(frame, Traffic::Own);
    }

    /// Waits for what to write next. For one writer. Cancel safe.
    pub(crate) async fn outgoing(&self) -> Outgoing {
        poll_fn(|cx| self.queue.poll_take(cx)).await
    }

    /// Waits while many answers are queued. For one reader.
    pub(crate) async fn room(&self) {
        poll_fn(|cx| self.queue.poll_room(cx)).await;
    }

    /// Accepts frames again after it lagged. Returns false if it did not lag, or was not notified yet.
    pub(crate) fn reopen(&self) -> bool {
        self.queue.reopen()
    }

    /// Whether frames are queued: not while it lags.
    pub(crate) fn is_open(&self) -> bool {
        self.queue.is_open()
    }

    /// Counts the queued frames.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Returns how the socket is to end, once that is decided.
    pub(crate) fn closed(&self) -> Option<(u16, &'static str)> {
        self.queue.closed()
    }

    /// Waits until that is decided. For one watcher.
    pub(crate) async fn closing(&self) -> (u16, &'static str) {
        poll_fn(|cx| self.queue.poll_closed(cx)).await
    }

    /// Takes the frames queued right now.
    pub(crate) fn take_rest(&self) -> VecDeque<Bytes> {
        self.queue.take_rest()
    }

    fn publish(&self, frame: &Bytes) {
        self.push(frame.clone(), Traffic::Published);
    }

    fn push(&self, frame: Bytes, traffic: Traffic) {
        if self.queue.push(frame, traffic) {
            metrics::counter!("natter_lag_total").increment(1);
            tracing::debug!(conn = self.id.0, "a socket lags");
        }
    }

    fn follows(&self) -> MutexGuard<'_, Follows> {
        self.follows.lock().expect("nothing panics under this lock")
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use protocol::Epoch;

    use super::*;

    #[test]
    fn of_very_many_sessions_heads_name_some_each_time_until_all_were_named() {
        let hub = Hub::default();
        let socket = hub.connect(UserId::new(), LoginId::of_token(b"login"));
        let sessions: std::collections::BTreeSet<_> = (0..10).map(|_| SessionId::new()).collect();
        for session in &sessions {
            hub.follow(&socket, *session, Head { epoch: Epoch::new(), rev: Rev(0) }, View::since(Seq(0)));
        }
        assert_eq!(hub.heads(&socket, None, 10).len(), 10);
        let last = sessions.last().copied();
        assert_eq!(hub.heads(&socket, last, 10).len(), 10, "not so many: all of them each time");
        let (mut told, mut named) = (None, Vec::new());
        for _ in 0..6 {
            let heads = hub.heads(&socket, told, 4);
            told = heads.last_key_value().map(|(session, _)| *session);
            named.extend(heads.into_keys());
        }
        let twice: Vec<_> = sessions.iter().chain(&sessions).copied().collect();
        assert_eq!(named, twice);
    }
}
