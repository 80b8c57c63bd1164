//! Log lines, on standard error. No message text, no password and no token is ever logged.

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

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
