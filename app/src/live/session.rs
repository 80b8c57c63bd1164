//! One session as signals, for its line in the list and, while it is open, its rows.

use std::collections::BTreeMap;

use leptos::prelude::*;
use protocol::{
    Earlier, MessageId, Presence, Row, RowState, Seq, SessionId, Sync, TimeStamp, User, UserId, keyed,
};

use super::window::Window;
use crate::clock::Clock;
use crate::names;

/// Messages of one sender within this time are grouped under one name.
const GROUP_MS: i64 = 5 * 60_000;

/// With more unread messages than this, opening at the end is more useful than at the first unread one.
const MOST_MARKED: i64 = 300;

/// One session. A handle: copies share one state.
#[derive(Clone, Copy)]
pub(crate) struct SessionView {
    pub(crate) id: SessionId,
    me: UserId,
    /// Whether the page has lost its connection.
    lost: RwSignal<bool>,
    /// A group's name.
    called: RwSignal<Option<String>>,
    /// The other members.
    pub(crate) others: RwSignal<BTreeMap<UserId, User>>,
    /// The newest row.
    pub(crate) last: RwSignal<Option<Row>>,
    /// How many messages are unread.
    pub(crate) unread: RwSignal<i64>,
    /// Who is typing.
    pub(crate) typing: RwSignal<Vec<UserId>>,
    /// The rows drawn, in order. Empty unless it is open.
    pub(crate) rows: RwSignal<Vec<MessageId>>,
    /// The state of loading older rows.
    pub(crate) older: RwSignal<Older>,
    /// Whether there are older rows than those drawn.
    pub(crate) has_older: RwSignal<bool>,
    /// Whether newer rows are missing and being fetched.
    pub(crate) behind: RwSignal<bool>,
    /// Whether the reader is at the end and stays there.
    pub(crate) following: RwSignal<bool>,
    /// Incremented to scroll to the end, wherever the reader is.
    pub(crate) called_to_end: RwSignal<u32>,
    inner: StoredValue<Inner>,
}

#[derive(Default)]
struct Inner {
    open: bool,
    /// Whether a line of the list shows it.
    listed: bool,
    /// Whether it has any messages.
    begun: bool,
    /// The signals of the rows drawn, in order.
    views: Vec<(MessageId, ArcRwSignal<RowView>)>,
    window: Option<Window>,
    /// The last message read before it was opened, or before messages came while nobody was looking: the unread mark
    /// stands after it, and stays there.
    unread_after: Option<Seq>,
    /// Where the reader was when they left, unless they followed the end.
    left: Option<Place>,
    /// Who has been typing, and until when that counts.
    typed: Vec<(UserId, i64)>,
    /// When we last sent `Typing`.
    told: Option<i64>,
    /// Whether another `Typing` is scheduled.
    tells: bool,
}

/// A scroll position: a row, and how far below the upper edge of the view it stood.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    pub(crate) row: MessageId,
    pub(crate) stood: f64,
}

/// The state of loading older rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Older {
    /// Idle.
    #[default]
    None,
    /// A page is being fetched.
    Loading,
    /// The fetch failed.
    Failed,
}

/// A row and how it relates to its neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowView {
    pub(crate) row: Row,
    /// The sender's name.
    pub(crate) name: String,
    /// The row is the first of a group: the name and the time stand above it.
    pub(crate) opens_group: bool,
    /// The row is the first of its day.
    pub(crate) opens_day: bool,
    /// The row is the first one unread.
    pub(crate) opens_unread: bool,
}

impl SessionView {
    pub(super) fn new(id: SessionId, me: UserId, lost: RwSignal<bool>) -> Self {
        Self {
            id,
            me,
            lost,
            called: RwSignal::default(),
            others: RwSignal::default(),
            last: RwSignal::default(),
            unread: RwSignal::default(),
            typing: RwSignal::default(),
            rows: RwSignal::default(),
            older: RwSignal::default(),
            has_older: RwSignal::default(),
            behind: RwSignal::default(),
            following: RwSignal::new(true),
            called_to_end: RwSignal::default(),
            inner: StoredValue::default(),
        }
    }

    /// Returns a group's name, or the names of the others.
    pub(crate) fn title(self) -> String {
        if let Some(name) = self.called.get() {
            return name;
        }
        names::list(self.others.read().values().map(|user| &*user.username))
    }

