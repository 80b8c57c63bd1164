//! Applies a [`Step`] of the state machine: stores, sends and shows.

use std::cmp::Reverse;
use std::time::Duration;

use leptos::prelude::*;
use protocol::{Change, MessageId, Pending, PendingState, SessionId, Step};

use super::Live;
use super::session::{SessionView, SetIfChanged};

/// Browsers' timers overflow after 24 days.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl Live {
    /// Stores, then sends, then shows. Sets each signal once, however often the step names it.
    pub(super) fn apply(self, step: Step) {
        let Step { send, changes } = step;
        if changes.iter().any(|change| matches!(change, Change::Rows(_) | Change::Ready | Change::Returned)) {
            self.keep_unsent();
        }
        for frame in send {
            self.transmit(frame);
        }
        let mut stale = Vec::new();
        let mut sessions = false;
        let (mut let_go, mut notes) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                // A session named again later is refreshed again, and finds nothing changed.
                Change::Rows(id) | Change::Users(id) | Change::Unread(id) => {
                    if !stale.ends_with(&[id]) {
                        stale.push(id);
                    }
                }
                Change::Sessions => sessions = true,
                Change::LetGo(id) => let_go.push(id),
                other => notes.push(other),
            }
        }
        self.mark_news(&notes);
        for id in &stale {
            self.refresh(*id);
        }
        if sessions {
            self.refresh_sessions();
        } else if !stale.is_empty() {
            self.sort_sessions(&[]);
        }
        for session in let_go.into_iter().filter_map(|id| self.session_now(id)) {
            self.look(session);
        }
        self.hear(notes);
        self.take_back_unwanted();
    }

    fn hear(self, changes: Vec<Change>) {
        let ready = changes.contains(&Change::Ready);
        for change in changes {
            match change {
                Change::Ready => self.joined(),
                Change::Typing(id, user) => self.wrote(id, user),
                Change::Arrived(id, message) => self.arrived(id, message),
                Change::Found(notice) => self.found(notice),
                Change::Refused(refused) => self.refused(refused),
                Change::PutOff(id, after) => {
                    let resume = move || self.act(|sync| ((), sync.resume(id)));
                    set_timeout(resume, Duration::from_millis(after).min(LONGEST));
                }
                Change::Renew => self.renew(),
                Change::Returned => self.refresh_unsendable(),
                Change::Invitations if !ready => self.refresh_invitations(),
                // The rest is shown already, or handled by the socket.
                _ => {}
            }
        }
    }

    /// Shows what was returned to its writer, and announces what is new there.
    fn refresh_unsendable(self) {
        let returned = self.inner.try_with_value(|inner| inner.sync.returned().cloned().collect::<Vec<_>>());
        let returned = returned.unwrap_or_default();
        let known = self.unsendable.get_untracked();
        let is_new = |p: &&Pending| known.iter().all(|known| known.message_id != p.message_id);
        if let Some(Pending { state: PendingState::Failed(fault), .. }) = returned.iter().find(is_new) {
            self.announcer.say(fault.reason.clone());
        }
        self.unsendable.set_if_changed(returned);
    }

    /// Refreshes everything about one session.
    fn refresh(self, id: SessionId) {
        let Some(session) = self.session_now(id) else { return };
        let known = session.refusal();
        let _ = self.inner.try_with_value(|inner| {
            session.refresh_users(&inner.sync);
            session.refresh_unread(&inner.sync);
            session.refresh_rows(&inner.sync, self.clock);
        });
        // The row shows it too, but the user may not be looking.
        if let Some((_, reason)) = session.refusal().filter(|refusal| known.as_ref() != Some(refusal)) {
            self.announcer.say(format!("Not sent to {}: {reason}", untrack(|| session.title())));
        }
    }

    /// Regroups the rows: the clock has switched to the reader's time zone, so days begin at other times.
    pub(super) fn refresh_days(self) {
        for id in self.sessions.get_untracked() {
            self.refresh(id);
        }
    }

    /// Creates and drops views to match the sessions of the state machine.
    pub(super) fn refresh_sessions(self) {
        let fresh = self.inner.try_update_value(|inner| {
            let (me, owner) = (inner.me.user_id, inner.owner.clone());
            let mut fresh = Vec::new();
            let session = |id: &SessionId| match inner.session_at(*id) {
                Ok(at) => inner.sessions[at],
                Err(_) => {
                    fresh.push(*id);
                    owner.with(|| SessionView::new(*id, me, self.lost))
                }
            };
            inner.sessions = inner.sync.sessions().keys().map(session).collect();
            fresh
        });
        let fresh = fresh.unwrap_or_default();
        for id in &fresh {
            self.refresh(*id);
        }
        self.sort_sessions(&fresh);
    }

    /// Sorts the sessions for the list, including the new ones.
    fn sort_sessions(self, fresh: &[SessionId]) {
        // An insertion sort: most stay where they are, and `sort` is several kilobytes of WASM.
        let mut order = Vec::new();
        for id in self.sessions.get_untracked().iter().chain(fresh.iter().rev()) {
            let Some(session) = self.session_now(*id) else { continue };
            let place = Reverse((session.newest(), *id));
            let at = order.partition_point(|before| *before < place);
            order.insert(at, place);
        }
        self.sessions.set_if_changed(order.into_iter().map(|Reverse((_, id))| id).collect());
    }

    /// Sets the unread mark where messages begin that arrived while nobody was looking.
    fn mark_news(self, changes: &[Change]) {
        for change in changes {
            if let Change::Arrived(id, _) = change
                && let Some(session) = self.session_now(*id)
            {
                let _ = self.inner.try_with_value(|inner| session.mark_news(&inner.sync));
            }
        }
    }

    fn arrived(self, id: SessionId, message: MessageId) {
        let Some(session) = self.session_now(id) else { return };
        let found = self.inner.try_with_value(|inner| {
            let mut messages = inner.sync.sessions().get(&id)?.timeline.messages().rev();
            messages.find(|held| held.message_id == message).map(|held| (held.sender, held.data.clone()))
        });
        let Some((sender, text)) = found.flatten() else { return };
        self.has_written(id, sender);
        self.announcer.arrived(&session.called(sender), &text);
    }
}
