//! The checker: what every device did and saw, and what is stored at the end, held against the promises.
//!
//! Like the checkers of Jepsen it knows nothing of how a server works. A run records a [`History`]; the server, or
//! its database file, gives the [`Table`]; [`check`] names every rule that was broken and by what. It is used by the
//! faults and by tests, and catches six bugs planted on purpose (`make faults`).

mod history;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use protocol::{Message, MessageId, Rev, Seq, SessionId};

pub use history::{Actor, Entry, History, Log, What, digest};

/// A promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// C1: what was acknowledged is stored.
    AckedIsStored,
    /// C2: a message is stored once.
    StoredOnce,
    /// C3: places are 1, 2, 3… without holes.
    NoHoles,
    /// C4: a reader applies one change after the other, none twice, and in the end has them all.
    OneAfterTheOther,
    /// C5: all readers, and the table, agree on which message has which place.
    SameForAll,
    /// C6: what a device wrote keeps its order.
    FirstInFirstOut,
    /// C7: nothing is seen that is not stored, nothing is stored that was not written, or was refused.
    NothingInvented,
    /// C8: what is acknowledged reaches a reader in step in time.
    InTime,
    /// C9: an ended login sees nothing more.
    EndedIsEnded,
    /// C10: all acknowledgements of a message say the same.
    SameAnswer,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "C{}", *self as u8 + 1)
    }
}

/// A rule that was broken, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// A sentence.
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
    /// From the acknowledgement of a message until a reader who is in step all the while has applied it.
    pub delivery: Duration,
    /// From the end of a login until its sockets see nothing more.
    pub revoked: Duration,
}

impl Default for Bounds {
    /// Generous: they tell a hang from a busy machine. How fast it is, is a benchmark's to say.
    fn default() -> Self {
        Self { delivery: Duration::from_secs(20), revoked: Duration::from_secs(5) }
    }
}

/// A message as it is stored in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its place.
    pub seq: Seq,
    /// Its last change.
    pub rev: Rev,
    /// Its name.
    pub message: MessageId,
    /// Its text's [`digest`].
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

/// Everything that is stored in the end, by session and place.
pub type Table = BTreeMap<SessionId, Vec<Stored>>;

/// Names every broken rule. An empty answer is a pass.
#[must_use]
pub fn check(history: &History, table: &Table, bounds: &Bounds) -> Vec<Violation> {
    rules::Rules::new(history, table, bounds).broken()
}

/// How many messages were lost, doubled and reordered, as one says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged and not stored, or stored and never seen: C1, C3, C8.
    pub lost: usize,
    /// Stored or seen twice: C2, C10.
    pub doubled: usize,
    /// Seen in another order, or by some only: C4, C5, C6.
    pub reordered: usize,
    /// Seen and not stored, or seen by whom it should not be: C7, C9.
    pub invented: usize,
}

impl Verdict {
    /// Counts.
    #[must_use]
    pub fn of(broken: &[Violation]) -> Self {
        let mut verdict = Self::default();
        for violation in broken {
            *match violation.rule {
                Rule::AckedIsStored | Rule::NoHoles | Rule::InTime => &mut verdict.lost,
                Rule::StoredOnce | Rule::SameAnswer => &mut verdict.doubled,
                Rule::OneAfterTheOther | Rule::SameForAll | Rule::FirstInFirstOut => &mut verdict.reordered,
                Rule::NothingInvented | Rule::EndedIsEnded => &mut verdict.invented,
            } += 1;
        }
        verdict
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, doubled, reordered, invented } = self;
        write!(f, "{lost} lost, {doubled} doubled, {reordered} reordered, {invented} invented")
    }
}
