//! The checker: holds what every device did and saw, and what is stored at the end, against the promises.
//!
//! Like Jepsen's checkers it knows nothing about how a server works. A run records a [`History`]; the server, or
//! its database file, gives the [`Table`]; [`check`] names every broken rule and what broke it. The faults and the
//! tests use it, and it catches six deliberately planted bugs (`make faults`).

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

/// Returns every broken rule; none means a pass.
#[must_use]
pub fn check(history: &History, table: &Table, bounds: &Bounds) -> Vec<Violation> {
    rules::Rules::new(history, table, bounds).broken()
}

/// How many messages were lost, doubled and reordered, in everyday terms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged and not stored, or stored and never seen: C1, C3, C8.
    pub lost: usize,
    /// Stored or seen twice: C2, C10.
    pub doubled: usize,
    /// Seen in another order, or only by some: C4, C5, C6.
    pub reordered: usize,
    /// Seen and not stored, or seen by someone who should not: C7, C9.
    pub invented: usize,
}

impl Verdict {
    /// Counts the violations by kind.
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
