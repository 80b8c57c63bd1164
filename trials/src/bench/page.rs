//! `docs/BENCHMARKS.md` and its plots, made from the results.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::course::{Course, FAN_OUT_DEPTH, MESSAGE_BYTES, MIXED_RATE, PAIRS, RATES};
use super::figures::number;
use super::plot::{self, Series};
use super::results::{HELD_P99_MS, SystemResults};
use super::{Budget, Machine, Results, budgets};
use crate::load::{Error, Report};

/// The page, with `@NAMES@` to be filled in.
const PAGE: &str = include_str!("page.md");

/// Writes `BENCHMARKS.md` into a folder and the plots into its `img`.
///
/// # Errors
/// When they cannot be written.
pub fn write(results: &Results, folder: &Path) -> Result<(), Error> {
    let images = folder.join("img");
    fs::create_dir_all(&images)?;
    for (name, svg) in [("latency", latency(results)), ("cpu", cpu(results)), ("memory", memory(results))] {
        fs::write(images.join(format!("bench-{name}.svg")), svg)?;
    }
    Ok(fs::write(folder.join("BENCHMARKS.md"), page(results))?)
}

fn page(results: &Results) -> String {
    let rates = format!("{} to {}", number(RATES[0]), number(RATES[RATES.len() - 1]));
    let quick = if results.quick {
        "\n> A quick run, to see whether everything works. **Its numbers mean nothing.**\n"
    } else {
        ""
    };
    let most = match results.sockets.as_slice() {
        [_, .., most] if results.repeats > 1 => {
            format!(" (memory at {} sockets is measured once)", number(*most as f64))
        }
        _ => String::new(),
    };
    let repeats =
        if results.repeats == 1 { "one repeat".into() } else { format!("{} repeats", results.repeats) };
    let values = [
        ("@QUICK@", quick.to_owned()),
        ("@MACHINE@", machine(&results.machine, &results.month, results.took_seconds)),
        ("@TABLE@", table(results)),
        ("@BUDGETS@", kept(results)),
        ("@MIXED@", number(MIXED_RATE)),
        ("@MISSING@", missing(&results.missing)),
        ("@VERSIONS@", versions(&results.systems)),
        ("@HOLD@", seconds(Course::full().hold)),
        ("@LENGTH@", seconds(Course::full().length)),
        ("@PAIRS@", PAIRS.to_string()),
        ("@RATES@", rates),
        ("@HELD_P99@", number(HELD_P99_MS)),
        ("@GROUP@", results.group.to_string()),
        ("@DEPTH@", FAN_OUT_DEPTH.to_string()),
        ("@BYTES@", MESSAGE_BYTES.to_string()),
        ("@REPEATS@", repeats),
        ("@MOST_SOCKETS@", most),
    ];
    values.iter().fold(PAGE.to_owned(), |page, (name, value)| page.replace(name, value))
}

fn seconds(duration: Duration) -> String {
    format!("{} s", number(duration.as_secs_f64()))
}

fn machine(machine: &Machine, month: &str, took: f64) -> String {
    let Machine { cores, processor, memory_gib, kernel, system, sync_ms } = machine;
    format!(
        "{month}, in {:.0} minutes, on {cores} cores ({processor}), {memory_gib:.0} GiB of memory, {system}, Linux {kernel}; \
         syncing\n4 KiB to this disk takes {} ms (median).",
        (took / 60.0).ceil(),
        number(*sync_ms)
    )
}

fn missing(missing: &[(String, String)]) -> String {
    missing.iter().map(|(title, reason)| format!("{title} is left out: {reason}.\n\n")).collect()
}

fn versions(systems: &[SystemResults]) -> String {
    let lines: Vec<_> =
        systems.iter().map(|SystemResults { title, version, .. }| format!("* {title}: {version}")).collect();
    lines.join("\n")
}

fn table(results: &Results) -> String {
    let sockets: Vec<_> = results.sockets.iter().map(|people| number(*people as f64)).collect();
    let columns = [
        "System".to_owned(),
        "At rest, MiB".to_owned(),
        "Cold start, s".to_owned(),
        format!("A socket at {}, KiB", sockets.join(" / ")),
        "1 pair p50 / p99, ms".to_owned(),
        format!("{PAIRS} pairs p50, ms"),
        format!("CPU s per 1,000 ({PAIRS} pairs)"),
        "Held, messages/s".to_owned(),
        format!("Fan-out to {}, delivered/s", results.group),
    ];
    let mut lines = vec![row(&columns), row(&columns.each_ref().map(|_| "---".to_owned()))];
    lines.extend(results.systems.iter().map(|system| row(&cells(system, &results.sockets))));
    lines.join("\n")
}

/// Returns a table of the budgets, and whether each is kept.
fn kept(results: &Results) -> String {
    let heads = ["What", "Allowed", "Measured", ""].map(str::to_owned);
    let mut lines = vec![row(&heads), row(&heads.each_ref().map(|_| "---".to_owned()))];
    lines.extend(budgets(results).into_iter().map(|Budget { what, allowed, measured, is_kept }| {
        row(&[what, allowed, measured, if is_kept { "kept".into() } else { "**not kept**".into() }])
    }));
    lines.join("\n")
}

