//! Load: many people talking concurrently on one chat server, and what became of every message.
//!
//! The programs `load` and `bench` use it. A [`Service`] is a kind of chat server: Natter, the bare relay, the peers
//! that the numbers page compares with. It gives everybody an account and a group, and opens a [`Line`] for each
//! person, over which they [`Talk`]. From there on the same code drives every kind of server, in a [`Run`]: a
//! [`Crowd`] holds all lines in one loop without tasks, a [`Mode`] decides who sends when, a [`Tally`] checks what
//! arrives and times it, and a [`Report`] presents the result to people and programs.
//!
//! People are numbered from 0. A [`Plan`] puts them into groups of equal size, in order: person `p` is in group
//! `p / size`, and everything they send goes to everybody else there.

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
    /// The total, a multiple of `group`.
    pub people: usize,
    /// People per group, at least two.
    pub group: usize,
}

impl Plan {
    /// Plans for at least `people` people, in full groups of `group`.
    #[must_use]
    pub fn new(people: usize, group: usize) -> Self {
        let group = group.max(2);
        Self { people: people.max(1).div_ceil(group) * group, group }
    }

    /// Returns the number of groups.
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

    /// Returns its name in reports.
    fn name(&self) -> String;

    /// Gives everybody an account, a login and their group, where they lack them.
    ///
    /// # Errors
    /// What the server refused, or why it could not be reached.
    async fn prepare(&mut self, plan: Plan, progress: &ProgressBar) -> Result<(), Error>;

    /// Connects one person. The line is in step when this returns: what is sent on it is delivered.
    ///
    /// # Errors
    /// What the server refused, or why it could not be reached.
    async fn connect(&self, person: usize) -> Result<Line<Self::Talk>, Error>;
}
