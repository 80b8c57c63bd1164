//! `faults`: breaks a server in every way we know and checks that nothing is lost, doubled or reordered.
//!
//! It ends with a table, and exits with 1 when a promise did not hold.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use trials::faults::{BUGS, Caught, Lane, Outcome, Rig, SCENARIOS, Scenario, run_planted};

/// Breaks a Natter server in many ways and checks that nothing is lost, doubled or reordered.
#[derive(Debug, Parser)]
struct Cli {
    /// The server's binary.
    #[arg(long, default_value = "target/release/natter")]
    natter: PathBuf,
    /// How much of everything.
    #[arg(long, value_enum, default_value = "full")]
    lane: Lane,
    /// Run only this scenario; may be repeated.
    #[arg(long)]
    only: Vec<String>,
    /// Repeat the random choices of an earlier run.
    #[arg(long)]
    seed: Option<u64>,
    /// Test the checker, with a server that has the planted bugs: it must catch each.
    #[arg(long)]
    planted: bool,
    /// List the scenarios and run nothing.
    #[arg(long)]
    list: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.list {
        SCENARIOS.iter().for_each(|scenario| println!("{:<12} {}", scenario.name, scenario.about));
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) =
        cli.only.iter().find(|name| !SCENARIOS.iter().any(|scenario| scenario.name == **name))
    {
        eprintln!("faults: there is no {unknown}. `faults --list` says what there is.");
        return ExitCode::from(2);
    }
    let rig = Rig {
        natter: cli.natter,
        lane: cli.lane,
        seed: cli.seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
        bug: std::env::var("NATTER_PLANTED").ok(),
    };
    if !rig.natter.exists() {
        eprintln!("faults: there is no server at {}. Name it with --natter.", rig.natter.display());
        return ExitCode::from(2);
    }
    let _ = trials::process::raise_open_files();
    if cli.planted {
        return planted(&rig).await;
    }
    println!("faults of the {:?} lane on {}, seed {}", rig.lane, rig.natter.display(), rig.seed);
    let chosen = SCENARIOS
        .iter()
        .filter(|scenario| cli.only.is_empty() || cli.only.iter().any(|o| o == scenario.name));
    let mut rows = Vec::new();
    for scenario in chosen {
        rows.push(run(scenario, &rig).await);
    }
    println!();
    rows.iter().for_each(|(name, word, seconds)| println!("{name:<12} {word:<8} {seconds:>6.1} s"));
    if rows.iter().any(|(_, word, _)| *word == "FAILED") { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs one scenario and prints how it went.
async fn run(scenario: &Scenario, rig: &Rig) -> (&'static str, &'static str, f64) {
    let began = Instant::now();
    let (word, line) = match (scenario.run)(rig).await {
        Ok(Outcome::Passed(figures)) => ("passed", figures),
        Ok(Outcome::Skipped(why)) => ("skipped", why),
        Err(failure) => {
            ("FAILED", format!("{failure}\n    again: faults --only {} --seed {}", scenario.name, rig.seed))
        }
    };
    println!("{:<12} {word}: {line}", scenario.name);
    (scenario.name, word, began.elapsed().as_secs_f64())
}

/// Plants one bug after another. Each scenario must pass without one first.
async fn planted(rig: &Rig) -> ExitCode {
    println!("planted bugs in {}, seed {}", rig.natter.display(), rig.seed);
    let (mut passed, mut caught, mut skipped, mut missed) = (Vec::new(), 0, 0, 0);
    for bug in BUGS {
        if !passed.contains(&bug.scenario) {
            match run_planted(&rig.natter, bug.scenario, None, rig.seed).await {
                Ok(Caught::Passed) => println!("{:<22} passed: {} without a bug", "", bug.scenario),
                Ok(Caught::Skipped(why)) => {
                    println!("{:<22} skipped: {why}", bug.name);
                    skipped += 1;
                    continue;
                }
                other => {
                    println!("{:<22} FAILED: {} fails without a bug: {other:?}", "", bug.scenario);
                    missed += 1;
                }
            }
            passed.push(bug.scenario);
        }
        match run_planted(&rig.natter, bug.scenario, Some(bug), rig.seed).await {
            Ok(Caught::Yes(line)) => {
                println!("{:<22} caught by {}: {line}", bug.name, bug.scenario);
                caught += 1;
            }
            other => {
                println!("{:<22} NOT CAUGHT by {}: {other:?}", bug.name, bug.scenario);
                missed += 1;
            }
        }
    }
    println!("\n{caught} of {} bugs caught, {skipped} skipped, {missed} failures", BUGS.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
