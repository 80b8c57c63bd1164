//! What happens goes out to the sockets: the only place where `store`, `hub` and `presence` meet.
//!
//! One task takes the committed events in the order of the commits and hands each, encoded once, to the sockets
//! concerned. Everything a socket gets passes through its one queue, so it sees its acknowledgements and the
//! messages of others in the order in which they were stored.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use protocol::{Head, Presence, Seq, ServerFrame, SessionId, UserId, close};
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use crate::hub::{ConnId, Hub, Outbox, Outgoing};
use crate::presence::Leases;
use crate::store::{Event, Store};
use crate::{Actor, Chat, LoginId, Options};

/// How often sockets are checked against their logins: a login may also be ended from the command line.
const SWEEP: Duration = Duration::from_secs(10);

/// Signs of writing from one socket in one session are passed on at most this often.
const TYPING_EVERY: Duration = Duration::from_secs(1);

/// Given back when a message that was handed in has been dealt with.
pub type Ticket = Box<dyn Any + Send + Sync>;

/// The living part of a chat.
pub(crate) struct Live {
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
}

struct Shared {
    hub: Hub,
    store: Store,
    leases: Mutex<Leases>,
    /// Wakes the task that waits for the next lease to end.
    leases_changed: Notify,
    edges: mpsc::UnboundedSender<(UserId, Presence)>,
    throttle: Option<DefaultKeyedRateLimiter<UserId>>,
    offline_after: Duration,
    login_lease: Duration,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Live {
    /// Starts the tasks that carry what happens to the sockets. They end with the value.
    pub(crate) fn start(store: Store, events: mpsc::Receiver<Vec<Event>>, options: &Options) -> Self {
        let (mut live, edges) = Self::at_rest(store, options);
        let shared = &live.shared;
        live.tasks = vec![
            tokio::spawn(shared.clone().fan_out(events)).abort_handle(),
            tokio::spawn(shared.clone().tell_edges(edges)).abort_handle(),
            tokio::spawn(shared.clone().end_leases()).abort_handle(),
            tokio::spawn(shared.clone().sweep()).abort_handle(),
        ];
        live
    }

    /// Without its tasks, so that a test may carry what happens step by step. Also gives those who come and go.
    pub(crate) fn at_rest(
        store: Store,
        options: &Options,
    ) -> (Self, mpsc::UnboundedReceiver<(UserId, Presence)>) {
        // Unbounded, but one entry is a user coming or going: no client can fill it faster than it connects.
        let (edges, edge_queue) = mpsc::unbounded_channel();
        let throttle = options.messages_per_second.and_then(NonZeroU32::new).map(|rate| {
            let burst = NonZeroU32::new(options.message_burst).unwrap_or(NonZeroU32::MIN);
            RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst))
        });
        let shared = Arc::new(Shared {
            hub: Hub::default(),
            store,
            leases: Mutex::default(),
            leases_changed: Notify::new(),
            edges,
            throttle,
            offline_after: options.offline_after,
            login_lease: options.login_lease,
        });
        (Self { shared, tasks: Vec::new() }, edge_queue)
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    /// Whether a user is here.
    pub(crate) fn presence(&self, user: UserId) -> Presence {
        self.shared.leases().of(user)
    }

    /// Counts a user as here for a while: their browser has signed in and its socket is to follow.
    pub(crate) fn signed_in(&self, user: UserId) {
        let came = self.shared.leases().signed_in(user, Instant::now(), self.shared.login_lease);
        self.shared.came_or_stayed(user, came);
    }

    /// Closes the sockets of a login.
    pub(crate) fn revoke(&self, login: LoginId) {
        self.shared.hub.revoke(|of, _| of == login);
    }

    /// Closes the sockets of all logins of a user.
    pub(crate) fn revoke_user(&self, user: UserId) {
        self.shared.hub.revoke(|_, of| of == user);
    }

    /// Waits until the user may do one more thing that is stored. The transport reads nothing from the user
    /// meanwhile.
    pub(crate) async fn pace(&self, user: UserId) {
        if let Some(throttle) = &self.shared.throttle {
            throttle.until_key_ready(&user).await;
        }
    }
}

impl Shared {
    async fn fan_out(self: Arc<Self>, mut events: mpsc::Receiver<Vec<Event>>) {
        while let Some(committed) = events.recv().await {
            for event in committed {
                self.carry(event);
            }
        }
    }

    fn carry(&self, event: Event) {
        match event {
            Event::Changed { live, origin } => {
                let (session, message) = (live.session_id, &live.message);
                let (change, ack) = ((message.seq, message.rev), ServerFrame::ack(message));
                self.hub.publish_change(session, change, &encode(&ServerFrame::Message(live)), origin);
                if let Some(origin) = origin {
                    self.hub.send(origin, encode(&ack));
                }
            }
            Event::Opened { session_id, head, last_seq, users, joined } => {
                for user in joined {
                    self.hub.follow_all(user, session_id, head, last_seq);
                }
                let here: Vec<UserId> = users.keys().copied().collect();
                let opened = ServerFrame::Session { session_id, epoch: head.epoch, users };
                self.hub.publish(session_id, &encode(&opened));
                for user_id in here {
                    let status = self.leases().of(user_id);
                    let frame = encode(&ServerFrame::Status { user_id, status });
                    self.hub.publish(session_id, &frame);
                }
            }
            Event::ToUser { user_id, frame, except } => {
                self.hub.send_to_user(user_id, &encode(&frame), except)
            }
            Event::ToConn { conn, frame } => self.hub.send(conn, encode(&frame)),
            Event::Failed { conn } => {
                self.hub.close(conn, close::TRY_LATER, "The server cannot store messages just now.");
            }
        }
    }

