//! The state and behaviour of the open page: one [`Sync`] and the signals that show it.
//!
//! Belongs to the root of the page, never to a route, so that a socket's late answer always finds it. Components read
//! the signals and call the methods here; only `socket` talks to the server, and only [`keep`] to the browser's
//! storage. Both sides take the first values from [`Boot`](crate::boot::Boot), so the browser hydrates exactly what the
//! server rendered.

mod announce;
mod apply;
mod invitations;
pub(crate) mod keep;
mod session;
#[cfg(feature = "hydrate")]
mod socket;
mod summons;
mod typing;
mod window;

use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use protocol::api::HistoryPart;
use protocol::{
    ClientFrame, Earlier, InviteId, Invited, Me, MessageId, Pending, PendingState, Seq, SessionId, Snapshot,
    Step, Sync,
};

use crate::api;
use crate::clock::{self, Clock};
use crate::names;
use crate::route::Open;
pub(crate) use announce::Announcer;
pub(crate) use invitations::{Finding, Next};
pub(crate) use session::{Older, Place, RowView, SessionView, looks_here};
pub(crate) use summons::somebody_writes;

/// The live state. A handle: copies share one state.
#[derive(Clone, Copy)]
pub struct Live {
    inner: StoredValue<Inner>,
    clock: Clock,
    /// All sessions, the one with the newest message first.
    pub(crate) sessions: RwSignal<Vec<SessionId>>,
    /// Invitations that wait for this user's answer, oldest first.
    pub(crate) invited: RwSignal<Vec<Invited>>,
    /// This user's own invitations that wait for an answer, oldest first.
    pub(crate) asked: RwSignal<Vec<Invited>>,
    /// Invitations that the user has answered or cancelled, until the server confirms.
    answering: RwSignal<Vec<(InviteId, protocol::Answer)>>,
    /// News about invitations that is not the answer to a search.
    pub(crate) note: RwSignal<Option<Finding>>,
    /// The result of the search.
    pub(crate) finding: RwSignal<Option<Finding>>,
    /// Whether a search is in progress.
    pub(crate) asking: RwSignal<bool>,
    /// Which conversation is open, and how to open another one.
    pub(crate) route: StoredValue<Option<Open>>,
    /// How many user actions this page has seen since hydration.
    deeds: StoredValue<u32>,
    /// A session that the page has just opened for its user: its composer takes the focus, on any device.
    pub(crate) greeted: StoredValue<Option<SessionId>>,
    /// Whether the connection has been gone for longer than a moment.
    pub(crate) lost: RwSignal<bool>,
    /// Whether it is gone because this user has the most connections allowed.
    pub(crate) crowded: RwSignal<bool>,
    /// Whether the login has ended while not everything written could be stored.
    pub(crate) ended: RwSignal<bool>,
    /// The text of a message that was taken back, for the composer of its session.
    pub(crate) returned: RwSignal<Option<(SessionId, String)>>,
    /// What was written in sessions that the user is in no more, and was not sent.
    pub(crate) unsendable: RwSignal<Vec<Pending>>,
    /// What the live region announces.
    pub(crate) announcer: Announcer,
}

/// State that no component reads directly.
struct Inner {
    me: Me,
    sync: Sync,
    /// Sorted by session ID.
    sessions: Vec<SessionView>,
    /// Owns new signals, so that they live as long as the page no matter which owner is current when they are made.
    owner: Owner,
    /// Messages kept in the browser's storage until they are acknowledged, each with whether the server may have it.
    kept: Vec<(MessageId, bool)>,
    /// Messages to take back once they are answered; into the composer or not.
    unwanted: Vec<(MessageId, bool)>,
    /// Whether the storage took what was last typed.
    draft_kept: bool,
    /// Invitations accepted here whose sessions are to be opened, each with the number of deeds at the time.
    awaited: Vec<(InviteId, u32)>,
    /// Whether the user is signing out.
    leaving: bool,
    /// The search in progress.
    search: Option<invitations::Searching>,
    #[cfg(feature = "hydrate")]
    wire: Option<socket::Wire>,
}

impl Inner {
    /// Returns the index where a session is, or belongs.
    fn session_at(&self, id: SessionId) -> Result<usize, usize> {
        self.sessions.binary_search_by_key(&id, |session| session.id)
    }
}

