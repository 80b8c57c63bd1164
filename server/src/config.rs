//! The settings of [`crate::serve`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chat::{Pace, UnderWay};
use ipnet::IpNet;

use crate::host::Host;
use crate::public_origin::PublicOrigin;

/// How to serve. [`Config::new`] gives the defaults.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder that holds everything.
    pub data: PathBuf,
    /// The folder with the page's files, instead of those of the build: inside the binary, or on disk in a debug build.
    pub site: Option<PathBuf>,
    /// Where the server serves health and metrics; nowhere by default.
    pub private_listen: Option<SocketAddr>,
    /// Where people reach this server, if known.
    pub public_origin: Option<PublicOrigin>,
    /// Further names and addresses that get everything the public origin gets.
    pub also_hosts: Vec<Host>,
    /// Whether browsers must also use https for all subdomains of the public origin.
    pub hsts_subdomains: bool,
    /// Networks of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether people may register themselves.
    pub open_registration: bool,
    /// Where the source of this program can be read, for `/about`.
    pub source_url: Option<String>,
    /// Rate limits and quotas; `None` is for load tests.
    pub limits: Option<Limits>,
    /// Logins per user; beyond that, the least recently used one ends. It refuses nobody anything, so it applies even
    /// without limits.
    pub logins_per_user: u32,
    /// Most concurrent connections; `None` for as many as there are file descriptors.
    pub connections: Option<usize>,
    /// How long a connection may take to send a whole request head, and a socket to send its `Hello`.
    pub patience: Duration,
    /// How long a request's body may take to arrive.
    pub body_patience: Duration,
    /// A client that reads nothing of its response for this long is disconnected.
    pub answer_patience: Duration,
    /// How often a socket is sent the heads of its sessions; it is closed after two in a row without an answer.
    pub heartbeat: Duration,
    /// A socket is closed if it reads nothing for this long, or sends no `Hello` for this long after it lagged.
    pub stall: Duration,
    /// The time over which reconnects are spread when the server stops.
    pub drain_window: Duration,
}

impl Config {
    /// Returns the defaults, with this data folder.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            site: None,
            private_listen: None,
            public_origin: None,
            also_hosts: Vec::new(),
            hsts_subdomains: false,
            trusted_proxies: Vec::new(),
            open_registration: true,
            source_url: None,
            limits: Some(Limits::default()),
            logins_per_user: 50,
            connections: None,
            patience: Duration::from_secs(5),
            body_patience: Duration::from_secs(15),
            answer_patience: Duration::from_secs(15),
            heartbeat: Duration::from_secs(15),
            stall: Duration::from_secs(15),
            drain_window: Duration::from_secs(4),
        }
    }
}

/// Rate limits and quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From one address.
    pub logins_per_minute: u32,
    /// From one address.
    pub registrations_per_minute: u32,
    /// Accounts created from one network: a /24 of IPv4, a /48 of IPv6.
    pub registrations_per_day: u32,
    /// From one address at a time. Behind a trusted proxy: requests in progress and sockets.
    pub connections_per_address: u32,
    /// Of one user at a time.
    pub sockets_per_user: u32,
    /// From one user, once the burst is used up.
    pub messages_per_second: u32,
    /// From one user.
    pub message_burst: u32,
    /// What one user may read, once the burst is used up.
    pub read_kib_per_second: u32,
    /// What one user may read in one burst.
    pub read_burst_kib: u32,
    /// Answers in flight to one user at a time.
    pub answers_kib_per_user: u32,
    /// Answers in flight to one address at a time.
    pub answers_kib_per_address: u32,
    /// Of one user.
    pub conversations_per_user: u32,
    /// KiB of text from one user, once the burst is used up.
    pub text_per_second: u32,
    /// KiB of text from one user in one burst.
    pub text_burst: u32,
    /// MiB of text from one user in 24 hours.
    pub text_per_day: u32,
    /// MiB of free disk below which new messages are refused; 0 for no such floor.
    pub disk_floor: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            logins_per_minute: 60,
            registrations_per_minute: 20,
            registrations_per_day: 50,
            connections_per_address: 64,
            sockets_per_user: 20,
            messages_per_second: 30,
            message_burst: 300,
            read_kib_per_second: 1_536,
            read_burst_kib: 16 * 1_024,
            answers_kib_per_user: 4 * 1_024,
            answers_kib_per_address: 16 * 1_024,
            conversations_per_user: 5_000,
            text_per_second: 64,
            text_burst: 2 * 1024,
            text_per_day: 256,
            disk_floor: 512,
        }
    }
}

impl Limits {
    /// Returns the rate at which one user may read.
    pub(crate) fn reading_pace(&self) -> Pace {
        Pace { per_second: kib(self.read_kib_per_second), burst: kib(self.read_burst_kib) }
    }

    /// Returns the limits of what may be in flight.
    pub(crate) fn under_way(&self) -> UnderWay {
        UnderWay { user: kib(self.answers_kib_per_user), address: kib(self.answers_kib_per_address) }
    }
}

/// Converts KiB to bytes.
fn kib(kib: u32) -> u32 {
    kib.saturating_mul(1_024)
}
