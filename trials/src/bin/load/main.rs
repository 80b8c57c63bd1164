//! Drives a chat server as many concurrent people: see `trials::load`.

mod cli;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use trials::load::{
    Error, FanOut, Habits, Idle, Natter, PingPong, Plan, ProcessId, Rate, Relay, Report, Run, Service,
    picture,
};
use trials::process::Start;

use cli::{Cli, Doing};

/// A rate counts as held while 99 of 100 messages arrive within this many milliseconds.
const HELD_MS: f64 = 50.0;

// One thread: the program shares its machine with the server that it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli).await {
        Ok(reports) => {
            if cli.json {
                println!(
                    "{}",
                    serde_json::to_string_pretty(&reports).expect("reports have string keys only")
                );
            }
            match reports.iter().all(Report::is_faultless) {
                true => ExitCode::SUCCESS,
                false => ExitCode::from(3),
            }
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<Vec<Report>, Error> {
    let temporary = tempfile::tempdir()?;
    let folder = cli.folder.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder)?;
    let mut reports = Vec::new();
    if cli.floor {
        let data = tempfile::tempdir_in(folder)?;
        let binary = std::env::current_exe()?.with_file_name("relay");
        let mut relay = Start::relay(&binary, data.path()).start().await?;
        let mut floor = Relay::new(&relay.base)?;
        floor.prepare(cli.plan(), &progress(cli)).await?;
        reports.extend(measure(cli, &floor, Some(ProcessId(relay.id()?))).await?);
        relay.kill().await?;
    }
    reports.extend(natter(cli, folder).await?);
    if let Some(file) = &cli.picture {
        std::fs::write(file, picture("How long messages take", &reports))?;
    }
    Ok(reports)
}

/// Measures Natter: the server at `--url`, or one of our own.
async fn natter(cli: &Cli, folder: &Path) -> Result<Vec<Report>, Error> {
    let accounts = folder.join("accounts.json");
    if let Some(url) = &cli.url {
        let mut natter = Natter::new(url, cli.habits(), cli.folder.is_some().then_some(accounts)).await?;
        natter.prepare(cli.plan(), &progress(cli)).await?;
        return measure(cli, &natter, cli.pid.map(ProcessId)).await;
    }
    if !cli.server.exists() {
        let binary = cli.server.display();
        let words = format!("there is no {binary}: build it with `make build`, or name a server with --url");
        return Err(Error::Protocol(words));
    }
    let mut server = Start::new(&cli.server, &folder.join("data")).start().await?;
    let mut natter = Natter::new(&server.base, cli.habits(), Some(accounts)).await?;
    natter.prepare(cli.plan(), &progress(cli)).await?;
    // A fresh process: the memory that passwords took must not count for the sockets.
    server.terminate().await?;
    server.start_again().await?;
    let reports = measure(cli, &natter, Some(ProcessId(server.id()?))).await?;
    server.terminate().await?;
    Ok(reports)
}

/// Runs the chosen mode, once for each rate.
async fn measure(cli: &Cli, service: &impl Service, server: Option<ProcessId>) -> Result<Vec<Report>, Error> {
    let plan = cli.plan();
    let run = Run {
        plan,
        warm_up: Duration::from_secs_f64(cli.warm_up),
        length: Duration::from_secs_f64(cli.seconds),
        message_bytes: cli.bytes,
        server,
    };
    let mut reports = Vec::new();
    let mut keep = |report: Report| {
        if !cli.json {
            println!("{report}");
        }
        reports.push(report);
    };
    let progress = progress(cli);
    match &cli.doing {
        Doing::Idle { .. } => keep(run.measure(service, &mut Idle, &progress).await?),
        Doing::PingPong { .. } => keep(run.measure(service, &mut PingPong::new(plan), &progress).await?),
        Doing::FanOut { depth, .. } => {
            keep(run.measure(service, &mut FanOut::new(plan, *depth), &progress).await?);
        }
        Doing::Rate { rates, .. } => {
            for rate in rates {
                let mut mode = Rate::new(plan, *rate, 0);
                keep(run.measure(service, &mut mode, &progress).await?);
            }
        }
    }
    progress.finish_and_clear();
    if reports.len() > 1 && !cli.json {
        println!("{}: {}\n", service.name(), held(&reports));
    }
    Ok(reports)
}

/// Describes the highest of several rates at which everything arrived in time.
fn held(reports: &[Report]) -> String {
    let held =
        reports.iter().filter(|report| report.held(HELD_MS)).filter_map(|report| report.offered_per_second);
    match held.reduce(f64::max) {
        Some(rate) => {
            format!("held {rate:.0} messages a second (everything delivered, p99 within {HELD_MS} ms)")
        }
        None => format!("held none of these rates (everything delivered, p99 within {HELD_MS} ms)"),
    }
}

/// Returns a bar that shows only on a terminal, and not with `--json`.
fn progress(cli: &Cli) -> ProgressBar {
    let bar = ProgressBar::new(0);
    if cli.json || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{wide_bar} {percent:>3}% {eta:>4}  {msg}");
    bar.with_style(style.expect("a template that it knows"))
}

impl Cli {
    /// Returns what everybody does.
    fn habits(&self) -> Habits {
        Habits { check: self.check, reads: self.reads, mixed: false }
    }

    /// Returns who takes part.
    fn plan(&self) -> Plan {
        match self.doing {
            Doing::Idle { sockets } => Plan::new(sockets, 2),
            Doing::PingPong { pairs } | Doing::Rate { pairs, .. } => Plan::new(2 * pairs, 2),
            Doing::FanOut { members, groups, .. } => Plan::new(members * groups, members),
        }
    }
}