impl Live {
    /// Creates the state of the first render.
    pub(crate) fn new(snapshot: &Snapshot, clock: Clock) -> Self {
        let sync = Sync::from_snapshot(snapshot).letting_go_beyond(window::MOST);
        let owner = Owner::current().expect("made inside the root component");
        let live = Self {
            clock,
            sessions: RwSignal::default(),
            invited: RwSignal::default(),
            asked: RwSignal::default(),
            answering: RwSignal::default(),
            note: RwSignal::default(),
            finding: RwSignal::default(),
            asking: RwSignal::default(),
            route: StoredValue::default(),
            deeds: StoredValue::default(),
            greeted: StoredValue::default(),
            lost: RwSignal::default(),
            crowded: RwSignal::default(),
            ended: RwSignal::default(),
            returned: RwSignal::default(),
            unsendable: RwSignal::default(),
            announcer: Announcer::new(),
            inner: StoredValue::new(Inner {
                me: snapshot.me.clone(),
                sync,
                sessions: Vec::new(),
                owner,
                kept: Vec::new(),
                unwanted: Vec::new(),
                draft_kept: true,
                awaited: Vec::new(),
                leaving: false,
                search: None,
                #[cfg(feature = "hydrate")]
                wire: None,
            }),
        };
        live.refresh_sessions();
        live.show_invitations();
        live
    }

    /// Starts after hydration: restores what an earlier run left unsent, then opens the socket.
    pub(crate) fn start(self) {
        self.clock.tick();
        self.refresh_days();
        set_interval(move || self.clock.tick(), Duration::from_secs(30));
        self.restore();
        // Another tab took it back, so this one must not send it.
        _ = window_event_listener(leptos::ev::storage, move |event| {
            let was = event.old_value().filter(|_| event.new_value().is_none());
            if let Some(id) = keep::taken_back(self.me().user_id, event.key(), was) {
                self.discard(id);
            }
        });
        self.count_deeds();
        #[cfg(feature = "hydrate")]
        socket::start(self);
    }

    /// Restores messages that were stored and never acknowledged, by an earlier run or another tab. If both tabs send
    /// one, the server dedupes it.
    fn restore(self) {
        let unsent = keep::unsent(self.me().user_id);
        let _ = self.inner.try_update_value(|inner| {
            // Those of sessions that nobody has named yet stay where they are until the `Welcome`.
            let is_known =
                |p: &&Pending| inner.sync.is_ready() || inner.sync.sessions().contains_key(&p.session_id);
            inner.kept.extend(unsent.iter().filter(is_known).map(|p| (p.message_id, p.unanswered)));
        });
        self.act(|sync| ((), sync.restore(unsent)));
    }

    /// Returns the signed-in user.
    pub(crate) fn me(self) -> Me {
        self.inner.with_value(|inner| inner.me.clone())
    }

    /// Returns a session, if it is known. Tracked: notices when it comes or goes.
    pub(crate) fn session(self, id: SessionId) -> Option<SessionView> {
        self.sessions.track();
        self.session_now(id)
    }

    fn session_now(self, id: SessionId) -> Option<SessionView> {
        let find = |inner: &Inner| Some(inner.sessions[inner.session_at(id).ok()?]);
        self.inner.try_with_value(find).flatten()
    }

    /// Returns the number of unread messages in all sessions together.
    pub(crate) fn unread(self) -> i64 {
        self.sessions
            .read()
            .iter()
            .filter_map(|id| self.session_now(*id))
            .map(|session| session.unread.get())
            .sum()
    }

    /// Returns how much waits for the user: unread messages and invitations.
    pub(crate) fn waiting(self) -> i64 {
        self.unread() + i64::try_from(self.invited.read().len()).unwrap_or_default()
    }

    /// Returns the document's title: of the open conversation, or `otherwise`.
    pub(crate) fn title(self, open: Option<SessionId>, otherwise: &str) -> String {
        let names = open.and_then(|id| self.session(id)).map(|session| names::isolated(&session.title()));
        crate::title(names.as_deref().unwrap_or(otherwise), self.waiting())
    }

    /// Sends a message. When this returns its row is there, and the message survives closing the page.
    pub(crate) fn send(self, to: SessionId, text: String) {
        keep::forget_draft(self.me().user_id, to, &text);
        self.act(|sync| sync.send(to, text, clock::now()));
        if let Some(session) = self.session_now(to) {
            session.stops_telling();
            self.to_end(session);
        }
    }

    /// Resends a message that waits or was refused, as soon as possible.
    pub(crate) fn retry(self, id: MessageId) {
        self.act(|sync| ((), sync.retry(id)));
        self.try_now();
    }

