//! Logging to standard error, and metrics for the private listener. Neither contains message text, passwords, names or
//! tokens.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::prelude::*;

use crate::cli::LogFormat;

/// Upper bounds of histograms in seconds: from a tenth of a millisecond, a commit on a fast disk, up to what anybody
/// would notice.
const SECONDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Upper bounds of the number of units of work in one commit; the writer takes at most 256.
const BATCH: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// What is logged unless `RUST_LOG` says otherwise.
const USUAL: &str = "info,tower_sessions=error,tower_sessions_core=error,sqlx=warn";

/// Our own crates, which know what may be logged. All others log their data at debug and trace: frames, headers, rows.
const OURS: [&str; 5] = ["natter", "server", "chat", "app", "protocol"];

/// Starts logging. RUST_LOG overrides the filter, but libraries stay at info or above.
pub fn start(format: LogFormat) {
    let chosen = std::env::var("RUST_LOG").ok().filter(|chosen| !chosen.is_empty());
    let parsed = chosen.as_ref().map(EnvFilter::try_new);
    let (filter, wrong) = match parsed {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(USUAL), Some(error)),
        None => (EnvFilter::new(USUAL), None),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let all = tracing_subscriber::registry().with(filter).with(FilterFn::new(may_be_logged));
    match format {
        LogFormat::Text => all.with(lines).init(),
        LogFormat::Json => all.with(lines.json()).init(),
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, "RUST_LOG cannot be read: what is logged is the usual");
    }
}

fn may_be_logged(event: &Metadata<'_>) -> bool {
    let of = event.target().split("::").next().unwrap_or_default();
    *event.level() <= Level::INFO || OURS.contains(&of)
}

/// Installs the metrics recorder, once per process. Metric handles created earlier are not counted, so call this before
/// opening the chat. The holder of the handle must render it or call `run_upkeep` every few seconds: until then
/// histograms keep every single value.
pub(crate) fn count() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let builder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
                .and_then(|builder| {
                    builder.set_buckets_for_metric(Matcher::Full("natter_commit_batch_size".into()), &BATCH)
                });
            let handle = builder
                .expect("there are buckets")
                .install_recorder()
                .expect("nothing else in this program records metrics");
            describe();
            handle
        })
        .clone()
}

/// Describes every metric on one screen; the crates that own them count them.
fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_gauge!("natter_connections", "Open connections, sockets among them");
    describe_gauge!("natter_sockets", "Open WebSockets");
    metrics::gauge!("natter_sockets").set(0.0); // exported before the first socket opens
    describe_gauge!("natter_writer_queue_depth", "Units of work that wait for the writer");
    describe_histogram!("natter_commit_batch_size", "Units of work in one commit");
    describe_histogram!("natter_commit_seconds", Unit::Seconds, "A transaction, its sync to disk included");
    describe_histogram!(
        "natter_delivery_seconds",
        Unit::Seconds,
        "From a message handed in to its frames queued on the sockets"
    );
    describe_counter!("natter_lag_total", "Times that a slow reader's queue was let go");
    describe_counter!("natter_page_reads_total", "Pages read from the database, not from memory");
    describe_counter!("natter_logins_total", "Attempts to sign in, by outcome");
    describe_counter!("natter_database_errors_total", "Times that the database failed");
    describe_gauge!(
        "natter_takes_commits",
        "1 while messages can be stored, 0 while the disk is full or fails"
    );
    describe_gauge!("natter_takes_messages", "1, or 0 while the disk is nearly full: see --disk-floor");
    describe_counter!("natter_checkpoints_total", "Checkpoints of the write-ahead log");
}

#[cfg(test)]
mod tests {
    use tracing::subscriber::with_default;

    use super::*;

    #[test]
    fn libraries_say_no_more_than_info_whatever_is_asked_for() {
        let all = EnvFilter::new("trace,tungstenite=trace");
        let logging = tracing_subscriber::registry().with(all).with(FilterFn::new(may_be_logged));
        with_default(logging, || {
            assert!(tracing::enabled!(target: "server::ws", Level::TRACE));
            assert!(tracing::enabled!(target: "chat", Level::DEBUG));
            assert!(tracing::enabled!(target: "tungstenite::protocol", Level::INFO));
            assert!(!tracing::enabled!(target: "tungstenite::protocol", Level::TRACE));
            assert!(!tracing::enabled!(target: "hyper::proto", Level::DEBUG));
            assert!(!tracing::enabled!(target: "serverless", Level::DEBUG));
        });
    }
}
