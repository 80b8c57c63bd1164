//! What happened, as the devices report it: each keeps its own log, and the logs are merged at the end.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use protocol::{MessageId, Rev, Seq, SessionId};

/// A device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor(pub u32);

/// Something a device did or saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Wrote a message, connected or not.
    Sent {
        /// Where to.
        session: SessionId,
        /// Its ID.
        message: MessageId,
        /// The [`digest`] of its text.
        digest: u64,
    },
    /// Received the acknowledgement that a message of its own is stored.
    Acked {
        /// Where.
        session: SessionId,
        /// Its ID.
        message: MessageId,
        /// Its place.
        seq: Seq,
    },
    /// Received the refusal of a message of its own: it will not be stored.
    Refused {
        /// Its ID.
        message: MessageId,
    },
    /// Added a message to what it shows.
    Applied {
        /// Where.
        session: SessionId,
        /// Its ID.
        message: MessageId,
        /// Its place.
        seq: Seq,
        /// The change that brought it.
        rev: Rev,
        /// The [`digest`] of its text.
        digest: u64,
    },
    /// Was asked to discard its copy of a session.
    Reset {
        /// Which.
        session: SessionId,
        /// Whether the history is still the one it had: then the server itself has gone back.
        same_history: bool,
    },
    /// Discarded its copy of a session, because its user has left it, and may be back already.
    Left {
        /// Which.
        session: SessionId,
    },
    /// Its socket is in step from now on.
    InStep,
    /// Its socket is gone.
    Away,
    /// Its login has ended.
    Revoked,
    /// The run is over, and the device had time to catch up with this session.
    Settled {
        /// Which.
        session: SessionId,
    },
}

/// One line of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// When, since the history began.
    pub at: Duration,
    /// Who.
    pub actor: Actor,
    /// What.
    pub what: What,
}

/// One device's part of a history, in its order.
#[derive(Debug)]
pub struct Log {
    began: Instant,
    actor: Actor,
    entries: Vec<Entry>,
}

impl Log {
    /// Records what the device just did or saw.
    pub fn note(&mut self, what: What) {
        self.entries.push(Entry { at: self.began.elapsed(), actor: self.actor, what });
    }

    /// Returns what was recorded.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// Everything that happened.
#[derive(Debug, Clone)]
pub struct History {
    began: Instant,
    pub(super) entries: Vec<Entry>,
    /// Of whoever was not always in a session: the parts they were in.
    stays: HashMap<(Actor, SessionId), Vec<(Seq, Seq)>>,
}

impl Default for History {
    fn default() -> Self {
        Self { began: Instant::now(), entries: Vec::new(), stays: HashMap::new() }
    }
}

impl History {
    /// Starts a history now.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns an empty log for a device.
    #[must_use]
    pub fn log(&self, actor: Actor) -> Log {
        Log { began: self.began, actor, entries: Vec::new() }
    }

    /// Appends a device's log. Add several logs of one device in their order.
    pub fn add(&mut self, log: Log) {
        self.entries.extend(log.entries);
    }

    /// Says which parts of a session a device's user was in, each after one message and up to another, in order. A
    /// device of which nothing is said was in all of it. Nothing is changed in such a session, so that a message's place
    /// is also the number of its change.
    pub fn stayed(&mut self, actor: Actor, session: SessionId, stays: Vec<(Seq, Seq)>) {
        self.stays.insert((actor, session), stays);
    }

    /// Returns the first place after this one that a device may see; the end of all places if there is none.
    pub(super) fn next_seen(&self, actor: Actor, session: SessionId, seq: Seq) -> Seq {
        let next = Seq(seq.0 + 1);
        let Some(stays) = self.stays.get(&(actor, session)) else { return next };
        let stay = stays.iter().find(|(after, up_to)| after < up_to && next <= *up_to);
        stay.map_or(Seq(i64::MAX), |(after, _)| next.max(Seq(after.0 + 1)))
    }

    /// Whether a device may see this place.
    pub(super) fn sees(&self, actor: Actor, session: SessionId, seq: Seq) -> bool {
        self.next_seen(actor, session, Seq(seq.0 - 1)) == seq
    }

    /// Returns every entry; those of one device are in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the time since it started.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns what had happened by a moment.
    #[must_use]
    pub fn until(&self, moment: Duration) -> Self {
        let entries = self.entries.iter().filter(|entry| entry.at <= moment).copied().collect();
        Self { began: self.began, entries, stays: self.stays.clone() }
    }

    /// Counts the acknowledged messages, each once.
    #[must_use]
    pub fn acked(&self) -> usize {
        let acked = self.entries.iter().filter_map(|entry| match entry.what {
            What::Acked { session, message, .. } => Some((session, message)),
            _ => None,
        });
        acked.collect::<std::collections::HashSet<_>>().len()
    }
}

/// Returns a text's fingerprint: histories are long, and texts are compared, never shown.
#[must_use]
pub fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
