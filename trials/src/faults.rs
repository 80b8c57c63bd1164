//! The faults: a real server on a temporary folder, a crowd that talks, something that breaks, and the checker.
//!
//! Each file below is one way to break things and runs alone too (`faults --only kill`). They share `crowd`, which
//! makes people and sessions, `device`, one of their devices with its log, and `run`, one server with its crowd from
//! start to finish. The program is `src/bin/faults.rs`; docs/RELIABILITY.md says what each shows.

mod chaos;
mod crowd;
mod deleted;
mod device;
mod disk;
mod full_disk;
mod kill;
mod login_flood;
mod logout;
mod meanwhile;
mod one_account;
mod outcome;
mod planted;
mod power;
mod proxy;
mod resume;
mod rig;
mod rolling;
mod run;
mod slowloris;
mod stalled;
mod stays;
mod storm;
mod sync_error;
mod upgrade;

use futures::future::BoxFuture;

pub use outcome::{Failure, Outcome, Result};
pub use planted::{BUGS, Bug, Caught, run as run_planted};
pub use rig::{Lane, Rig};

/// One way to break things.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Runs it.
    pub run: for<'a> fn(&'a Rig) -> BoxFuture<'a, Result<Outcome>>,
}

/// All scenarios, in the order they run.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "kill",
        about: "kill -9 at random moments, while everybody talks",
        run: |rig| Box::pin(kill::run(rig)),
    },
    Scenario {
        name: "power",
        about: "power cuts: copies of a frozen server's disk (root)",
        run: |rig| Box::pin(power::run(rig)),
    },
    Scenario {
        name: "full-disk",
        about: "a disk that is full for a while (root)",
        run: |rig| Box::pin(full_disk::run(rig)),
    },
    Scenario {
        name: "sync-error",
        about: "a sync fails with EIO, at another place each time (strace)",
        run: |rig| Box::pin(sync_error::run(rig)),
    },
    Scenario {
        name: "deleted",
        about: "texts that were deleted or replaced, searched for in every file",
        run: |rig| Box::pin(deleted::run(rig)),
    },
    Scenario {
        name: "upgrade",
        about: "an earlier version's database, killed while its messages are written anew",
        run: |rig| Box::pin(upgrade::run(rig)),
    },
    Scenario {
        name: "chaos",
        about: "connections that are cut, delayed, doubled, half open, or lose messages",
        run: |rig| Box::pin(chaos::run(rig)),
    },
    Scenario { name: "rolling", about: "restarts in good order", run: |rig| Box::pin(rolling::run(rig)) },
    Scenario {
        name: "stays",
        about: "people who leave a group, or are removed, and come back",
        run: |rig| Box::pin(stays::run(rig)),
    },
    Scenario {
        name: "logout",
        about: "logouts that race requests of the same login",
        run: |rig| Box::pin(logout::run(rig)),
    },
    Scenario {
        name: "stalled",
        about: "readers that read nothing, beside others that do",
        run: |rig| Box::pin(stalled::run(rig)),
    },
    Scenario {
        name: "storm",
        about: "everybody comes back at once after a kill -9",
        run: |rig| Box::pin(storm::run(rig)),
    },
    Scenario {
        name: "resume",
        about: "coming back after very much was said",
        run: |rig| Box::pin(resume::run(rig)),
    },
    Scenario {
        name: "slowloris",
        about: "connections that say nothing, one byte, or half a head",
        run: |rig| Box::pin(slowloris::run(rig)),
    },
    Scenario {
        name: "login-flood",
        about: "very many sign in at once",
        run: |rig| Box::pin(login_flood::run(rig)),
    },
    Scenario {
        name: "one-account",
        about: "one account does everything it may at once",
        run: |rig| Box::pin(one_account::run(rig)),
    },
];
