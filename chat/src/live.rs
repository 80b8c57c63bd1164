//! Fans events out to the sockets: the only place where `store`, `hub`, `tails` and `presence` meet.
//!
//! One task takes the committed events in commit order, encodes each once, and hands it to the sockets concerned.
//! Everything sent to a socket passes through its single queue, so it sees its acknowledgements and the messages of
//! others in the order in which they were stored.

mod connection;
mod frames;
mod presence;

use std::any::Any;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use protocol::{Outcome, Presence, ServerFrame, UserId, close};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio::task::AbortHandle;

use crate::answers::{Answers, Room};
use crate::budgets::Budgets;
use crate::hub::Hub;
use crate::logins::LoginId;
use crate::options::Options;
use crate::origin::Origin;
use crate::presence::Leases;
use crate::sessions::View;
use crate::sessions::session::StoredSession;
use crate::store::{Event, Store};
use crate::tails::Tails;
use crate::turns::{Turn, Turns};
use crate::vital::vital;
pub use connection::Connection;
pub(crate) use presence::presence_of;

/// How often sockets are checked against their logins, which may have expired.
const SWEEP: Duration = Duration::from_secs(10);

/// How often copies of the database are checked for their age.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// How often another process's (`natter password`'s) revocations are polled: their sockets must close within a second.
const LOOK: Duration = Duration::from_millis(400);

/// After this many events, or this many bytes in them, the sockets' writers get a turn: one commit may hold more than a
/// socket's queue, and a client that reads everything it is sent must not lag for that.
const TURN_EVENTS: usize = 32;
const TURN_BYTES: usize = 16 * 1024;

/// Most bytes of one user's text that wait to be stored, which bounds what one user adds to a commit: everybody whose
/// message is in it waits for all of it.
const STORING: u32 = 64 * 1024;

/// The longest message text, in bytes.
#[expect(clippy::cast_possible_truncation, reason = "16 KiB")]
const MOST_TEXT: u32 = protocol::text::MAX_MESSAGE_BYTES as u32;

/// Dropped when a message that was handed in has been dealt with.
pub type Ticket = Box<dyn Any + Send + Sync>;

/// The live part of a chat.
pub(crate) struct Live {
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
}

struct Shared {
    hub: Hub,
    tails: Tails,
    turns: Turns,
    answers: Answers,
    /// Text waiting to be stored.
    storing: Budgets<UserId>,
    /// From handing in a message to queueing it for the sockets.
    delivery: metrics::Histogram,
    store: Store,
    leases: Mutex<Leases>,
    /// Wakes the task that waits for the next lease to end.
    leases_changed: Notify,
    edges: mpsc::UnboundedSender<(UserId, Presence)>,
    throttle: Option<DefaultKeyedRateLimiter<UserId>>,
    /// For bytes of text.
    text_throttle: Option<DefaultKeyedRateLimiter<UserId>>,
    offline_after: Duration,
    login_lease: Duration,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Live {
    /// Starts the tasks that carry events to the sockets. They end when the value is dropped.
    pub(crate) fn start(store: Store, events: mpsc::Receiver<Vec<Event>>, options: &Options) -> Self {
        let (mut live, edges) = Self::at_rest(store, options);
        let shared = &live.shared;
        live.tasks = vec![
            tokio::spawn(vital("telling what happened", shared.clone().fan_out(events))).abort_handle(),
            tokio::spawn(vital("telling who is here", shared.clone().tell_edges(edges))).abort_handle(),
            tokio::spawn(vital("ending presence", shared.clone().end_leases())).abort_handle(),
            tokio::spawn(vital("checking logins", shared.clone().sweep())).abort_handle(),
        ];
        live
    }

    /// Makes one without its tasks, so that a test can carry events step by step. Also returns the queue of presence
    /// changes.
    pub(crate) fn at_rest(
        store: Store,
        options: &Options,
    ) -> (Self, mpsc::UnboundedReceiver<(UserId, Presence)>) {
        // Unbounded, but each entry is a user coming or going: no client can fill it faster than it connects.
        let (edges, edge_queue) = mpsc::unbounded_channel();
        let throttle = |per_second: Option<u32>, burst: u32| {
            let rate = per_second.and_then(NonZeroU32::new)?;
            let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
            Some(RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst)))
        };
        metrics::counter!("natter_lag_total").increment(0); // exported before the first lag
        let shared = Arc::new(Shared {
            hub: Hub::default(),
            turns: Turns::new(options.reading_pace),
            answers: Answers::new(options.under_way),
            storing: Budgets::new(STORING),
            tails: Tails::new(metrics::counter!("natter_page_reads_total")),
            delivery: metrics::histogram!("natter_delivery_seconds"),
            store,
            leases: Mutex::default(),
            leases_changed: Notify::new(),
            edges,
            throttle: throttle(options.messages_per_second, options.message_burst),
            // The longest message has to fit.
            text_throttle: throttle(options.text_per_second, options.text_burst.max(MOST_TEXT)),
            offline_after: options.offline_after,
            login_lease: options.login_lease,
        });
        (Self { shared, tasks: Vec::new() }, edge_queue)
    }

    /// Carries one committed event to the sockets concerned.
    #[cfg(test)]
    pub(crate) fn carry(&self, event: Event) {
        self.shared.carry(event);
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    pub(crate) fn tails(&self) -> &Tails {
        &self.shared.tails
    }

    /// Waits for the user's turn at a large read from the database.
    pub(crate) async fn turn(&self, user: UserId) -> Turn {
        self.shared.turns.take(user).await
    }

    /// Waits until this many bytes of a user's text may be handed in; they count until the value is dropped.
    pub(crate) async fn storing(&self, user: UserId, bytes: usize) -> OwnedSemaphorePermit {
        self.shared.storing.take(user, bytes).await
    }

    /// Waits for room for an answer to a user at an address.
    pub(crate) async fn room(&self, user: UserId, address: Option<IpAddr>, bytes: usize) -> Room {
        self.shared.answers.room(user, address, bytes).await
    }

    /// Returns whether a user is online.
    pub(crate) fn presence(&self, user: UserId) -> Presence {
        self.shared.leases().of(user)
    }

    /// Counts a user as online for a while: their browser has signed in and its socket should follow.
    pub(crate) fn signed_in(&self, user: UserId) {
        let came = self.shared.leases().signed_in(user, Instant::now(), self.shared.login_lease);
        self.shared.came_or_stayed(user, came);
    }

    /// Closes the sockets of a login.
    pub(crate) fn revoke(&self, login: LoginId) {
        self.shared.hub.revoke(|of, _| of == login);
    }

    /// Closes the sockets of all of a user's logins.
    pub(crate) fn revoke_user(&self, user: UserId) {
        self.shared.hub.revoke(|_, of| of == user);
    }

    /// Waits until the rate limit allows the user one more action that is stored. Meanwhile the transport reads nothing
    /// from the user.
    pub(crate) async fn pace(&self, user: UserId) {
        if let Some(throttle) = &self.shared.throttle {
            throttle.until_key_ready(&user).await;
        }
    }

    /// Does the same for an action with this many bytes of text, which have a rate limit of their own.
    pub(crate) async fn pace_text(&self, user: UserId, bytes: usize) {
        self.pace(user).await;
        let bytes = u32::try_from(bytes).ok().and_then(NonZeroU32::new);
        if let Some((throttle, bytes)) = self.shared.text_throttle.as_ref().zip(bytes) {
            let _ = throttle.until_key_n_ready(&user, bytes).await; // an error if it could never be ready
        }
    }
}