fn row(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

fn cells(system: &SystemResults, sockets: &[usize]) -> [String; 9] {
    let cell = |value: Option<f64>| value.map_or("-".to_owned(), number);
    let socket: Vec<_> = sockets.iter().map(|people| cell(system.socket_kib(*people))).collect();
    let p50 = |report: &Report| Some(report.delivery.as_ref()?.p50_ms);
    let p99 = |report: &Report| Some(report.delivery.as_ref()?.p99_ms);
    let name = if system.key == "natter" { format!("**{}**", system.title) } else { system.title.clone() };
    let held = system.held().filter(|held| *held > 0.0);
    [
        name,
        cell(system.median(|measured| Some(measured.rest_kib / 1024.0))),
        cell(system.median(|measured| Some(measured.cold_start_seconds))),
        socket.join(" / "),
        format!(
            "{} / {}",
            cell(system.median(|measured| p50(&measured.pair))),
            cell(system.median(|measured| p99(&measured.pair)))
        ),
        cell(system.p50_of_pairs()),
        cell(system.cpu_per_1000()),
        match held {
            Some(held) if held == RATES[RATES.len() - 1] => format!("≥ {}", number(held)),
            Some(held) => number(held),
            None => format!("under {}", number(RATES[0])),
        },
        cell(system.median(|measured| Some(measured.fan_out.delivered_per_second))),
    ]
}

fn latency(results: &Results) -> String {
    let panel = |which: fn(&(f64, f64, f64)) -> (f64, f64)| {
        let series = results.systems.iter().map(|system| Series {
            key: system.key.clone(),
            title: system.title.clone(),
            points: system.latencies().iter().map(which).collect(),
        });
        series.collect::<Vec<_>>()
    };
    let tried =
        |rate: &f64| results.systems.iter().any(|system| system.latencies().iter().any(|at| at.0 == *rate));
    let rates: Vec<f64> = RATES.iter().copied().filter(tried).collect();
    plot::lines(
        "How long messages take to arrive as more of them are sent",
        "From when a message should have been sent until it is there. A line ends at the highest rate that was held.",
        &rates,
        &[
            ("half of them within", panel(|(rate, p50, _)| (*rate, *p50))),
            ("99 of 100 within", panel(|(rate, _, p99)| (*rate, *p99))),
        ],
    )
}

fn cpu(results: &Results) -> String {
    let about = format!(
        "CPU seconds per 1,000 messages delivered between {PAIRS} pairs, the kernel's part included."
    );
    let rows = rows(results, |system| system.cpu_per_1000().into_iter().collect());
    plot::dots("What a delivered message costs the server", &about, "s", &[String::new()], &rows)
}

fn memory(results: &Results) -> String {
    let kinds: Vec<_> =
        results.sockets.iter().map(|people| format!("{} sockets", number(*people as f64))).collect();
    let of = |system: &SystemResults| {
        results.sockets.iter().filter_map(|people| system.socket_kib(*people)).collect()
    };
    let about = "KiB of the server's memory for each connection that is held and silent.";
    plot::dots("What a connection takes of the server's memory", about, "KiB", &kinds, &rows(results, of))
}

fn rows(results: &Results, values: impl Fn(&SystemResults) -> Vec<f64>) -> Vec<Series> {
    let row = |system: &SystemResults| Series {
        key: system.key.clone(),
        title: system.title.clone(),
        points: values(system).into_iter().map(|value| (value, 0.0)).collect(),
    };
    results.systems.iter().map(row).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::results::tests::system;

    pub(in crate::bench) fn results() -> Results {
        let machine = Machine {
            cores: 2,
            processor: "A CPU".into(),
            memory_gib: 23.9,
            kernel: "6.1".into(),
            system: "Debian".into(),
            sync_ms: 0.15,
        };
        Results {
            machine,
            month: "November 2026".into(),
            repeats: 3,
            took_seconds: 1_100.0,
            quick: false,
            sockets: vec![1_000, 5_000],
            group: 200,
            systems: vec![system("natter", "Natter", 1.0), system("prosody", "Prosody", 20.0)],
            missing: vec![("ejabberd".into(), "it is not installed".into())],
        }
    }

    #[test]
    fn the_page_has_a_row_for_each_system_and_nothing_is_left_open() {
        let page = page(&results());
        let natter = "| **Natter** | 19.5 | 0.05 | 9 / 7 | 0.6 / 1 | 4 | 0.4 | 200 | 20,000 |";
        assert!(page.contains(natter), "{page}");
        assert!(page.contains("| Prosody | 391 | 1 | 180 / 140 |"), "{page}");
        assert!(page.contains("ejabberd is left out: it is not installed."));
        assert!(page.contains("on 2 cores (A CPU), 24 GiB of memory"));
        assert!(page.contains("median of 3 repeats") && page.contains("at 5,000 sockets is measured once"));
        assert!(page.contains("| memory at rest | 40 MiB at most | 19.5 MiB | kept |"), "{page}");
        assert!(!page.contains('@'), "{page}");
        assert!(!page.contains("mean nothing"));
    }

    #[test]
    fn a_quick_run_says_that_it_is_one_and_plots_lie_beside_the_page() {
        let folder = tempfile::tempdir().unwrap();
        write(&Results { quick: true, repeats: 1, ..results() }, folder.path()).unwrap();
        let page = fs::read_to_string(folder.path().join("BENCHMARKS.md")).unwrap();
        assert!(page.contains("mean nothing") && page.contains("median of one repeat"));
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(folder.path().join(link).exists(), "{link}");
        }
    }

    #[test]
    fn results_come_back_from_their_file() {
        let text = serde_json::to_string(&results()).unwrap();
        assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), results());
    }
}
