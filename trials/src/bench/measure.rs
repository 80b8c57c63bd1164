//! The run: starts, drives and stops every system, several times over.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::course::{FAN_OUT_DEPTH, FIRST_RATE, MESSAGE_BYTES, MIXED_RATE, PAIRS, RATES};
use super::ejabberd::Ejabberd;
use super::natter::{Natter, Relay};
use super::prosody::Prosody;
use super::results::{HELD_P99_MS, Measured, SystemResults};
use super::server::{Server, start};
use super::socketio::SocketIoSqlite;
use super::system::{Site, System, first_line};
use super::{Course, Machine, Results};
use crate::load::{Error, FanOut, Idle, Mode, PingPong, Plan, Rate, Report, Run, Service};
use crate::process::raise_open_files;

/// The seed of every open loop's arrivals, the same for every system.
const SEED: u64 = 20_261_123;

/// Measures every installed system. `folder` keeps the accounts between runs, and the servers' data while they run;
/// `natter` is the release binary; `only` names the wanted systems, empty for all.
///
/// # Errors
/// When an installed system cannot be measured.
pub async fn measure_all(
    course: &Course,
    folder: &Path,
    natter: &Path,
    only: &[String],
    progress: &ProgressBar,
) -> Result<Results, Error> {
    let _ = raise_open_files(); // the servers inherit it; a lower limit shows up where it is hit
    fs::create_dir_all(folder)?;
    let began = Instant::now();
    let natter = Natter { program: natter.to_owned(), everyday: false };
    let folder = folder.to_owned();
    let mut bench = Bench { course, folder, only, progress, systems: Vec::new(), missing: Vec::new() };
    for repeat in 0..course.repeats {
        // Forwards, then backwards: a machine that gets warm or busy treats no system worse than the others.
        for turn in 0..5 {
            match if repeat % 2 == 0 { turn } else { 4 - turn } {
                0 => bench.measure(&natter, repeat).await?,
                1 => bench.measure(&Relay, repeat).await?,
                2 => bench.measure(&SocketIoSqlite, repeat).await?,
                3 => bench.measure(&Prosody, repeat).await?,
                _ => bench.measure(&Ejabberd, repeat).await?,
            }
        }
    }
    Ok(Results {
        machine: Machine::here(&bench.folder)?,
        month: first_line("date", &["-u", "+%B %Y"]).unwrap_or_default(),
        repeats: course.repeats,
        took_seconds: began.elapsed().as_secs_f64(),
        quick: course.quick,
        sockets: course.sockets.clone(),
        group: course.group,
        systems: bench.systems,
        missing: bench.missing,
    })
}

struct Bench<'a> {
    course: &'a Course,
    folder: PathBuf,
    only: &'a [String],
    progress: &'a ProgressBar,
    systems: Vec<SystemResults>,
    missing: Vec<(String, String)>,
}

