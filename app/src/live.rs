//! What the open page knows and does: one [`Sync`] and the signals that show it.
//!
//! Belongs to the root of the page, never to a route, so that a socket's late answer always finds it. Components
//! read the signals and call the methods here; only [`socket`] talks to the server, and only [`keep`] to the
//! browser's storage. The first values come from [`Boot`](crate::boot::Boot) on both sides, so what is drawn on the
//! server is what the browser hydrates.

mod announce;
mod apply;
mod invitations;
pub(crate) mod keep;
#[cfg(feature = "hydrate")]
mod socket;
mod summons;
mod thread;
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
pub(crate) use summons::somebody_writes;
pub(crate) use thread::{Older, Place, RowView, Thread, looks_here};

/// The live state. A handle: copies share one state.
#[derive(Clone, Copy)]
pub struct Live {
    inner: StoredValue<Inner>,
    clock: Clock,
    /// Every session, the one with the newest message first.
    pub(crate) sessions: RwSignal<Vec<SessionId>>,
    /// Invitations that wait for one's own answer, oldest first.
    pub(crate) invited: RwSignal<Vec<Invited>>,
    /// One's own invitations that wait for an answer, oldest first.
    pub(crate) asked: RwSignal<Vec<Invited>>,
    /// Invitations that one has answered or taken back, until the server agrees.
    answering: RwSignal<Vec<(InviteId, protocol::Answer)>>,
    /// News of invitations that answers no search.
    pub(crate) note: RwSignal<Option<Finding>>,
    /// What came of the search.
    pub(crate) finding: RwSignal<Option<Finding>>,
    /// A search is under way.
    pub(crate) asking: RwSignal<bool>,
    /// Which conversation is open, and the way to another one.
    pub(crate) route: StoredValue<Option<Open>>,
    /// How much has been done on this page since it lives.
    deeds: StoredValue<u32>,
    /// A session in which the next word is one's own: its composer takes the focus, whatever the device.
    pub(crate) greeted: StoredValue<Option<SessionId>>,
    /// Without a connection for longer than a moment.
    pub(crate) lost: RwSignal<bool>,
    /// Without one because this user has as many as one may.
    pub(crate) crowded: RwSignal<bool>,
    /// The login is over, and not everything written could be kept.
    pub(crate) ended: RwSignal<bool>,
    /// The text of a message that was taken back, for the composer of its session.
    pub(crate) returned: RwSignal<Option<(SessionId, String)>>,
    /// What the live region says.
    pub(crate) announcer: Announcer,
}

/// What no component looks at directly.
struct Inner {
    me: Me,
    sync: Sync,
    /// By their names.
    threads: Vec<Thread>,
    /// New signals live as long as the page, whoever's turn it is when they are made.
    owner: Owner,
    /// Messages kept in the browser's storage until they are acknowledged.
    /// Each with whether it may be stored.
    kept: Vec<(MessageId, bool)>,
    /// To be taken back once they are answered; into the composer or not.
    unwanted: Vec<(MessageId, bool)>,
    /// The storage took what was last typed.
    draft_kept: bool,
    /// The invitations that were accepted here, and after how many deeds: their sessions are to be opened.
    awaited: Vec<(InviteId, u32)>,
    /// One is about to sign out.
    leaving: bool,
    /// The search under way.
    search: Option<invitations::Searching>,
    #[cfg(feature = "hydrate")]
    wire: Option<socket::Wire>,
}

impl Inner {
    /// Where a session's thread is, or belongs.
    fn thread_at(&self, id: SessionId) -> Result<usize, usize> {
        self.threads.binary_search_by_key(&id, |thread| thread.id)
    }
}

