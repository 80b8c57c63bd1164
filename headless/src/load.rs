//! Load: many people at once at one chat server, and what became of every message.
//!
//! The programs `load` and `bench` use it. A [`Service`] is a kind of chat server: Natter, the bare relay beside it, the
//! peers that the numbers page compares with. It gives everybody an account and a group, and opens a [`Line`] for each
//! person, over which they [`Talk`]. From there on every kind of server is driven by the same code, in a [`Run`]: a
//! [`Crowd`] holds all lines in one loop without tasks, a [`Mode`] decides who says something when, a [`Tally`] checks
//! what arrives and takes the times, and a [`Report`] says it to people and programs.
//!
//! People are numbered from 0. A [`Plan`] puts them into groups of the same size, one after the other: person `p` is in
//! group `p / size`, and whatever they say goes to everybody else there.

mod crowd;
mod error;
mod line;
mod measure;
mod mode;
mod natter;
mod order;
mod picture;
mod relay;
mod report;
mod talk;
mod tally;
mod text;
mod used;
pub mod websocket;

pub use crowd::Crowd;
pub use error::Error;
pub use line::{Line, dial};
pub use measure::Run;
pub use mode::{FanOut, Idle, Mode, PingPong, Rate};
pub use natter::{Check, Habits, Natter, NatterTalk};
pub use picture::picture;
pub use relay::{Relay, RelayTalk};
pub use report::{Latency, Report, ServerUse};
pub use talk::{Heard, Talk};
pub use tally::Tally;
pub use used::{ProcessId, Used};

pub use indicatif::ProgressBar;

/// How many people there are, and how many of them share a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// All of them. A multiple of `group`.
    pub people: usize,
    /// In each group, at least two.
    pub group: usize,
}

impl Plan {
    /// At least `people` people, in full groups of `group`.
    #[must_use]
    pub fn new(people: usize, group: usize) -> Self {
        let group = group.max(2);
        Self { people: people.max(1).div_ceil(group) * group, group }
    }

    /// How many groups there are.
    #[must_use]
    pub fn groups(self) -> usize {
        self.people / self.group
    }
}

/// A kind of chat server.
#[expect(async_fn_in_trait, reason = "one task drives everybody: nothing has to be Send")]
pub trait Service {
    /// How its people talk.
    type Talk: Talk;

    /// What it is called in a report.
    fn name(&self) -> String;

    /// Gives everybody an account, a login and their group, as far as they do not have it yet.
    ///
    /// # Errors
    /// What the server refused, or why it could not be reached.
    async fn prepare(&mut self, plan: Plan, progress: &ProgressBar) -> Result<(), Error>;

    /// Connects one of them. The line is in step when this returns: what is said on it is delivered.
    ///
    /// # Errors
    /// What the server refused, or why it could not be reached.
    async fn connect(&self, person: usize) -> Result<Line<Self::Talk>, Error>;
}
