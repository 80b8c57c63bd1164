//! What one tail holds, and how it answers. Pure.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use protocol::{Epoch, Message, Rev, Seq, SessionId};

use crate::page::{page, weight};
use crate::sessions::View;
use crate::store::Beginning;

/// Most changes in one tail: some seconds of a busy session.
pub(super) const ROWS: usize = 512;

/// Most bytes in one tail.
pub(super) const BYTES: usize = 512 * 1024;

/// The contents of a tail.
pub(super) struct Rows {
    pub(super) state: State,
    /// Every change after this one is here.
    pub(super) floor: Rev,
    /// Up to this one.
    rev: Rev,
    /// Each message in its current state, in the order of its last change. Until the beginning is read, what happened
    /// since.
    pub(super) messages: VecDeque<Message>,
    pub(super) bytes: usize,
    /// The limits keep it from reaching further back.
    is_full: bool,
    pub(super) asked: Instant,
    /// The last page returned, and its request: in a crowd the next request is the same.
    last: Option<((Rev, View), Bytes)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Unread,
    Read(Epoch),
    /// Evicted: nothing is appended any more.
    Gone,
}

/// A tail's answer to a request.
pub(super) enum Lookup {
    Page(Bytes),
    /// Not in memory: ask the database.
    NotHere,
    /// The tail is useless now; a new one may help.
    Again,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            state: State::Unread,
            floor: Rev(0),
            rev: Rev(0),
            messages: VecDeque::new(),
            bytes: 0,
            is_full: false,
            asked: Instant::now(),
            last: None,
        }
    }
}

impl Rows {
    /// Counts the bytes held.
    pub(super) fn held(&self) -> usize {
        self.bytes + self.last.as_ref().map_or(0, |(_, page)| page.len())
    }

    pub(super) fn answer(&mut self, session: SessionId, view: &View, after: Rev) -> Lookup {
        self.asked = Instant::now();
        let State::Read(epoch) = self.state else { return Lookup::Again };
        if after < self.floor {
            return if self.is_full { Lookup::NotHere } else { Lookup::Again };
        }
        if after > self.rev {
            return Lookup::NotHere;
        }
        if let Some(((asked, seen), page)) = &self.last
            && (*asked, seen) == (after, view)
        {
            return Lookup::Page(page.clone());
        }
        let from = self.messages.partition_point(|message| message.rev <= after);
        let changed = self.messages.range(from..).filter(|message| view.sees(message.seq)).cloned();
        let page: Bytes = page(session, epoch, after, self.rev, changed).encode().into();
        self.last = Some(((after, view.clone()), page.clone()));
        Lookup::Page(page)
    }

    pub(super) fn begin(&mut self, beginning: Beginning) {
        if self.state == State::Gone {
            return;
        }
        let since = std::mem::take(&mut self.messages);
        self.state = State::Read(beginning.epoch);
        (self.floor, self.rev, self.is_full) = (beginning.floor, beginning.rev, beginning.is_full);
        self.messages = beginning.messages;
        self.bytes = self.messages.iter().map(weight).sum();
        for message in since {
            if !self.append(message) {
                return self.let_go();
            }
        }
    }

    /// Appends a change. Returns false if the tail is useless now.
    pub(super) fn append(&mut self, message: Message) -> bool {
        match self.state {
            State::Gone => return true,
            State::Unread => {}
            State::Read(_) if message.rev <= self.rev => return true,
            State::Read(_) if message.rev != self.rev.next() => return false,
            State::Read(_) => {
                self.rev = message.rev;
                self.last = None;
                if message.edited_at.is_some() || message.deleted_at.is_some() {
                    self.remove(message.seq);
                }
            }
        }
        self.bytes += weight(&message);
        self.messages.push_back(message);
        while self.messages.len() > ROWS || self.bytes > BYTES {
            if self.state == State::Unread {
                return false;
            }
            let Some(oldest) = self.messages.pop_front() else { break };
            self.bytes -= weight(&oldest);
            (self.floor, self.is_full) = (oldest.rev, true);
        }
        true
    }

    /// Removes the earlier state of the message at this place.
    fn remove(&mut self, seq: Seq) {
        if let Some(at) = self.messages.iter().position(|message| message.seq == seq)
            && let Some(message) = self.messages.remove(at)
        {
            self.bytes -= weight(&message);
        }
    }

    pub(super) fn let_go(&mut self) {
        (self.state, self.messages, self.bytes, self.last) = (State::Gone, VecDeque::new(), 0, None);
    }
}
