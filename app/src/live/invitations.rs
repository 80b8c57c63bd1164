//! Searching for people and what follows: the answer in words, the cards, and opening the resulting conversation.

use std::time::Duration;

use js_sys::JsString;
use leptos::prelude::*;
use protocol::text::is_unseen;
use protocol::{
    Answer, Asked, ClientFrame, Code, InviteId, Outcome, Refused, Search, SearchNotice, SessionId,
};

use super::Live;
use super::session::SetIfChanged;
use crate::names;

/// After a reconnect the server sends the open invitations one by one; the cards wait for the last.
const RETELLING: Duration = Duration::from_millis(400);
/// How long a note about an invitation that is gone stays.
const NOTE_FOR: Duration = Duration::from_secs(10);
/// When to give up on the answer to a search.
const PATIENCE: Duration = Duration::from_secs(20);

/// A search that has no answer yet.
pub(super) struct Searching {
    username: String,
    leave: bool,
    /// The count of deeds when the user searched.
    asked_at: u32,
    /// Not sent yet, for lack of a connection.
    waits: bool,
}

impl Searching {
    fn frame(&self) -> ClientFrame {
        let (username, leave) = (self.username.clone(), self.leave);
        ClientFrame::Search(Search::Ask(Asked { username, session_id: None, leave }))
    }

    /// Whether this person was searched for. The typed name may differ in case or Unicode form, and may have been
    /// copied with invisible marks.
    fn is_for(&self, username: &str) -> bool {
        let folded = |name: &str| {
            let seen: String = name.chars().filter(|c| !is_unseen(*c)).collect();
            JsString::from(seen).normalize("NFKC").to_upper_case().to_lower_case()
        };
        folded(&self.username) == folded(username)
    }
}

/// The result of a search or an invitation in words, and what the user can do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) text: String,
    pub(crate) next: Next,
    /// The name that was searched for, if the search succeeded.
    pub(crate) settled: Option<String>,
}

impl Finding {
    pub(super) fn of(text: String, next: Next) -> Self {
        Self { text, next, settled: None }
    }
}

/// What the user can do after a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    Nothing,
    /// Leave an invitation for this person to find when they return.
    Leave(String),
    /// Open the session.
    Open(SessionId),
}

impl Live {
    /// Searches for a person. The answer is a [`Finding`]. Without a connection the search waits for one.
    pub(crate) fn ask(self, username: String, leave: bool) {
        self.finding.set(None);
        self.asking.set(true);
        let asked_at = self.deeds();
        let is_ready = self.inner.try_update_value(|inner| {
            inner.search = Some(Searching { username, leave, asked_at, waits: true });
            inner.sync.is_ready()
        });
        if is_ready == Some(true) {
            self.send_search();
        } else {
            self.try_now();
        }
    }

    /// Sends the search that waits, if any.
    fn send_search(self) {
        let waits = self.inner.try_update_value(|inner| {
            let search = inner.search.as_mut().filter(|search| search.waits)?;
            search.waits = false;
            Some((search.frame(), search.asked_at))
        });
        let Some((frame, made)) = waits.flatten() else { return };
        self.transmit(frame);
        let give_up = move || {
            let same = |inner: &super::Inner| inner.search.as_ref().is_some_and(|s| s.asked_at == made);
            if self.inner.try_with_value(same) == Some(true) {
                self.end_search("No answer has come. Please search again.");
            }
        };
        set_timeout(give_up, PATIENCE);
    }

    /// Answers an invitation, or cancels the user's own. Without a connection the answer waits for the next one.
    pub(crate) fn respond(self, invite_id: InviteId, answer: Answer) {
        if untrack(|| self.answers(invite_id)) {
            return; // a double click
        }
        self.answering.update(|answers| answers.push((invite_id, answer)));
        if answer == Answer::Accepted {
            let asked_at = self.deeds();
            self.inner.update_value(|inner| inner.awaited.push((invite_id, asked_at)));
        }
        self.transmit_answer(invite_id, answer);
    }

    /// Whether the user has answered or cancelled an invitation and the server has not confirmed it yet.
    pub(crate) fn answers(self, invite_id: InviteId) -> bool {
        self.answering.read().iter().any(|(id, _)| *id == invite_id)
    }

    fn transmit_answer(self, invite_id: InviteId, answer: Answer) {
        if self.inner.with_value(|inner| inner.sync.is_ready()) {
            self.transmit(ClientFrame::Search(Search::Answer { invite_id, answer }));
        }
    }

    /// The socket is in sync: sends what the user searched for and answered meanwhile.
    pub(super) fn joined(self) {
        self.lost.set_if_changed(false);
        self.crowded.set_if_changed(false);
        self.send_search();
        for (invite_id, answer) in self.answering.get_untracked() {
            self.transmit_answer(invite_id, answer);
        }
        set_timeout(move || self.refresh_invitations(), RETELLING);
        self.restore();
    }

    /// Ends a search whose answer was lost with the connection.
    #[cfg(feature = "hydrate")]
    pub(super) fn search_lost(self) {
        if self.asking.get_untracked() {
            self.end_search("The connection was lost. Please search again.");
        }
    }

    /// Shows the open invitations, and announces new ones.
    pub(super) fn refresh_invitations(self) {
        let known = self.invited.get_untracked();
        self.show_invitations();
        for card in self.invited.get_untracked().iter().filter(|card| !known.contains(card)) {
            self.announcer.say(format!("{} wants to talk to you", card.username));
        }
    }