    /// Returns the newest row's ID and the reason, if it was refused, for good or for now. Not tracked.
    pub(super) fn refusal(self) -> Option<(MessageId, String)> {
        self.last.with_untracked(|last| match last {
            Some(Row { message_id, state: RowState::Failed(fault) | RowState::PutOff(fault), .. }) => {
                Some((*message_id, fault.reason.clone()))
            }
            _ => None,
        })
    }

    /// Whether another member is online; `None` without a connection, when nobody can know.
    pub(crate) fn presence(self) -> Option<Presence> {
        if self.lost.get() {
            return None;
        }
        let online = self.others.read().values().any(|user| user.status == Presence::Online);
        Some(if online { Presence::Online } else { Presence::Offline })
    }

    /// Whether the page has been without a connection for longer than a moment.
    pub(crate) fn is_lost(self) -> bool {
        self.lost.get()
    }

    /// Returns the name of another member.
    pub(crate) fn name_of(self, user: UserId) -> Option<String> {
        self.others.try_with_untracked(|others| others.get(&user).map(|user| user.username.clone())).flatten()
    }

    /// Returns the name to show for a sender.
    pub(crate) fn called(self, user: UserId) -> String {
        let unknown = || if user == self.me { "You" } else { "Somebody who left" }.to_owned();
        self.name_of(user).unwrap_or_else(unknown)
    }

    /// Returns the names of those who are typing.
    pub(crate) fn writers(self) -> Vec<String> {
        self.typing.read().iter().filter_map(|user| self.name_of(*user)).collect()
    }

    /// Whether this user wrote the row.
    pub(crate) fn is_own(self, row: &Row) -> bool {
        row.sender == self.me
    }

    /// Whether the newest rows are among those drawn.
    pub(crate) fn window_is_at_end(self) -> bool {
        self.window().is_at_end()
    }

    /// Returns a row's own signal, while it is drawn.
    pub(crate) fn view(self, id: MessageId) -> Option<ArcRwSignal<RowView>> {
        let find = |inner: &Inner| Some(inner.views.iter().find(|(held, _)| *held == id)?.1.clone());
        self.inner.try_with_value(find).flatten()
    }

    /// Whether everything unread is drawn, down to the mark where it begins.
    pub(crate) fn draws_unread(self) -> bool {
        let begins = self.inner.try_with_value(|inner| inner.unread_after).flatten();
        let oldest = self.rows.with_untracked(|rows| rows.first().copied()).and_then(|id| self.view(id));
        let oldest = oldest.and_then(|view| view.with_untracked(|view| view.row.seq));
        begins.zip(oldest).is_none_or(|(begins, oldest)| oldest <= Seq(begins.0 + 1))
    }

    pub(super) fn window(self) -> Window {
        self.inner.try_with_value(|inner| inner.window).flatten().unwrap_or_else(|| Window::at_end(Seq(0)))
    }

    /// Returns when the newest message was written, or when the session began if it has none.
    pub(super) fn newest(self) -> TimeStamp {
        let began = i64::try_from(self.id.0.as_u128() >> 80).unwrap_or_default(); // UUIDv7 begins with milliseconds
        self.last.with_untracked(|last| last.as_ref().map_or(TimeStamp(began), |row| row.time_stamp))
    }

    pub(super) fn open(self, sync: &Sync, clock: Clock) {
        let Some(session) = sync.sessions().get(&self.id) else { return };
        let returns = self.inner.try_update_value(|inner| {
            inner.open = true;
            inner.views.clear();
            inner.window =
                inner.window.filter(|_| inner.left.is_some()).or(Some(Window::at_end(session.last_seq())));
            inner.unread_after =
                (1..=MOST_MARKED).contains(&session.unread(sync.me())).then_some(session.read_seq());
            inner.left.is_some()
        });
        self.following.set(returns != Some(true));
        self.older.set(Older::None);
        self.refresh_rows(sync, clock);
    }

    pub(super) fn close(self) {
        let _ = self.inner.try_update_value(|inner| inner.open = false);
    }

    pub(super) fn list(self, is_listed: bool) {
        let _ = self.inner.try_update_value(|inner| inner.listed = is_listed);
    }

    /// Whether it has any messages, in memory or not. Not tracked: it changes with the newest row.
    pub(crate) fn is_begun(self) -> bool {
        self.inner.with_value(|inner| inner.begun)
    }

