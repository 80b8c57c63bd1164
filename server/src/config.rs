//! What [`crate::serve`] needs to know.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use chat::{Pace, UnderWay};
use ipnet::IpNet;

use crate::host::{Authority, Host};

/// How to serve. [`Config::new`] gives the defaults.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder that holds everything.
    pub data: PathBuf,
    /// The folder with the page's files, if not those that the build left: in the program, or in a debug build on disk.
    pub site: Option<PathBuf>,
    /// Where the server tells how it is; nowhere by default.
    pub private_listen: Option<SocketAddr>,
    /// Where people reach this server, if it is known.
    pub public_origin: Option<PublicOrigin>,
    /// Further names and addresses under which this server is everything that it is under its public origin.
    pub also_hosts: Vec<Host>,
    /// Whether browsers are to use https for all names below the public origin's, too.
    pub hsts_subdomains: bool,
    /// Networks of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether people may register themselves.
    pub open_registration: bool,
    /// What holds floods back; `None` is for load tests.
    pub limits: Option<Limits>,
    /// Logins of one user: beyond that, the one that was used last the longest ago goes. Nobody is refused anything by it, so
    /// it holds without limits too.
    pub logins_per_user: u32,
    /// Most connections at a time; `None` for as many as there are file descriptors for.
    pub connections: Option<usize>,
    /// A connection that has not sent a whole request head by then is closed; so is a socket without a `Hello`.
    pub patience: Duration,
    /// A request's body has to be here within this time.
    pub body_patience: Duration,
    /// A client that takes nothing of its answer for this long is let go.
    pub answer_patience: Duration,
    /// How often a socket is told where its sessions stand; it ends when it answers twice in a row not.
    pub heartbeat: Duration,
    /// A socket that takes nothing for this long, or gives no `Hello` after it lagged, is closed.
    pub stall: Duration,
    /// Over how long sockets are asked to come back when the server stops.
    pub drain_window: Duration,
}

impl Config {
    /// The defaults, on this data folder.
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

/// How much is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From one address.
    pub logins_per_minute: u32,
    /// From one address.
    pub registrations_per_minute: u32,
    /// Accounts made from one network: a /24 of IPv4, a /48 of IPv6.
    pub registrations_per_day: u32,
    /// From one address at a time. Behind a trusted proxy: requests under way and sockets.
    pub connections_per_address: u32,
    /// Of one user at a time.
    pub sockets_per_user: u32,
    /// From one user, once the burst is used up.
    pub messages_per_second: u32,
    /// From one user.
    pub message_burst: u32,
    /// What one user may read, once the burst is used up.
    pub read_kib_per_second: u32,
    /// What one user may read at once.
    pub read_burst_kib: u32,
    /// What may be on its way to one user at a time.
    pub answers_kib_per_user: u32,
    /// What may be on its way to one address at a time.
    pub answers_kib_per_address: u32,
    /// Of one user.
    pub conversations_per_user: u32,
    /// KiB of text from one user, once the burst is used up.
    pub text_per_second: u32,
    /// KiB of text from one user.
    pub text_burst: u32,
    /// MiB of text from one user in 24 hours.
    pub text_per_day: u32,
    /// MiB of free disk, below which no new messages are taken; 0 for none.
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
    /// How much one user may read.
    pub(crate) fn reading_pace(&self) -> Pace {
        Pace { per_second: kib(self.read_kib_per_second), burst: kib(self.read_burst_kib) }
    }

    /// What may be on its way.
    pub(crate) fn under_way(&self) -> UnderWay {
        UnderWay { user: kib(self.answers_kib_per_user), address: kib(self.answers_kib_per_address) }
    }
}

/// In bytes.
fn kib(kib: u32) -> u32 {
    kib.saturating_mul(1_024)
}

/// Where people reach the server: a scheme and an authority, and nothing more (RFC 6454 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicOrigin {
    secure: bool,
    authority: Authority,
}

impl PublicOrigin {
    /// Whether it is https.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether an `Origin` header names this origin. Browsers write hosts in lower case and leave out the
    /// scheme's own port.
    #[must_use]
    pub fn is(&self, origin: &str) -> bool {
        Self::parse(origin).is_some_and(|origin| origin == *self)
    }

    /// A scheme and an authority, and nothing more.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let secure = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        Some(Self::of(secure, authority.parse().ok()?))
    }

    /// The origin of this scheme at this authority, whose own port goes without saying.
    pub(crate) fn of(secure: bool, authority: Authority) -> Self {
        Self { secure, authority: authority.without_port(if secure { 443 } else { 80 }) }
    }
}

impl FromStr for PublicOrigin {
    type Err = &'static str;

    /// As a person writes it: browsers show a slash at the end.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text.strip_suffix('/').unwrap_or(text))
            .ok_or("write it as https://chat.example.org, with nothing after the host and port")
    }
}

impl fmt::Display for PublicOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_an_authority() {
        let origin: PublicOrigin = "https://Chat.example.org/".parse().unwrap();
        assert!(origin.is("https://chat.example.org"));
        assert!(origin.is("https://chat.example.org:443"));
        for other in [
            "http://chat.example.org",
            "https://chat.example.org:8443",
            "https://chat.example.org.evil.test",
            "https://evil.test/chat.example.org",
            "https://chat.example.org@evil.test",
            "https://sub.chat.example.org",
            "https://chat.example.org/",
            "https://chat.example.org#",
            "https://chat.example.org#x",
            "https://chat.example.org?",
            "https://chat.example.org:",
            "https://chat.example.org:0443",
            "https://chat.example.org ",
            "null",
            "",
        ] {
            assert!(!origin.is(other), "{other}");
        }
        for wrong in [
            "chat.example.org",
            "ftp://chat.example.org",
            "https://",
            "https://a.test/path",
            "https://a.test//",
            "https://a.test#x",
            "https://a.test/#x",
            "https://a.test?",
            "https://a.test:99999",
            "https://u@a.test",
            "https://*.a.test",
        ] {
            assert!(wrong.parse::<PublicOrigin>().is_err(), "{wrong}");
        }
    }
}
