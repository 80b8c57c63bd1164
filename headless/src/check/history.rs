//! What happened, as the devices tell it: each keeps a log of its own, and the logs are put together at the end.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use protocol::{MessageId, Rev, Seq, SessionId};

/// A device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor(pub u32);

/// Something a device did or saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Wrote a message, whether or not there was a connection.
    Sent {
        /// Where to.
        session: SessionId,
        /// Its name.
        message: MessageId,
        /// Its text's [`digest`].
        digest: u64,
    },
    /// Was told that a message of its own is stored.
    Acked {
        /// Where.
        session: SessionId,
        /// Its name.
        message: MessageId,
        /// Its place.
        seq: Seq,
    },
    /// Was told that a message of its own will not be stored.
    Refused {
        /// Its name.
        message: MessageId,
    },
    /// Took a message into what it shows.
    Applied {
        /// Where.
        session: SessionId,
        /// Its name.
        message: MessageId,
        /// Its place.
        seq: Seq,
        /// The change that brought it.
        rev: Rev,
        /// Its text's [`digest`].
        digest: u64,
    },
    /// Was told to forget its copy of a session.
    Reset {
        /// Which.
        session: SessionId,
        /// Whether the history that counts now is the one it had: then the server itself has gone back.
        same_history: bool,
    },
    /// Its socket is in step from now on.
    InStep,
    /// Its socket is gone.
    Away,
    /// Its login has ended.
    Revoked,
    /// The run is over, and it had time to catch up with this session.
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
    /// Notes what the device just did or saw.
    pub fn note(&mut self, what: What) {
        self.entries.push(Entry { at: self.began.elapsed(), actor: self.actor, what });
    }

    /// What was noted.
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
}

impl Default for History {
    fn default() -> Self {
        Self { began: Instant::now(), entries: Vec::new() }
    }
}

impl History {
    /// Begins one, now.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A log for a device.
    #[must_use]
    pub fn log(&self, actor: Actor) -> Log {
        Log { began: self.began, actor, entries: Vec::new() }
    }

    /// Takes a device's log in. Logs of the same device are taken in in their order.
    pub fn add(&mut self, log: Log) {
        self.entries.extend(log.entries);
    }

    /// Every entry; those of one device are in its order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How long it has lasted.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// What had happened until a moment.
    #[must_use]
    pub fn until(&self, moment: Duration) -> Self {
        let entries = self.entries.iter().filter(|entry| entry.at <= moment).copied().collect();
        Self { began: self.began, entries }
    }

    /// How many messages were acknowledged, each counted once.
    #[must_use]
    pub fn acked(&self) -> usize {
        let acked = self.entries.iter().filter_map(|entry| match entry.what {
            What::Acked { session, message, .. } => Some((session, message)),
            _ => None,
        });
        acked.collect::<std::collections::HashSet<_>>().len()
    }
}

/// A text's fingerprint: histories are long, and texts are compared, never shown.
#[must_use]
pub fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