    /// Returns what to fetch if it is on the screen and none of its rows are in memory.
    pub(super) fn misses_all(self, sync: &Sync) -> Option<Earlier> {
        let session = sync.sessions().get(&self.id)?;
        let is_seen = self.inner.with_value(|inner| inner.open || inner.listed);
        let is_empty = session.timeline.has_older() && session.timeline.messages().next().is_none();
        let is_asked = self.older.get_untracked() == Older::Loading;
        (is_seen && is_empty && !is_asked).then(|| session.earlier())
    }

    /// Stores where the reader was when they left; `None` if they followed the end.
    pub(crate) fn leave(self, place: Option<Place>) {
        let _ = self.inner.try_update_value(|inner| inner.left = place);
    }

    /// Takes the place where the reader was when they left.
    pub(crate) fn left(self) -> Option<Place> {
        self.inner.try_update_value(|inner| inner.left.take()).flatten()
    }

    /// Sets the unread mark where new messages begin, if the reader will not see them arrive; a mark with unread
    /// messages after it moves only while nobody looks at the page.
    pub(super) fn mark_news(self, sync: &Sync) {
        let Some(session) = sync.sessions().get(&self.id) else { return };
        let looks = looks_here();
        if looks && self.following.get_untracked() || session.unread(sync.me()) > MOST_MARKED {
            return;
        }
        let had_read_all = self.unread.get_untracked() == 0;
        let _ = self.inner.try_update_value(|inner| {
            if inner.open && (had_read_all || !looks) {
                inner.unread_after = Some(session.read_seq());
            }
        });
    }

    pub(super) fn to_end(self, sync: &Sync, clock: Clock) {
        let Some(session) = sync.sessions().get(&self.id) else { return };
        let newest = session.last_seq();
        self.following.set(true);
        if !self.window().is_at_end() {
            self.set_window(Window::at_end(newest));
            self.refresh_rows(sync, clock);
        }
        self.called_to_end.update(|times| *times += 1);
    }

    pub(super) fn newer(self, sync: &Sync, clock: Clock) {
        let window = self.window();
        if let Some(session) = sync.sessions().get(&self.id).filter(|_| !window.is_at_end()) {
            self.set_window(window.newer(session.last_seq()));
            self.refresh_rows(sync, clock);
        }
    }

    /// Draws older rows that are in memory. Returns what to fetch from the server if there are none.
    pub(super) fn older(self, sync: &Sync, clock: Clock) -> Option<Earlier> {
        let session = sync.sessions().get(&self.id)?;
        let window = self.window();
        let earlier = session.earlier();
        let oldest = earlier.before;
        if !self.has_older.get_untracked() || self.older.get_untracked() == Older::Loading {
            return None;
        }
        self.set_window(window.older(oldest, session.last_seq()));
        if window.first() > oldest {
            self.refresh_rows(sync, clock);
            return None;
        }
        self.older.set(Older::Loading);
        Some(earlier)
    }

    fn set_window(self, window: Window) {
        self.inner.update_value(|inner| inner.window = Some(window));
    }

    /// Redraws its rows from the state machine.
    pub(super) fn refresh_rows(self, sync: &Sync, clock: Clock) {
        let Some(session) = sync.sessions().get(&self.id) else { return };
        self.inner.update_value(|inner| inner.begun = session.last_seq() > Seq(0));
        let last = sync.last_row(self.id);
        if last.is_some() || !session.timeline.has_older() {
            self.last.set_if_changed(last); // with all messages evicted, the last known row stays
        }
        if !self.inner.with_value(|inner| inner.open) {
            return;
        }
        let window = self.window().grown(session.last_seq(), self.following.get_untracked());
        self.set_window(window);
        let views = self.arrange(sync.rows_in(self.id, window), clock);
        let oldest = session.timeline.messages().next().map(|message| message.seq);
        self.has_older
            .set_if_changed(session.timeline.has_older() || oldest.is_some_and(|seq| seq < window.first()));
        self.behind.set_if_changed(session.timeline.is_behind());
        self.show(views);
    }

