//! A scenario's input.

use std::path::PathBuf;

/// How much of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Lane {
    /// A few minutes on two cores; judges what is lost, doubled or reordered, not times.
    Short,
    /// What a release must pass; times count.
    Full,
    /// As `full`, with the most kills.
    Long,
}

impl Lane {
    /// Picks this lane's amount.
    pub(super) fn of<T>(self, short: T, full: T, long: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
            Self::Long => long,
        }
    }

    /// Returns whether times count: only where the run has the machine to itself.
    pub(super) fn is_timed(self) -> bool {
        self != Self::Short
    }
}

/// A scenario's input.
#[derive(Debug, Clone)]
pub struct Rig {
    /// The server's binary.
    pub natter: PathBuf,
    /// How much of everything.
    pub lane: Lane,
    /// The source of all the run's random choices.
    pub seed: u64,
    /// The planted bug, when the binary has them and one was chosen.
    pub bug: Option<String>,
}

impl Rig {
    /// Returns a generator: the same choices for the same seed and purpose.
    pub(super) fn random(&self, purpose: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(purpose))
    }
}