impl Bench<'_> {
    /// Measures one repeat of one system, or notes that it is missing.
    async fn measure<S: System>(&mut self, system: &S, repeat: usize) -> Result<(), Error> {
        let (key, title) = (system.key().to_owned(), system.title().to_owned());
        let wanted = self.only.is_empty() || self.only.contains(&key);
        let version = if wanted { system.version() } else { Err("it was not asked for".into()) };
        let version = match version {
            Ok(version) => version,
            Err(reason) => {
                if repeat == 0 {
                    self.missing.push((title, reason));
                }
                return Ok(());
            }
        };
        self.progress.set_prefix(format!("{title}, {} of {}", repeat + 1, self.course.repeats));
        let at = self.systems.iter().position(|results| results.key == key).unwrap_or_else(|| {
            self.systems.push(SystemResults { key, title, version, repeats: Vec::new() });
            self.systems.len() - 1
        });
        let began = Instant::now();
        let accounts = self.accounts(system).await?;
        let first = self.systems[at].repeats.last().map_or(FIRST_RATE, rate_to_begin_with);
        let measured = self.repeat(system, &accounts, repeat, first).await?;
        self.progress.suspend(|| println!("{}", line(system, repeat, &measured, began.elapsed())));
        self.systems[at].repeats.push(measured);
        Ok(())
    }

    /// Returns the folder with a system's data when everybody has an account and nobody has talked. Created once and
    /// kept.
    async fn accounts<S: System>(&self, system: &S) -> Result<PathBuf, Error> {
        let (everybody, group) = (self.course.everybody(), self.course.group);
        let name = format!("accounts-{}-{}-{group}", system.key(), everybody.people);
        let ready = self.folder.join(name);
        if !ready.exists() {
            let making = tempfile::tempdir_in(&self.folder)?;
            let mut server = start(system, &Site::new(making.path())?).await?;
            for plan in [everybody, Plan::new(group, group)] {
                server.service.prepare(plan, self.progress).await?;
            }
            server.stop().await?;
            fs::rename(making.keep(), &ready)?;
        }
        Ok(ready)
    }

    async fn repeat<S: System>(
        &self,
        system: &S,
        accounts: &Path,
        repeat: usize,
        first_rate: usize,
    ) -> Result<Measured, Error> {
        let Course { hold, group, .. } = *self.course;
        let data = tempfile::tempdir_in(&self.folder)?;
        copy(accounts, data.path())?;
        let mut server = start(system, &Site::new(data.path())?).await?;
        server.service.prepare(Plan::new(2, 2), &ProgressBar::hidden()).await?;
        let mut measured =
            Measured { cold_start_seconds: server.first_talk().await?.as_secs_f64(), ..Measured::default() };
        tokio::time::sleep(hold).await;
        measured.rest_kib = server.id.used()?.rss_kib as f64;
        for &people in self.course.sockets_in(repeat) {
            let report = self.run(&mut server, Plan::new(people, 2), &mut Idle).await?;
            let held = report.server.ok_or_else(|| Error::protocol("the server was not looked at"))?;
            let grown = held.rss_after_kib as f64 - measured.rest_kib;
            measured.socket_kib.insert(people, grown / people as f64);
        }
        let (pair, pairs) = (Plan::new(2, 2), Plan::new(2 * PAIRS, 2));
        measured.pair = self.run(&mut server, pair, &mut PingPong::new(pair)).await?;
        measured.pairs = self.run(&mut server, pairs, &mut PingPong::new(pairs)).await?;
        let plan = Plan::new(group, group);
        measured.fan_out = self.run(&mut server, plan, &mut FanOut::new(plan, FAN_OUT_DEPTH)).await?;
        measured.rates = self.rates(&mut server, pairs, first_rate).await?;
        server.stop().await?;
        if let Some(system) = system.as_on_the_page() {
            measured.mixed = Some(self.mixed(&system, accounts).await?);
        }
        Ok(measured)
    }

    /// Lets the pairs talk at an even rate, doing all that people do on the page.
    async fn mixed<S: System>(&self, system: &S, accounts: &Path) -> Result<Report, Error> {
        let data = tempfile::tempdir_in(&self.folder)?;
        copy(accounts, data.path())?;
        let mut server = start(system, &Site::new(data.path())?).await?;
        let (pairs, rate) = (Plan::new(2 * PAIRS, 2), MIXED_RATE.min(self.course.highest_rate));
        let report = self.run(&mut server, pairs, &mut Rate::new(pairs, rate, SEED)).await?;
        server.stop().await?;
        Ok(report)
    }

    /// Runs open loops: up from the first rate as long as they are held, or down until one is.
    async fn rates<S: Service>(
        &self,
        server: &mut Server<S>,
        plan: Plan,
        first: usize,
    ) -> Result<Vec<Report>, Error> {
        let mut reports = Vec::new();
        for &rate in RATES[first..].iter().take_while(|rate| **rate <= self.course.highest_rate) {
            reports.push(self.run(server, plan, &mut Rate::new(plan, rate, SEED)).await?);
            if !reports.last().is_some_and(|report| report.held(HELD_P99_MS)) {
                break;
            }
        }
        let none_held = |reports: &[Report]| !reports.iter().any(|report| report.held(HELD_P99_MS));
        for &rate in RATES[..first].iter().rev() {
            if none_held(&reports) {
                reports.push(self.run(server, plan, &mut Rate::new(plan, rate, SEED)).await?);
            }
        }
        Ok(reports)
    }

    async fn run<S: Service>(
        &self,
        server: &mut Server<S>,
        plan: Plan,
        mode: &mut impl Mode,
    ) -> Result<Report, Error> {
        server.service.prepare(plan, &ProgressBar::hidden()).await?;
        let Course { hold, warm_up, length, .. } = *self.course;
        let idle = mode.name() == Idle.name();
        let (warm_up, length) = if idle { (Duration::ZERO, hold) } else { (warm_up, length) };
        let run = Run { plan, warm_up, length, message_bytes: MESSAGE_BYTES, server: Some(server.id) };
        run.measure(&server.service, mode, self.progress).await
    }
}

/// Returns the index one below the rate that was held before: another repeat only needs to try from there.
fn rate_to_begin_with(before: &Measured) -> usize {
    let held = RATES.iter().position(|rate| *rate == before.held());
    held.map_or(0, |held| held.saturating_sub(1))
}

/// Summarizes a repeat in one line for the terminal.
fn line<S: System>(system: &S, repeat: usize, measured: &Measured, took: Duration) -> String {
    let p50 = |report: &Report| report.delivery.as_ref().map_or(f64::NAN, |delivery| delivery.p50_ms);
    let cpu = measured.pairs.server.as_ref().and_then(|server| server.cpu_seconds_per_1000);
    format!(
        "{:<22} repeat {}: {:.1} MiB at rest, 1 pair {:.2} ms, {PAIRS} pairs {:.2} ms, {:.3} CPU s per 1,000, held {}/s, \
         fan-out {:.0}/s ({:.0} s)",
        system.title(),
        repeat + 1,
        measured.rest_kib / 1024.0,
        p50(&measured.pair),
        p50(&measured.pairs),
        cpu.unwrap_or(f64::NAN),
        measured.held(),
        measured.fan_out.delivered_per_second,
        took.as_secs_f64()
    )
}

/// Copies a folder with everything in it, except sockets and the like.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::tests::system;

    #[test]
    fn another_repeat_begins_one_below_what_was_held() {
        let fast = system("fast", "Fast", 1.0);
        assert_eq!(RATES[rate_to_begin_with(&fast.repeats[0])], 100.0);
        assert_eq!(rate_to_begin_with(&Measured::default()), 0);
    }

    #[test]
    fn a_folder_is_copied_with_its_folders() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("a")).unwrap();
        fs::write(from.path().join("a/b"), "c").unwrap();
        copy(from.path(), &to.path().join("new")).unwrap();
        assert_eq!(fs::read_to_string(to.path().join("new/a/b")).unwrap(), "c");
    }
}