    /// Determines for each row how it relates to its neighbours.
    fn arrange(self, rows: Vec<Row>, clock: Clock) -> Vec<RowView> {
        // Only where the unread truly begin: not above a row that just happens to be the first one drawn.
        let begins_here =
            |seen: &Seq| rows.first().and_then(|row| row.seq).is_some_and(|seq| seq.0 <= seen.0 + 1);
        let unread_after = self.inner.with_value(|inner| inner.unread_after).filter(begins_here);
        let mut previous: Option<(UserId, TimeStamp, i64)> = None;
        let mut marked = false;
        rows.into_iter()
            .map(|row| {
                let day = clock.day(row.time_stamp);
                let opens_day = previous.is_none_or(|(.., before)| before != day);
                let opens_unread = !marked
                    && row.sender != self.me
                    && row.seq.zip(unread_after).is_some_and(|(seq, seen)| seq > seen);
                marked |= opens_unread;
                let grouped = previous.is_some_and(|(sender, at, _)| {
                    sender == row.sender && row.time_stamp.0 - at.0 < GROUP_MS
                });
                previous = Some((row.sender, row.time_stamp, day));
                let opens_group = opens_day || opens_unread || !grouped;
                let name = self.called(row.sender);
                RowView { row, name, opens_group, opens_day, opens_unread }
            })
            .collect()
    }

    /// Updates each row that changed, and the list only if rows came, went or moved.
    fn show(self, views: Vec<RowView>) {
        let ids: Vec<MessageId> = views.iter().map(|view| view.row.message_id).collect();
        let mut changed = Vec::new();
        self.inner.update_value(|inner| {
            let held = std::mem::take(&mut inner.views);
            for view in views {
                let id = view.row.message_id;
                let known = held.iter().find(|(held, _)| *held == id).map(|(_, signal)| signal.clone());
                let signal = known.unwrap_or_else(|| ArcRwSignal::new(view.clone()));
                if signal.with_untracked(|shown| *shown != view) {
                    changed.push((signal.clone(), view));
                }
                inner.views.push((id, signal));
            }
        });
        // Outside of the lock: subscribers may use this view again.
        for (signal, view) in changed {
            signal.set(view);
        }
        self.rows.set_if_changed(ids);
    }

    pub(super) fn refresh_users(self, sync: &Sync) {
        let Some(session) = sync.sessions().get(&self.id) else { return };
        let others = session.users.iter().filter(|(id, _)| **id != self.me);
        self.called.set_if_changed(session.title.clone());
        self.others.set_if_changed(keyed(others.map(|(id, user)| (*id, user.clone()))));
    }

    pub(super) fn refresh_unread(self, sync: &Sync) {
        if let Some(session) = sync.sessions().get(&self.id) {
            self.unread.set_if_changed(session.unread(sync.me()));
        }
    }

    /// Notes that somebody is typing, or (with a moment in the past) has stopped.
    pub(super) fn wrote(self, user: UserId, until: i64) {
        let _ =
            self.inner.try_update_value(|inner| match inner.typed.iter_mut().find(|(who, _)| *who == user) {
                Some(known) => known.1 = until,
                None => inner.typed.push((user, until)),
            });
    }

    /// Notes that this user is typing. Returns in how many milliseconds to send `Typing`; `None` if that is scheduled
    /// already.
    pub(super) fn tells(self, now: i64, every: i64) -> Option<i64> {
        let wait = self.inner.try_update_value(|inner| {
            let wait = inner.told.map_or(0, |told| (told + every - now).max(0));
            if wait == 0 {
                (inner.told, inner.tells) = (Some(now), false);
                return Some(0);
            }
            (!std::mem::replace(&mut inner.tells, true)).then_some(wait)
        });
        wait.flatten()
    }

    /// Cancels a scheduled `Typing`. Returns whether there was one.
    pub(super) fn stops_telling(self) -> bool {
        self.inner.try_update_value(|inner| std::mem::take(&mut inner.tells)).unwrap_or_default()
    }

    /// Removes those who have stopped typing.
    pub(super) fn refresh_typing(self, now: i64) {
        let typing = self.inner.try_update_value(|inner| {
            inner.typed.retain(|(_, until)| *until > now);
            inner.typed.iter().map(|(user, _)| *user).collect::<Vec<_>>()
        });
        self.typing.set_if_changed(typing.unwrap_or_default());
    }
}

/// Whether the page is visible and has the focus. Only in the browser.
pub(crate) fn looks_here() -> bool {
    let document = document();
    !document.hidden() && document.has_focus().unwrap_or_default()
}

/// Sets a signal without notifying anybody if nothing changed.
pub(super) trait SetIfChanged<T> {
    fn set_if_changed(&self, value: T);
}

impl<T: PartialEq + Send + std::marker::Sync + 'static> SetIfChanged<T> for RwSignal<T> {
    fn set_if_changed(&self, value: T) {
        if self.try_with_untracked(|held| *held != value) == Some(true) {
            self.try_set(value);
        }
    }
}
