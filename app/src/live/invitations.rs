//! Searching for people and what follows: the answer in words, the cards, and opening what was agreed on.

use std::time::Duration;

use leptos::prelude::*;
use protocol::{
    Answer, Asked, ClientFrame, Code, InviteId, Outcome, Refused, Search, SearchNotice, SessionId,
};

use super::Live;
use super::thread::SetIfChanged;
use crate::names;

/// After a reconnect the server names the open invitations one by one; the cards wait for the last.
const RETELLING: Duration = Duration::from_millis(400);
/// How long a note about an invitation that is gone stays.
const NOTE_FOR: Duration = Duration::from_secs(10);

/// What came of a search, in words, and what can be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) text: String,
    pub(crate) next: Next,
    /// The name has led to somebody.
    settled: bool,
}

impl Finding {
    /// Whether the search is done with, and its field can be emptied.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }
}

/// What can be done after a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Nothing,
    /// Leave the invitation for this person's return.
    Leave(String),
    /// Open the session.
    Open(SessionId),
}

impl Live {
    /// Looks for a person. The answer is a [`Finding`]. While the connection is being made the search waits for it.
    pub(crate) fn ask(self, username: String, leave: bool) {
        self.finding.set(None);
        self.asking.set(true);
        let frame = ClientFrame::Search(Search::Ask(Asked { username, session_id: None, leave }));
        let ready = self.inner.try_update_value(|inner| {
            let ready = inner.sync.is_ready();
            inner.early_search = (!ready).then(|| frame.clone());
            ready
        });
        if ready == Some(true) {
            self.transmit(frame);
        } else {
            self.try_now();
        }
    }

    /// Answers an invitation, or takes one's own back. Without a connection the answer waits for the next one.
    pub(crate) fn respond(self, invite_id: InviteId, answer: Answer) {
        let first = self.answering.try_update(|answers| answers.insert(invite_id, answer).is_none());
        if first != Some(true) {
            return; // a double click
        }
        if answer == Answer::Accepted {
            let from = self.invited.with_untracked(|invited| {
                invited.iter().find(|card| card.invite_id == invite_id).map(|card| card.username.clone())
            });
            self.inner.update_value(|inner| inner.awaited = from);
        }
        self.transmit_answer(invite_id, answer);
    }

    fn transmit_answer(self, invite_id: InviteId, answer: Answer) {
        if self.inner.with_value(|inner| inner.sync.is_ready()) {
            self.transmit(ClientFrame::Search(Search::Answer { invite_id, answer }));
        }
    }

    /// The socket is in step: what was answered meanwhile goes out now.
    pub(super) fn joined(self) {
        self.lost.set_if_changed(false);
        if let Some(search) = self.inner.try_update_value(|inner| inner.early_search.take()).flatten() {
            self.transmit(search);
        }
        for (invite_id, answer) in self.answering.get_untracked() {
            self.transmit_answer(invite_id, answer);
        }
        set_timeout(move || self.refresh_invitations(), RETELLING);
        self.take_back();
    }

    /// The connection went away, and with it the answer to a search.
    #[cfg(feature = "hydrate")]
    pub(super) fn search_lost(self) {
        if self.asking.get_untracked() {
            self.inner.update_value(|inner| inner.early_search = None);
            self.tell("The connection was lost. Please search again.");
        }
    }

    /// Shows which invitations are open, and says who has come with one.
    pub(super) fn refresh_invitations(self) {
        let known = self.invited.get_untracked();
        self.show_invitations();
        for card in self.invited.get_untracked().iter().filter(|card| !known.contains(card)) {
            self.announcer.say(format!("{} wants to talk to you", card.username));
        }
    }

    pub(super) fn show_invitations(self) {
        let Some((invited, asked)) = self.inner.try_with_value(|inner| {
            let asked = inner.sync.asked().iter().map(|(id, name)| (*id, name.clone()));
            (inner.sync.invited(), asked.collect::<Vec<_>>())
        }) else {
            return;
        };
        let open = |id: &InviteId| {
            invited.iter().any(|card| card.invite_id == *id) || asked.iter().any(|(asked, _)| asked == id)
        };
        if self.answering.with_untracked(|answers| answers.keys().any(|id| !open(id))) {
            self.answering.update(|answers| answers.retain(|id, _| open(id)));
        }
        self.invited.set_if_changed(invited);
        self.asked.set_if_changed(asked);
    }

    pub(super) fn found(self, notice: SearchNotice) {
        let SearchNotice::Outcome { status, reason, username, session_id, .. } = notice else { return };
        let name = username.clone();
        let next = match status {
            // Told again after every connect; said only to the one who just asked.
            Outcome::Pending if !self.asking.get_untracked() => return,
            // One's own doing; the list shows it.
            Outcome::Cancelled => return,
            Outcome::Offline => Next::Leave(username),
            Outcome::AlreadyConnected => {
                self.summons.set(session_id);
                session_id.map_or(Next::Nothing, Next::Open)
            }
            Outcome::Accepted | Outcome::Unknown => session_id.map_or(Next::Nothing, Next::Open),
            Outcome::Pending | Outcome::Rejected | Outcome::NoUser => Next::Nothing,
        };
        let settled = matches!(status, Outcome::Pending | Outcome::AlreadyConnected);
        self.asking.set(false);
        // The server's sentence is plain text, in which a name could turn the words beside it.
        let text = reason.replacen(&name, &names::isolated(&name), 1);
        self.finding.set(Some(Finding { text, next, settled }));
    }

    pub(super) fn refused(self, refused: Refused) {
        let Some(invite_id) = refused.invite_id else {
            return self.tell(&refused.reason);
        };
        self.answering.update(|answers| _ = answers.remove(&invite_id));
        self.inner.update_value(|inner| inner.awaited = None);
        let note = match refused.code {
            Code::Gone | Code::NotFound => Code::Gone.reason().to_owned(),
            _ => refused.reason,
        };
        self.too_late.set(Some(note.clone()));
        let forget = move || {
            if self.too_late.try_get_untracked() == Some(Some(note)) {
                self.too_late.set(None);
            }
        };
        set_timeout(forget, NOTE_FOR);
    }

    /// Opens the session that an accepted invitation led to.
    pub(super) fn open_awaited(self) {
        let Some(name) = self.inner.with_value(|inner| inner.awaited.clone()) else { return };
        let agreed = self.sessions.with_untracked(|sessions| {
            sessions.iter().copied().find(|id| {
                self.thread_now(*id).is_some_and(|thread| {
                    thread.others.with_untracked(|others| others.values().any(|user| user.username == name))
                })
            })
        });
        if agreed.is_some() {
            self.inner.update_value(|inner| inner.awaited = None);
            self.summons.set(agreed);
        }
    }

    fn tell(self, text: &str) {
        self.asking.set(false);
        self.finding.set(Some(Finding { text: text.to_owned(), next: Next::Nothing, settled: false }));
    }
}
