//! The checker's own test: a server (and a client) with a planted bug, run through the scenario that should expose it.
//!
//! Each run is a separate process of this program, because a bug applies to a whole process. The scenario must first
//! pass without a bug: what is caught is the bug, not the build.

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
    /// The scenario that exposes it.
    pub scenario: &'static str,
    /// The rules of which it must break at least one.
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

/// The result of a run, with a bug or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caught {
    /// The checker named a rule that this bug breaks; its sentence.
    Yes(String),
    /// It did not; the run's output.
    No(String),
    /// It passed.
    Passed,
    /// It cannot run here; why.
    Skipped(String),
}

/// Runs a scenario in a separate process, with this bug or with none.
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
