//! The promises, how one is broken, and what is stored.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use protocol::{Message, MessageId, Rev, Seq, SessionId};

use super::history::digest;

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// C1: what was acknowledged is stored.
    AckedIsStored,
    /// C2: a message is stored once.
    StoredOnce,
    /// C3: places are 1, 2, 3… without gaps.
    NoHoles,
    /// C4: a reader applies changes in sequence, none twice, and ends up with all of them.
    OneAfterTheOther,
    /// C5: all readers and the table agree on each message's place.
    SameForAll,
    /// C6: a device's messages keep the order in which it wrote them.
    FirstInFirstOut,
    /// C7: only what is stored is seen, and only what was written and not refused is stored.
    NothingInvented,
    /// C8: an acknowledged message reaches every reader who is in step in time.
    InTime,
    /// C9: an ended login sees nothing more.
    EndedIsEnded,
    /// C10: all acknowledgements of a message agree.
    SameAnswer,
    /// C11: nothing said while somebody is out of a group reaches them, then or when they are back.
    OnlyWhileThere,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "C{}", *self as u8 + 1)
    }
}

/// A rule that was broken, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// How, in a sentence.
    pub how: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.how)
    }
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// From the acknowledgement of a message until a reader who stays in step has applied it.
    pub delivery: Duration,
    /// From the end of a login until its sockets see nothing more.
    pub revoked: Duration,
}

impl Default for Bounds {
    /// Generous: they tell a hang from a busy machine. Speed is for the benchmarks to judge.
    fn default() -> Self {
        Self { delivery: Duration::from_secs(20), revoked: Duration::from_secs(5) }
    }
}

/// A message as stored at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its place.
    pub seq: Seq,
    /// Its last change.
    pub rev: Rev,
    /// Its ID.
    pub message: MessageId,
    /// The [`digest`] of its text.
    pub digest: u64,
}

impl From<&Message> for Stored {
    fn from(message: &Message) -> Self {
        Self {
            seq: message.seq,
            rev: message.rev,
            message: message.message_id,
            digest: digest(&message.data),
        }
    }
}

/// Everything stored at the end, by session and place.
pub type Table = BTreeMap<SessionId, Vec<Stored>>;
