//! Log lines, on standard error, and metrics, for the private listener. No message text, no password, no name and no
//! token is in either.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// Upper bounds of what is measured in seconds: from a tenth of a millisecond, a commit on a fast disk, up to where
/// anybody would have noticed.
const SECONDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Upper bounds of the number of units of work in one commit; the writer takes at most 256.
const BATCH: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Starts logging; RUST_LOG overrides what is logged.
pub fn start(format: LogFormat) {
    let default = "info,tower_sessions=error,tower_sessions_core=error,sqlx=warn";
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// Starts counting, for this whole process and once. What took its handles before is not counted, so this comes
/// before the chat is opened. Whoever holds the handle has to render it, or to call `run_upkeep`, every few seconds:
/// until then histograms keep every single value.
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

/// What each metric means. Its crate counts it; here all of them are on one screen.
fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_gauge!("natter_connections", "Open connections, sockets among them");
    describe_gauge!("natter_sockets", "Open WebSockets");
    metrics::gauge!("natter_sockets").set(0.0); // told before the first one comes
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
    describe_counter!("natter_checkpoints_total", "Checkpoints of the write-ahead log");
}
