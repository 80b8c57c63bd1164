//! Compares Natter with its peers and writes `docs/BENCHMARKS.md`: see `trials::bench`. `make bench` builds what it
//! needs and runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use trials::bench::{Budget, Course, Results, budgets, measure_all, page};
use trials::load::Error;

/// Compares Natter with its peers and writes the numbers page.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Cli {
    /// Measure everything once, briefly and with few people, to see that it works. Writes target/bench/BENCHMARKS.md.
    #[arg(long)]
    quick: bool,
    /// Measure only this system: natter, relay, socketio, prosody or ejabberd. May be repeated; the page says that the
    /// others are left out.
    #[arg(long, value_name = "SYSTEM")]
    only: Vec<String>,
    /// Measure nothing: rewrite the page from the last results.
    #[arg(long, conflicts_with = "quick")]
    again: bool,
    /// Natter's release binary.
    #[arg(long, value_name = "FILE", default_value = "target/release/natter")]
    natter: PathBuf,
    /// Where accounts, results and the servers' data are kept.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    folder: PathBuf,
    /// Where the page goes.
    #[arg(long, value_name = "DIR", default_value = "docs")]
    docs: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    tokio::select! {
        done = bench(&cli) => match done {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("The benchmark cannot go on: {error}");
                ExitCode::FAILURE
            }
        },
        // Dropping the future ends the servers.
        _ = tokio::signal::ctrl_c() => ExitCode::FAILURE,
    }
}

/// Returns whether Natter keeps its budgets. A quick run does not judge them.
async fn bench(cli: &Cli) -> Result<bool, Error> {
    let file = cli.folder.join(if cli.quick { "quick.json" } else { "results.json" });
    let docs = if cli.quick { &cli.folder } else { &cli.docs };
    let results: Results = if cli.again {
        serde_json::from_slice(&std::fs::read(file)?)?
    } else {
        let progress = ProgressBar::new(1);
        let style = "{prefix:40} {msg:24} {wide_bar} {elapsed}";
        progress.set_style(ProgressStyle::with_template(style).expect("a template that it knows"));
        let course = if cli.quick { Course::quick() } else { Course::full() };
        let results = measure_all(&course, &cli.folder, &cli.natter, &cli.only, &progress).await?;
        progress.finish_and_clear();
        std::fs::write(file, serde_json::to_vec(&results)?)?;
        results
    };
    page::write(&results, docs)?;
    println!("The numbers are in {}.", docs.join("BENCHMARKS.md").display());
    let broken: Vec<_> = budgets(&results).into_iter().filter(|budget| !budget.is_kept).collect();
    for Budget { what, allowed, measured, .. } in &broken {
        println!("Not kept: {what} {measured}, where {allowed} is allowed.");
    }
    Ok(results.quick || broken.is_empty())
}