    pub(super) fn show_invitations(self) {
        let held = |inner: &super::Inner| [inner.sync.invited().to_vec(), inner.sync.asked().to_vec()];
        let Some([invited, asked]) = self.inner.try_with_value(held) else { return };
        let open = |id: &InviteId| invited.iter().chain(&asked).any(|held| held.invite_id == *id);
        if self.answering.with_untracked(|answers| answers.iter().any(|(id, _)| !open(id))) {
            self.answering.update(|answers| answers.retain(|(id, _)| open(id)));
        }
        self.invited.set_if_changed(invited);
        self.asked.set_if_changed(asked);
    }

    pub(super) fn found(self, notice: SearchNotice) {
        match notice {
            SearchNotice::Outcome { status, reason, username, invite_id, session_id } => {
                let search = self.answered(status, invite_id, &username);
                self.told(status, reason, username, session_id, search);
            }
            SearchNotice::Closed { invite_id, session_id, .. } => {
                if let Some((to, asked_at)) = session_id.zip(self.no_longer_awaits(invite_id)) {
                    self.lead_to(to, asked_at);
                }
            }
            SearchNotice::Invited { .. } => {}
        }
    }

    /// Ends and returns the search that this outcome answers. News of an invitation answers none; and what is sent to
    /// all of the user's pages may answer another page's search, unless it is for the same person.
    fn answered(self, status: Outcome, invite_id: Option<InviteId>, username: &str) -> Option<Searching> {
        let is_answer = |search: &mut Searching| match status {
            Outcome::Offline | Outcome::NoUser | Outcome::AlreadyConnected => true,
            Outcome::Rejected | Outcome::Cancelled => false,
            Outcome::Pending | Outcome::Accepted | Outcome::Unknown => {
                invite_id.is_none() || search.is_for(username)
            }
        };
        let search = self.inner.try_update_value(|inner| inner.search.take_if(is_answer)).flatten();
        if search.is_some() {
            self.asking.set(false);
        }
        search
    }

    fn told(
        self,
        status: Outcome,
        reason: String,
        username: String,
        session_id: Option<SessionId>,
        search: Option<Searching>,
    ) {
        // The server's sentence is plain text, in which a name could change the direction of the words beside it.
        let text = names::isolated_in(&reason, &username);
        let next = match status {
            // Sent again after every connect; shown only to a user who has just asked.
            Outcome::Pending if search.is_none() => return,
            // The user's own action; the list shows it.
            Outcome::Cancelled => return,
            Outcome::Offline => Next::Leave(username),
            Outcome::AlreadyConnected | Outcome::Accepted | Outcome::Unknown => {
                session_id.map_or(Next::Nothing, Next::Open)
            }
            Outcome::Pending | Outcome::Rejected | Outcome::NoUser => Next::Nothing,
        };
        let is_settled = matches!(status, Outcome::Pending | Outcome::AlreadyConnected | Outcome::Accepted);
        let asked_at = search.as_ref().map(|search| search.asked_at);
        let settled = search.filter(|_| is_settled).map(|search| search.username);
        // News must not replace what a search is about to say, or has offered.
        let offers =
            |found: &Option<Finding>| found.as_ref().is_some_and(|f| matches!(f.next, Next::Leave(_)));
        let is_busy = self.asking.get_untracked() || self.finding.with_untracked(offers);
        let slot = if asked_at.is_none() && is_busy { self.note } else { self.finding };
        slot.set(Some(Finding { text, next, settled }));
        if let Some((to, asked_at)) = session_id.zip(asked_at) {
            self.lead_to(to, asked_at);
        }
    }

    /// Shows a refusal where the user asked for the refused thing. A message's refusal stands at its row; refusals of
    /// what the page requests on its own are not shown.
    pub(super) fn refused(self, refused: Refused) {
        let Refused { message_id, session_id, invite_id, username, code, reason, .. } = refused;
        if let Some(invite_id) = invite_id {
            self.answer_refused(invite_id, code, reason);
        } else if username.is_some() || (message_id.is_none() && session_id.is_none()) {
            // A refusal that refers to nothing may be of a search that the server could not parse.
            if self.asking.get_untracked() {
                self.end_search(&reason);
            }
        }
    }

    fn answer_refused(self, invite_id: InviteId, code: Code, reason: String) {
        self.answering.update(|answers| answers.retain(|(id, _)| *id != invite_id));
        let _ = self.no_longer_awaits(invite_id);
        let text = match code {
            Code::Gone | Code::NotFound => Code::Gone.reason().to_owned(),
            _ => reason,
        };
        let note = Some(Finding::of(text, Next::Nothing));
        self.note.set(note.clone());
        let forget = move || {
            if self.note.try_get_untracked() == Some(note) {
                self.note.set(None);
            }
        };
        set_timeout(forget, NOTE_FOR);
    }

    /// Forgets an invitation that was accepted here, and returns the count of deeds at the time.
    fn no_longer_awaits(self, invite_id: InviteId) -> Option<u32> {
        let answered = |inner: &mut super::Inner| {
            let at = inner.awaited.iter().position(|(id, _)| *id == invite_id)?;
            Some(inner.awaited.swap_remove(at).1)
        };
        self.inner.try_update_value(answered).flatten()
    }

    fn end_search(self, text: &str) {
        self.inner.update_value(|inner| inner.search = None);
        self.asking.set(false);
        self.finding.set(Some(Finding::of(text.to_owned(), Next::Nothing)));
    }
}
