//! The settings.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use headless::load::Check;

/// Drives a Natter server as many people at once, checks that every message arrives once and in order, and says how long
/// it took and what it cost.
///
/// Without --url it starts a server of its own. Ends with 0 when nothing was lost, doubled or out of order, with 3 when
/// something was, and with 1 when it could not measure.
#[derive(Debug, Parser)]
#[command(name = "load", version, max_term_width = 100)]
pub struct Cli {
    /// Who says something when.
    #[command(subcommand)]
    pub doing: Doing,
    /// The server, such as http://127.0.0.1:3000; it should run with --limits off.
    #[arg(long, value_name = "URL", global = true)]
    pub url: Option<String>,
    /// The process of the server at --url, when it runs on this machine: for its CPU time and memory.
    #[arg(long, value_name = "PID", global = true)]
    pub pid: Option<u32>,
    /// The binary to start when there is no --url.
    #[arg(long, value_name = "FILE", default_value = "target/release/natter", global = true)]
    pub server: PathBuf,
    /// Where accounts and logins (and the data of a server of its own) stay for the next run: getting 5,000 people
    /// signed in takes minutes. Without it they are gone afterwards.
    #[arg(long, value_name = "DIR", global = true)]
    pub folder: Option<PathBuf>,
    /// How arrivals are checked.
    #[arg(long, value_enum, default_value = "sync", global = true)]
    pub check: Check,
    /// Let everybody say that they have read what arrives, as a page in front of somebody does. (Not on the relay.)
    #[arg(long, global = true)]
    pub reads: bool,
    /// Run the same against the bare durable relay first, which is the least that it could cost.
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
    /// Draw how the times are distributed, as an SVG.
    #[arg(long, value_name = "FILE", global = true)]
    pub picture: Option<PathBuf>,
    /// Print the reports as a JSON list, with the whole distributions.
    #[arg(long, global = true)]
    pub json: bool,
}

/// Who says something when.
#[derive(Debug, Subcommand)]
pub enum Doing {
    /// Nobody: sockets are held, for the memory they take.
    Idle {
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        sockets: usize,
    },
    /// Closed loop: in each pair one says something, the other answers as soon as they hear it.
    PingPong {
        /// How many pairs.
        #[arg(long, value_name = "N", default_value_t = 50)]
        pairs: usize,
    },
    /// Open loop: so many messages a second, whatever the server does, with the gaps of independent people. Times count
    /// from when a message should have been sent.
    Rate {
        /// Messages a second; several, with commas between, are run one after the other.
        #[arg(long = "rate", value_name = "N", default_value = "1000", value_delimiter = ',')]
        rates: Vec<f64>,
        /// How many pairs they come from.
        #[arg(long, value_name = "N", default_value_t = 100)]
        pairs: usize,
    },
    /// Closed loop in large sessions: the next message when everybody has one of those under way.
    FanOut {
        /// People in each session.
        #[arg(long, value_name = "N", default_value_t = 200)]
        members: usize,
        /// How many sessions.
        #[arg(long, value_name = "N", default_value_t = 1)]
        groups: usize,
        /// Messages under way in each.
        #[arg(long, value_name = "N", default_value_t = 4)]
        depth: usize,
    },
}