    /// Discards a message that is not in flight.
    fn discard(self, id: MessageId) -> Option<Pending> {
        // Another tab may have sent it. Of what was returned to its writer nothing more will be heard.
        let is_sent = |p: &Pending| p.message_id == id && p.unanswered;
        let is_returned = self.unsendable.with_untracked(|all| all.iter().any(|p| p.message_id == id));
        if !is_returned && keep::unsent(self.me().user_id).iter().any(is_sent) {
            return None;
        }
        let taken = self.inner.try_update_value(|inner| inner.sync.take_back(id));
        let (taken, step) = taken?;
        self.apply(step);
        taken
    }

    /// Takes back a message that waits or was refused: into the composer, or for good. While a retry is in flight this
    /// has to wait for the answer.
    pub(crate) fn take_back(self, id: MessageId, rewrite: bool) {
        let taken = self.discard(id);
        let waits = taken.is_none().then_some((id, rewrite));
        let _ = self.inner.try_update_value(|inner| {
            inner.unwanted.retain(|(held, _)| *held != id);
            inner.unwanted.extend(waits);
        });
        if let Some(pending) = taken.filter(|_| rewrite) {
            self.give_back(pending.session_id, pending.data);
        }
    }

    /// Returns a text to its writer: into the composer of its session, or into the stored draft if that is not open.
    fn give_back(self, session: SessionId, text: String) {
        let is_open = self.route.get_value().and_then(|open| untrack(|| open.get())) == Some(session);
        if !is_open {
            let me = self.me().user_id;
            let draft = keep::draft(me, session).unwrap_or_default();
            if keep::keep_draft(me, session, &draft, &keep::both(&text, &draft)) {
                return;
            }
        }
        self.returned.set(Some((session, text)));
    }

    /// Takes back the messages in `unwanted` that have been answered.
    fn take_back_unwanted(self) {
        let answered = |inner: &mut Inner| {
            let held = |id: MessageId| inner.sync.outbox().iter().find(|p| p.message_id == id);
            let (answered, waits): (Vec<_>, Vec<_>) =
                inner.unwanted.iter().partition(|(id, _)| held(*id).is_none_or(|p| !p.unanswered));
            inner.unwanted = waits;
            answered
        };
        for (id, rewrite) in self.inner.try_update_value(answered).unwrap_or_default() {
            if self.inner.with_value(|inner| inner.sync.outbox().iter().any(|p| p.message_id == id)) {
                self.take_back(id, rewrite);
            }
        }
    }

    /// Returns how many messages the server has not acknowledged, including those of other tabs.
    pub(crate) fn unsent(self) -> usize {
        self.inner.with_value(|inner| inner.sync.outbox().len().max(keep::unsent(inner.me.user_id).len()))
    }

    /// Handles a storage event of another tab, while this composer holds `text`. Returns whether that tab sent exactly
    /// this text, which then is no draft any more.
    pub(crate) fn was_sent_elsewhere(
        self,
        session_id: SessionId,
        text: &str,
        event: &web_sys::Event,
    ) -> bool {
        let me = self.me().user_id;
        keep::guard_draft(me, session_id, text, event);
        let sent = keep::sent_by_another_tab(me, event);
        sent.is_some_and(|(session, sent)| session == session_id && sent == keep::sendable(text))
    }

    /// Stores a composer's text, which was `before`.
    pub(crate) fn keep_draft(self, session_id: SessionId, before: &str, text: &str) {
        let _ = self.inner.try_update_value(|inner| {
            inner.draft_kept = keep::keep_draft(inner.me.user_id, session_id, before, text);
        });
    }

    /// Marks everything in the session up to here as read.
    pub(crate) fn seen(self, session: SessionView, up_to: Seq) {
        self.act(|sync| ((), sync.read(session.id, up_to)));
    }

    /// Opens a session on the screen: draws its newest rows, and marks where the unread ones begin.
    pub(crate) fn open(self, session: SessionView) {
        self.has_come_to(session.id);
        self.inner.with_value(|inner| session.open(&inner.sync, self.clock));
    }

    /// Closes it again.
    pub(crate) fn close(self, session: SessionView) {
        session.close();
    }

    /// Goes to the newest rows and stays with them.
    pub(crate) fn to_end(self, session: SessionView) {
        let _ = self.inner.try_with_value(|inner| session.to_end(&inner.sync, self.clock));
    }

    /// Draws newer rows, if the newest are not drawn yet.
    pub(crate) fn newer(self, session: SessionView) {
        let _ = self.inner.try_with_value(|inner| session.newer(&inner.sync, self.clock));
    }

