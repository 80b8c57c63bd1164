//! The settings.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use trials::load::Check;

/// Drives a Natter server as many concurrent people, checks that every message arrives once and in order, and reports
/// how long it took and what it cost.
///
/// Without --url it starts its own server. Exits with 0 when nothing was lost, doubled or out of order, with 3 when
/// something was, and with 1 when it could not measure.
#[derive(Debug, Parser)]
#[command(name = "load", version, max_term_width = 100)]
pub struct Cli {
    /// Who sends when.
    #[command(subcommand)]
    pub doing: Doing,
    /// The server, such as http://127.0.0.1:3000; it should run with --limits off.
    #[arg(long, value_name = "URL", global = true)]
    pub url: Option<String>,
    /// The server's process, when --url is on this machine: for its CPU time and memory.
    #[arg(long, value_name = "PID", global = true)]
    pub pid: Option<u32>,
    /// The binary to start without --url.
    #[arg(long, value_name = "FILE", default_value = "target/release/natter", global = true)]
    pub server: PathBuf,
    /// Where to keep accounts and logins (and the data of its own server) for the next run: signing in 5,000 people
    /// takes minutes. Without it they are gone afterwards.
    #[arg(long, value_name = "DIR", global = true)]
    pub folder: Option<PathBuf>,
    /// How to check arriving messages.
    #[arg(long, value_enum, default_value = "sync", global = true)]
    pub check: Check,
    /// Let everybody report what arrives as read, as a visible page does. (Not on the relay.)
    #[arg(long, global = true)]
    pub reads: bool,
    /// Run the same against the bare durable relay first: the least that it could cost.
    #[arg(long, global = true)]
    pub floor: bool,
    /// Each message's length in bytes.
    #[arg(long, value_name = "N", default_value_t = 140, global = true)]
    pub bytes: usize,
    /// Seconds of sending whose times do not count.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, global = true)]
    pub warm_up: f64,
    /// Seconds of sending whose times count.
    #[arg(long, value_name = "SECONDS", default_value_t = 20.0, global = true)]
    pub seconds: f64,
    /// Draw the distribution of the times, as an SVG.
    #[arg(long, value_name = "FILE", global = true)]
    pub picture: Option<PathBuf>,
    /// Print the reports as a JSON list, with the whole distributions.
    #[arg(long, global = true)]
    pub json: bool,
}

/// Who sends when.
#[derive(Debug, Subcommand)]
pub enum Doing {
    /// Nobody: the sockets just stay open, for the memory they take.
    Idle {
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        sockets: usize,
    },
    /// Closed loop: in each pair one person sends, the other answers on receipt.
    PingPong {
        /// How many pairs.
        #[arg(long, value_name = "N", default_value_t = 50)]
        pairs: usize,
    },
    /// Open loop: a fixed rate of messages, however the server copes, with the gaps of independent people. Times count
    /// from when a message should have been sent.
    Rate {
        /// Messages a second; several, separated by commas, run one after another.
        #[arg(long = "rate", value_name = "N", default_value = "1000", value_delimiter = ',')]
        rates: Vec<f64>,
        /// How many pairs they come from.
        #[arg(long, value_name = "N", default_value_t = 100)]
        pairs: usize,
    },
    /// Closed loop in large sessions: the next message when everybody has received one of those in flight.
    FanOut {
        /// People in each session.
        #[arg(long, value_name = "N", default_value_t = 200)]
        members: usize,
        /// How many sessions.
        #[arg(long, value_name = "N", default_value_t = 1)]
        groups: usize,
        /// Messages in flight in each.
        #[arg(long, value_name = "N", default_value_t = 4)]
        depth: usize,
    },
}
