//! How a scenario ends.

use crate::check::{Verdict, Violation};
use headless::Error;

/// The scenario held, or could not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It held; the figures, in one line.
    Passed(String),
    /// It cannot run here; why, in a sentence.
    Skipped(String),
}

/// The scenario did not hold.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The checker found broken rules.
    #[error("{}; {figures}{}", Verdict::of(broken), several(broken))]
    Broken {
        /// Which, and how.
        broken: Vec<Violation>,
        /// The figures, in one line.
        figures: String,
    },
    /// Something else did not hold; a sentence.
    #[error("{0}")]
    Missed(String),
    /// A client could not do its part.
    #[error("a client failed: {0}")]
    Client(#[from] Error),
    /// The server or the system could not do its part.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The database file could not be read.
    #[error("the database file: {0}")]
    Database(#[from] sqlx::Error),
}

/// What a scenario's parts return.
pub type Result<T> = std::result::Result<T, Failure>;

/// Lists the first breaches of each rule; there may be thousands.
fn several(broken: &[Violation]) -> String {
    const SHOWN: usize = 2;
    let of_a_rule = broken.chunk_by(|one, other| one.rule == other.rule);
    let shown: Vec<_> = of_a_rule.flat_map(|breaches| breaches.iter().take(SHOWN)).collect();
    let mut text: String = shown.iter().map(|violation| format!("\n    {violation}")).collect();
    if broken.len() > shown.len() {
        text += &format!("\n    and {} more", broken.len() - shown.len());
    }
    text
}