    /// Draws older rows: those in memory, or else the server's.
    pub(crate) fn older(self, session: SessionView) {
        let asked = self.inner.try_with_value(|inner| session.older(&inner.sync, self.clock)).flatten();
        if let Some(asked) = asked {
            self.load(session, asked);
        }
    }

    /// Notes whether a line of the list shows the session.
    pub(crate) fn list(self, session: SessionView, is_listed: bool) {
        session.list(is_listed);
        self.look(session);
    }

    /// Fetches the newest rows of a session that is on the screen, if none are in memory: too much was missing, or
    /// nobody has opened it yet. Others load when they are scrolled into view.
    fn look(self, session: SessionView) {
        let missing = self.inner.try_with_value(|inner| session.misses_all(&inner.sync)).flatten();
        if let Some(asked) = missing {
            session.older.set(Older::Loading);
            self.to_end(session);
            self.load(session, asked);
        }
    }

    /// Fetches earlier messages from the server.
    fn load(self, session: SessionView, asked: Earlier) {
        spawn_local(async move {
            match api::history(HistoryPart { session_id: session.id, before: Some(asked.before) }).await {
                Ok(page) => {
                    session.older.try_set(Older::None);
                    self.act(|sync| ((), sync.prepend(session.id, asked, page)));
                }
                Err(_) => {
                    session.older.try_set(Older::Failed);
                }
            }
        });
    }

    /// Runs an operation on the state machine, then shows and sends what follows from it.
    fn act<R>(self, act: impl FnOnce(&mut Sync) -> (R, Step)) {
        // None while the page is being torn down: nobody is left to show it to.
        if let Some((_, step)) = self.inner.try_update_value(|inner| act(&mut inner.sync)) {
            self.apply(step);
        }
    }

    /// Notes that the user is signing out: the closing socket must not get in the way of the form.
    pub(crate) fn leave(self) {
        let _ = self.inner.try_update_value(|inner| inner.leaving = true);
    }

    /// Passes a frame to the socket; without a connection it is dropped. What has to arrive is in the outbox.
    #[cfg_attr(
        not(feature = "hydrate"),
        expect(unused_variables, reason = "the server's page has no socket")
    )]
    fn transmit(self, frame: ClientFrame) {
        #[cfg(feature = "hydrate")]
        let _ = self.inner.try_with_value(|inner| inner.wire.as_ref().map(|wire| wire.send(frame)));
    }

    /// Reconnects: this socket's server waits for a message that was taken back.
    fn renew(self) {
        #[cfg(feature = "hydrate")]
        let _ = self.inner.try_with_value(|inner| inner.wire.as_ref().map(socket::Wire::renew));
    }

    /// Retries the connection immediately.
    pub(crate) fn try_now(self) {
        #[cfg(feature = "hydrate")]
        let _ = self.inner.try_with_value(|inner| inner.wire.as_ref().map(socket::Wire::now));
    }

    /// Loads a page so that the server decides how to go on: it redirects strangers to `/login`, and leaves somebody
    /// who has signed in again where they are.
    pub(crate) fn sign_in(self) {
        let location = window().location();
        let is_open = location.pathname().is_ok_and(|path| path.starts_with("/chat/"));
        let _ = if is_open { location.reload() } else { location.assign("/login") };
    }

    /// Whether all drafts and unsent messages are in the browser's storage.
    pub(crate) fn keeps_all(self) -> bool {
        self.keep_unsent();
        let keeps = |inner: &Inner| inner.draft_kept && inner.kept.len() == inner.sync.outbox().len();
        self.inner.try_with_value(keeps).unwrap_or(true)
    }

    /// Keeps exactly the unacknowledged messages in the browser's storage.
    fn keep_unsent(self) {
        let _ = self.inner.try_update_value(|inner| {
            let me = inner.me.user_id;
            let unsent = inner.sync.outbox();
            for (gone, _) in inner.kept.iter().filter(|(id, _)| unsent.iter().all(|p| p.message_id != *id)) {
                keep::forget_unsent(me, *gone);
            }
            let stands = |p: &Pending| (p.message_id, p.unanswered);
            let kept = |p: &&Pending| inner.kept.contains(&stands(p)) || keep::keep_unsent(me, p);
            inner.kept = unsent.iter().filter(kept).map(stands).collect();
        });
    }
}

/// Builds a message from the storage. It is sent again, whether it was sent before or not.
fn waiting(
    message_id: MessageId,
    session_id: SessionId,
    data: String,
    written: protocol::TimeStamp,
    unanswered: bool,
) -> Pending {
    let state = PendingState::Waiting;
    Pending { message_id, session_id, data, written, state, unanswered, put_off: None }
}
