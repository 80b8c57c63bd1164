//! The checker's own test: a server (and a client) with a bug planted, run through the scenario that should show it.
//!
//! Each run is a process of this program by itself, because a bug is chosen for a whole process. First the scenario
//! is run without a bug and has to pass: what is caught is the bug, not the build.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::Result;
use crate::check::Rule;

/// A planted bug.
#[derive(Debug)]
pub struct Bug {
    /// Its name, for `NATTER_PLANTED`.
    pub name: &'static str,
    /// The scenario that shows it.
    pub scenario: &'static str,
    /// The rules of which at least one has to be broken.
    pub breaks: &'static [Rule],
}

/// All of them.
pub const BUGS: &[Bug] = &[
    Bug { name: "ack-before-commit", scenario: "kill", breaks: &[Rule::AckedIsStored] },
    Bug { name: "no-unique-key", scenario: "kill", breaks: &[Rule::StoredOnce] },
    Bug {
        name: "fan-out-before-commit",
        scenario: "kill",
        breaks: &[Rule::NothingInvented, Rule::SameForAll, Rule::OneAfterTheOther],
    },
    Bug { name: "skip-on-gap", scenario: "chaos", breaks: &[Rule::OneAfterTheOther] },
    Bug { name: "save-inserts", scenario: "logout", breaks: &[Rule::EndedIsEnded] },
    Bug {
        name: "synchronous-normal",
        scenario: "power",
        breaks: &[Rule::AckedIsStored, Rule::NothingInvented],
    },
];

/// What came of a run with a bug, or of one without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caught {
    /// The checker named a rule that this bug breaks; its sentence.
    Yes(String),
    /// It did not; what the run said.
    No(String),
    /// It passed.
    Passed,
    /// It could not be tried here; why.
    Skipped(String),
}

/// Runs a scenario in a process of its own, with this bug or with none.
///
/// # Errors
/// When the process cannot be started.
pub async fn run(natter: &Path, scenario: &str, bug: Option<&Bug>, seed: u64) -> Result<Caught> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--natter").arg(natter).args(["--lane", "short", "--only", scenario]);
    command.args(["--seed", &seed.to_string()]).env_remove("NATTER_PLANTED");
    if let Some(bug) = bug {
        command.env("NATTER_PLANTED", bug.name);
    }
    let done = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    if let Some(why) = said.lines().find_map(|line| line.split_once(" skipped: ")) {
        return Ok(Caught::Skipped(why.1.to_owned()));
    }
    if done.status.success() {
        return Ok(Caught::Passed);
    }
    let expected: Vec<_> =
        bug.into_iter().flat_map(|bug| bug.breaks).map(|rule| format!("{rule}: ")).collect();
    let named =
        said.lines().map(str::trim).find(|line| expected.iter().any(|rule| line.starts_with(rule.as_str())));
    Ok(named.map_or(Caught::No(said.clone()), |line| Caught::Yes(line.to_owned())))
}