impl Live {
    /// The state at the first picture.
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
            announcer: Announcer::new(),
            inner: StoredValue::new(Inner {
                me: snapshot.me.clone(),
                sync,
                threads: Vec::new(),
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

    /// Comes to life, after hydration: what an earlier run left unsent, then the socket.
    pub(crate) fn start(self) {
        self.clock.tick();
        self.refresh_days();
        set_interval(move || self.clock.tick(), Duration::from_secs(30));
        let _ = self.inner.try_update_value(|inner| {
            let unsent = keep::unsent(inner.me.user_id);
            inner.kept = unsent.iter().map(|p| (p.message_id, p.unanswered)).collect();
        });
        self.restore();
        // What another tab took back is not to be sent by this one.
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

    /// Takes back what was kept and never acknowledged: by an earlier run, or by another tab. What both send is one
    /// message.
    fn restore(self) {
        let unsent = keep::unsent(self.me().user_id);
        self.act(|sync| ((), sync.restore(unsent)));
    }

    /// Oneself.
    pub(crate) fn me(self) -> Me {
        self.inner.with_value(|inner| inner.me.clone())
    }

    /// A session, once it is known. Notices when it comes or goes.
    pub(crate) fn thread(self, id: SessionId) -> Option<Thread> {
        self.sessions.track();
        self.thread_now(id)
    }

    fn thread_now(self, id: SessionId) -> Option<Thread> {
        let find = |inner: &Inner| Some(inner.threads[inner.thread_at(id).ok()?]);
        self.inner.try_with_value(find).flatten()
    }

    /// How much is unread in all sessions together.
    pub(crate) fn unread(self) -> i64 {
        self.sessions
            .read()
            .iter()
            .filter_map(|id| self.thread_now(*id))
            .map(|thread| thread.unread.get())
            .sum()
    }

    /// How much waits for one's eyes or answer: messages and invitations.
    pub(crate) fn waiting(self) -> i64 {
        self.unread() + i64::try_from(self.invited.read().len()).unwrap_or_default()
    }

    /// The document's title, with a conversation open or `otherwise`.
    pub(crate) fn title(self, open: Option<SessionId>, otherwise: &str) -> String {
        let names = open.and_then(|id| self.thread(id)).map(|thread| names::isolated(&thread.title()));
        crate::title(names.as_deref().unwrap_or(otherwise), self.waiting())
    }

    /// Writes a message. Its row is there when this returns, and the message is kept even if the page is closed.
    pub(crate) fn send(self, to: SessionId, text: String) {
        keep::forget_draft(self.me().user_id, to, &text);
        self.act(|sync| sync.send(to, text, clock::now()));
        if let Some(thread) = self.thread_now(to) {
            thread.stops_telling();
            self.to_end(thread);
        }
    }

    /// Sends a message that waits or was refused once more, as soon as may be.
    pub(crate) fn retry(self, id: MessageId) {
        self.act(|sync| ((), sync.retry(id)));
        self.try_now();
    }

    /// Lets go of a message that is not on its way.
    fn discard(self, id: MessageId) -> Option<Pending> {
        // Another tab may have sent it.
        let is_sent = |p: &Pending| p.message_id == id && p.unanswered;
        if keep::unsent(self.me().user_id).iter().any(is_sent) {
            return None;
        }
        let taken = self.inner.try_update_value(|inner| inner.sync.take_back(id));
        let (taken, step) = taken?;
        self.apply(step);
        taken
    }

    /// Takes back a message that waits or was refused: into the composer, or for good. While it is asked for again that
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

    /// Gives a text back to its writer: into the composer of its session, or where that finds its draft.
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

    /// Takes back what was asked for, once it is answered.
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

    /// How many messages the server has not acknowledged, those of other tabs included.
    pub(crate) fn unsent(self) -> usize {
        self.inner.with_value(|inner| inner.sync.outbox().len().max(keep::unsent(inner.me.user_id).len()))
    }

    /// Another tab did something in the storage; this composer holds `text`. Returns whether it has sent just that, which
    /// is no draft any more.
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

    /// Keeps what is in a composer, which held `before`.
    pub(crate) fn keep_draft(self, session_id: SessionId, before: &str, text: &str) {
        let _ = self.inner.try_update_value(|inner| {
            inner.draft_kept = keep::keep_draft(inner.me.user_id, session_id, before, text);
        });
    }

    /// Everything in the session up to here has been before the reader's eyes.
    pub(crate) fn seen(self, thread: Thread, up_to: Seq) {
        self.act(|sync| ((), sync.read(thread.id, up_to)));
    }

    /// The session is on the screen from now on: draws its newest rows, and marks where the unread ones begin.
    pub(crate) fn open(self, thread: Thread) {
        self.has_come_to(thread.id);
        self.inner.with_value(|inner| thread.open(&inner.sync, self.clock));
    }

    /// It is not any more.
    pub(crate) fn close(self, thread: Thread) {
        thread.close();
    }

    /// Goes to the newest rows and stays with them.
    pub(crate) fn to_end(self, thread: Thread) {
        let _ = self.inner.try_with_value(|inner| thread.to_end(&inner.sync, self.clock));
    }

    /// Draws newer rows, when the newest are not drawn.
    pub(crate) fn newer(self, thread: Thread) {
        let _ = self.inner.try_with_value(|inner| thread.newer(&inner.sync, self.clock));
    }

    /// Draws older rows: those at hand, or the server's.
    pub(crate) fn older(self, thread: Thread) {
        let asked = self.inner.try_with_value(|inner| thread.older(&inner.sync, self.clock)).flatten();
        if let Some(asked) = asked {
            self.load(thread, asked);
        }
    }

    /// A line of the list shows the session from now on, or no more.
    pub(crate) fn list(self, thread: Thread, is_listed: bool) {
        thread.list(is_listed);
        self.look(thread);
    }

    /// Fetches the newest rows of a session that is on the screen, when none are held: too much was missing, or nobody has
    /// looked at it yet. Others come when they are scrolled to.
    fn look(self, thread: Thread) {
        let missing = self.inner.try_with_value(|inner| thread.misses_all(&inner.sync)).flatten();
        if let Some(asked) = missing {
            thread.older.set(Older::Loading);
            self.to_end(thread);
            self.load(thread, asked);
        }
    }

    /// Asks the server for earlier messages.
    fn load(self, thread: Thread, asked: Earlier) {
        spawn_local(async move {
            match api::history(HistoryPart { session_id: thread.id, before: Some(asked.before) }).await {
                Ok(page) => {
                    thread.older.try_set(Older::None);
                    self.act(|sync| ((), sync.prepend(thread.id, asked, page.messages, page.more)));
                }
                Err(_) => {
                    thread.older.try_set(Older::Failed);
                }
            }
        });
    }

    /// Does something with the state machine, and shows and sends what follows from it.
    fn act<R>(self, act: impl FnOnce(&mut Sync) -> (R, Step)) {
        // None when the page is being taken down: nobody is left to show it to.
        if let Some((_, step)) = self.inner.try_update_value(|inner| act(&mut inner.sync)) {
            self.apply(step);
        }
    }

    /// One signs out: what the socket says to that must not get in the way of the form.
    pub(crate) fn leave(self) {
        let _ = self.inner.try_update_value(|inner| inner.leaving = true);
    }

    /// Hands a frame to the socket. What has to arrive is in the outbox; a frame without a connection is let go.
    #[cfg_attr(
        not(feature = "hydrate"),
        expect(unused_variables, reason = "the server's page has no socket")
    )]
    fn transmit(self, frame: ClientFrame) {
        #[cfg(feature = "hydrate")]
        let _ = self.inner.try_with_value(|inner| inner.wire.as_ref().map(|wire| wire.send(frame)));
    }

    /// Connects anew: this socket's server waits for something that does not come.
    fn renew(self) {
        #[cfg(feature = "hydrate")]
        let _ = self.inner.try_with_value(|inner| inner.wire.as_ref().map(socket::Wire::renew));
    }

    /// Tries to connect without waiting any longer.
    pub(crate) fn try_now(self) {
        #[cfg(feature = "hydrate")]
        let _ = self.inner.try_with_value(|inner| inner.wire.as_ref().map(socket::Wire::now));
    }

    /// Lets the server decide where to go on: it leads strangers to `/login`, and somebody who has signed in anew back
    /// to where they are.
    pub(crate) fn sign_in(self) {
        let location = window().location();
        let is_open = location.pathname().is_ok_and(|path| path.starts_with("/chat/"));
        let _ = if is_open { location.reload() } else { location.assign("/login") };
    }

    /// Whether everything that waits is in the browser's storage.
    pub(crate) fn keeps_all(self) -> bool {
        self.keep_unsent();
        let keeps = |inner: &Inner| inner.draft_kept && inner.kept.len() == inner.sync.outbox().len();
        self.inner.try_with_value(keeps).unwrap_or(true)
    }

    /// Keeps in the browser's storage exactly what the server has not acknowledged.
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

/// A message from the storage. It goes out again, whether it was sent or not.
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