    /// Records every coming and going and tells those who share a session, in the order it happened.
    async fn tell_edges(self: Arc<Self>, mut edges: mpsc::UnboundedReceiver<(UserId, Presence)>) {
        while let Some((user_id, status)) = edges.recv().await {
            let told = async {
                self.store.set_status(user_id, status).await?;
                self.store.acquaintances(user_id).await
            };
            match told.await {
                Ok(others) => {
                    let frame = encode(&ServerFrame::Status { user_id, status });
                    others.into_iter().for_each(|other| self.hub.send_to_user(other, &frame, None));
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "presence was not recorded");
                }
            }
        }
    }

    async fn end_leases(self: Arc<Self>) {
        loop {
            let next = self.leases().next_expiry();
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.leases_changed.notified() => continue,
            }
            for user in self.leases().expire(Instant::now()) {
                let _ = self.edges.send((user, Presence::Offline));
            }
        }
    }

    /// Closes the sockets of logins that are over, and forgets the throttles of users who are not sending.
    async fn sweep(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(SWEEP);
        loop {
            ticks.tick().await;
            if let Some(throttle) = &self.throttle {
                throttle.retain_recent();
            }
            let open = self.hub.logins();
            if open.is_empty() {
                continue;
            }
            match self.store.ended_logins(open).await {
                Ok(ended) => self.hub.revoke(|login, _| ended.contains(&login)),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "logins were not checked");
                }
            }
        }
    }

    fn came_or_stayed(&self, user: UserId, came: bool) {
        if came {
            let _ = self.edges.send((user, Presence::Online));
        }
        self.leases_changed.notify_one();
    }

    fn leases(&self) -> std::sync::MutexGuard<'_, Leases> {
        self.leases.lock().expect("nothing panics under the leases' lock")
    }
}

/// One socket, as the chat sees it. Dropping it is the end of the socket.
pub struct Connection {
    id: ConnId,
    actor: Actor,
    outbox: Outbox,
    /// When this user was last said to be writing, by session.
    typed: Mutex<HashMap<SessionId, Instant>>,
    shared: Arc<Shared>,
}

impl Connection {
    /// Whose it is.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Its name in this process.
    #[must_use]
    pub fn id(&self) -> ConnId {
        self.id
    }

    /// What is to be written next: everything that waits, in order; a close is the last. Cancel safe.
    pub async fn outgoing(&self) -> Vec<Outgoing> {
        self.outbox.take().await
    }

    /// How it is to end, once that is decided: nothing more is to be taken from it.
    #[must_use]
    pub fn ending(&self) -> Option<(u16, &'static str)> {
        self.outbox.closed()
    }

    /// What waits to be written at this moment, for a socket that is about to end.
    #[must_use]
    pub fn left(&self) -> Vec<Outgoing> {
        self.outbox.take_now()
    }

    /// A `Heads` frame: where every session of this socket stands.
    #[must_use]
    pub fn heads(&self) -> Bytes {
        encode(&ServerFrame::Heads { sessions: self.shared.hub.heads(self.id) })
    }

    /// Sends a frame to this socket alone, behind what waits already.
    pub fn send(&self, frame: &ServerFrame) {
        self.outbox.push(encode(frame));
    }

    /// Tells everybody else in a session that this user is writing. Ignored where it is not theirs, and when it
    /// was said just now.
    pub fn typing(&self, session_id: SessionId) {
        let now = Instant::now();
        let mut typed = self.typed.lock().expect("nothing panics under this lock");
        let is_due = typed.get(&session_id).is_none_or(|last| now - *last >= TYPING_EVERY);
        if is_due && self.shared.hub.follows(self.id, session_id) {
            typed.insert(session_id, now);
            let frame = ServerFrame::Typing { session_id, user_id: self.actor.user_id() };
            self.shared.hub.publish_to_others(session_id, &encode(&frame), self.actor.user_id());
        }
    }

    pub(crate) fn follow(&self, session: SessionId, head: Head, joined: Seq) {
        self.shared.hub.follow(self.id, session, head, joined);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.hub.disconnect(self.id);
        let grace = self.shared.offline_after;
        self.shared.leases().disconnected(self.actor.user_id(), Instant::now(), grace);
        self.shared.leases_changed.notify_one();
    }
}

impl Chat {
    /// A new socket of somebody. From now on it is told everything, so what is read for its `Welcome` after
    /// this leaves no gap.
    #[must_use]
    pub fn connect(&self, actor: Actor) -> Connection {
        let shared = self.0.live.shared.clone();
        let (id, outbox) = shared.hub.connect(actor.user_id(), actor.login());
        let came = shared.leases().connected(actor.user_id(), Instant::now());
        shared.came_or_stayed(actor.user_id(), came);
        Connection { id, actor, outbox, typed: Mutex::default(), shared }
    }

    /// Asks every socket to come back later and ends it. The delays are spread over `window`, so that not
    /// everybody comes at once.
    pub fn drain(&self, window: Duration) {
        self.0.live.hub().drain(window);
    }
}

/// The one place where frames become bytes.
pub(crate) fn encode(frame: &ServerFrame) -> Bytes {
    frame.encode().into()
}

/// Presence of several users at once, for a first picture.
pub(crate) fn presence_of<'a>(
    live: &Live,
    users: impl Iterator<Item = &'a UserId>,
) -> BTreeMap<UserId, Presence> {
    let leases = live.shared.leases();
    users.map(|user| (*user, leases.of(*user))).collect()
}