impl Shared {
    async fn fan_out(self: Arc<Self>, mut events: mpsc::Receiver<Vec<Event>>) {
        while let Some(committed) = events.recv().await {
            let (mut carried, mut bytes) = (0, 0);
            for event in committed {
                if carried == TURN_EVENTS || bytes > TURN_BYTES {
                    tokio::task::yield_now().await;
                    (carried, bytes) = (0, 0);
                }
                carried += 1;
                if let Event::Changed { live, .. } = &event {
                    bytes += live.message.data.len();
                }
                self.carry(event);
            }
        }
    }

    fn carry(&self, event: Event) {
        match event {
            Event::Changed { live, origin, handed_in } => {
                self.tails.append(&live);
                let (session, message) = (live.session_id, &live.message);
                let (change, ack) = ((message.seq, message.rev), ServerFrame::ack(message));
                let frame = || encode(&ServerFrame::Message(live));
                let answer = origin.map(|origin| (origin.0, encode(&ack)));
                self.hub.publish_change(session, change, frame, answer);
                if let Some(handed_in) = handed_in {
                    self.delivery.record(handed_in.elapsed());
                }
            }
            Event::Opened { session, users, joined } => {
                self.opened(session, users, joined);
            }
            Event::OpenedAgain { origin, session, users, view } => {
                self.tell(origin, &frames::session_seen(frames::session(session, users), &view));
            }
            Event::Altered { session, users } => {
                let session_id = session.session_id;
                let notice = frames::session(session, users);
                self.hub.publish(session_id, &encode(&ServerFrame::Session(notice)));
            }
            Event::Left { session_id, user } => {
                if self.hub.unfollow_all(user, session_id) {
                    self.tails.forget(session_id);
                }
                self.tell_user(user, &ServerFrame::Left { session_id });
            }
            Event::Repeated { origin, message_id, seq, rev, time_stamp } => {
                self.tell(origin, &ServerFrame::Ack { message_id, seq, rev, time_stamp });
            }
            Event::NotStored { origin, session_id, message_id, why } => {
                self.tell(origin, &frames::not_stored(session_id, message_id, why));
            }
            Event::Unchanged { origin, live } => self.tell(origin, &ServerFrame::Message(live)),
            Event::Invited { invite } => self.tell_user(invite.to_user, &frames::invited(&invite)),
            Event::Waits { invite } => {
                let frame = frames::outcome(&invite, Outcome::Pending, invite.session_id);
                self.tell_user(invite.from_user, &frame);
            }
            Event::Ended { invite, answer, session } => {
                self.tell_user(invite.to_user, &frames::closed(&invite, answer, session));
                self.tell_user(invite.from_user, &frames::outcome(&invite, answer.into(), session));
            }
            Event::EndedAgain { origin, invite, answer, session } => {
                self.tell(origin, &frames::ended_again(&invite, answer, session));
            }
            Event::Met { origin, username, session, is_new } => {
                self.tell(origin, &frames::met(username, session, is_new));
            }
            Event::Failed { origin } => {
                self.hub.close(origin.0, close::TRY_LATER, "The server cannot store messages just now.");
            }
        }
    }

