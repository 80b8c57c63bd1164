//! The checker: holds what every device did and saw, and what is stored at the end, against the promises.
//!
//! Like Jepsen's checkers it knows nothing about how a server works. A run records a [`History`]; the server, or
//! its database file, gives the [`Table`]; [`check`] names every broken rule and what broke it. The faults and the
//! tests use it, and it catches six deliberately planted bugs (`make faults`).

mod history;
mod promise;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt;

pub use history::{Actor, Entry, History, Log, What, digest};
pub use promise::{Bounds, Rule, Stored, Table, Violation};

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
    /// Seen and not stored, or seen by someone who should not: C7, C9, C11.
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
                Rule::NothingInvented | Rule::EndedIsEnded | Rule::OnlyWhileThere => &mut verdict.invented,
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