    /// Lets the sockets of those who joined follow, and tells everybody.
    fn opened(&self, session: StoredSession, users: BTreeMap<UserId, String>, joined: Vec<(UserId, View)>) {
        let (session_id, head) = (session.session_id, session.head);
        let new: Vec<UserId> = joined.iter().map(|(user, _)| *user).collect();
        let others: Vec<UserId> = users.keys().filter(|user| !new.contains(user)).copied().collect();
        let notice = frames::session(session, users);
        for (user, view) in joined {
            self.hub.follow_all(user, session_id, head, &view);
            self.tell_user(user, &frames::session_seen(notice.clone(), &view));
        }
        self.hub.publish_to_others(session_id, &encode(&ServerFrame::Session(notice)), &new);
        self.introduce(session_id, &new, &others);
    }

    /// Answers one socket.
    fn tell(&self, origin: Origin, frame: &ServerFrame) {
        self.hub.answer(origin.0, encode(frame));
    }

    /// Tells all sockets of a user.
    fn tell_user(&self, user: UserId, frame: &ServerFrame) {
        self.hub.send_to_user(user, &encode(frame), None);
    }

    /// Closes the sockets of ended logins, and drops the throttles of idle users.
    async fn sweep(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK);
        let (mut swept, mut seen) = (Instant::now(), None);
        let mut looked = Instant::now();
        loop {
            ticks.tick().await;
            // A failed poll says nothing about the logins: the next sweep will find them.
            let revocations = self.store.revocations().await.ok().or(seen);
            let is_news = std::mem::replace(&mut seen, revocations) != revocations;
            if !is_news && swept.elapsed() < SWEEP {
                continue;
            }
            swept = Instant::now();
            for throttle in [&self.throttle, &self.text_throttle].into_iter().flatten() {
                throttle.retain_recent();
            }
            self.tails.forget_idle(Instant::now());
            self.turns.forget_idle(Instant::now());
            self.answers.forget_idle();
            self.storing.forget_idle();
            if looked.elapsed() > HOUR {
                looked = Instant::now();
                self.store.forget_copies();
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
}

/// Encodes a frame: the only place where frames become bytes.
pub(crate) fn encode(frame: &ServerFrame) -> Bytes {
    frame.encode().into()
}

#[cfg(test)]
mod tests {
    use protocol::{Epoch, Head, LiveMessage, Message, MessageId, Rev, Seq, SessionId, TimeStamp};

    use super::*;
    use crate::hub::Outgoing;

    fn said(session_id: SessionId, n: i64, data: &str) -> Event {
        let message = Message {
            message_id: MessageId::new(),
            data: data.into(),
            time_stamp: TimeStamp(n),
            sender: UserId::new(),
            seq: Seq(n),
            rev: Rev(n),
            edited_at: None,
            deleted_at: None,
        };
        Event::Changed { live: LiveMessage { session_id, message }, origin: None, handed_in: None }
    }

    #[tokio::test]
    async fn one_large_commit_does_not_make_those_lag_who_read_all_they_are_sent() {
        let data = tempfile::tempdir().unwrap();
        let (store, _events) = Store::open(data.path()).await.unwrap();
        let (commits, events) = mpsc::channel(1);
        let (live, _edges) = Live::at_rest(store, &Options::default());
        tokio::spawn(live.shared.clone().fan_out(events));
        let (session, head) = (SessionId::new(), Head { epoch: Epoch::new(), rev: Rev(0) });
        let readers = [(); 3].map(|()| {
            let socket = live.hub().connect(UserId::new(), LoginId::of_token(b"x"));
            live.hub().follow(&socket, session, head, View::since(Seq(0)));
            tokio::spawn(async move {
                let mut taken = 0;
                while taken < 512 {
                    match socket.outgoing().await {
                        Outgoing::Frames(frames) => taken += frames.len(),
                        other => panic!("{other:?} after {taken}"),
                    }
                }
            })
        });
        tokio::task::yield_now().await; // now all of them wait
        for data in ["short", &"long".repeat(4000)] {
            commits.send((1..=256).map(|n| said(session, n, data)).collect()).await.unwrap();
        }
        for reader in readers {
            reader.await.unwrap();
        }
    }
}
