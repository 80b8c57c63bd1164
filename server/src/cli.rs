//! The settings, as flags and environment variables.

#![expect(rustdoc::bare_urls, reason = "the comments are what `--help` prints")]

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

use crate::config::{Config, Limits};
use crate::host::Host;
use crate::public_origin::PublicOrigin;

/// A private chat that anyone can host.
///
/// Started without arguments it serves http://127.0.0.1:3000 and keeps everything in ./data.
#[derive(Debug, Parser)]
#[command(name = "natter", version, max_term_width = 100)]
pub struct Cli {
    /// What to do; without a command, serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: Serve,
    /// How log lines look on standard error; RUST_LOG chooses what is logged.
    #[arg(long, env = "NATTER_LOG_FORMAT", value_enum, default_value = "text", global = true)]
    pub log_format: LogFormat,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set a new password for somebody who lost theirs, and end all their logins. Reads it from standard input.
    Password {
        /// The user's name.
        name: String,
    },
    /// Write everything into one new file, also while a server runs.
    Backup {
        /// The file to make.
        file: PathBuf,
    },
    /// Put a backup in the place of the database, which is kept beside it. No server may be running on the folder.
    Restore {
        /// A file that `natter backup` made.
        file: PathBuf,
    },
}

/// How to serve.
#[derive(Debug, Args)]
pub struct Serve {
    /// Address and port to listen on.
    #[arg(long, env = "NATTER_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// Address and port to tell how the server is on: /healthz, /readyz and /metrics. Not for the public.
    #[arg(long, env = "NATTER_PRIVATE_LISTEN", value_name = "ADDRESS:PORT")]
    pub private_listen: Option<SocketAddr>,
    /// Folder that holds everything; made when missing.
    #[arg(long, env = "NATTER_DATA", value_name = "DIR", default_value = "data", global = true)]
    pub data: PathBuf,
    /// Where people reach this server, such as https://chat.example.org. With https, cookies are Secure.
    /// Without it, pages may talk to the server under the very name they came from.
    /// With it, other addresses serve pages and files only, to see whether the server is there.
    #[arg(long, env = "NATTER_PUBLIC_ORIGIN", value_name = "URL")]
    pub public_origin: Option<PublicOrigin>,
    /// Further name or address that people reach this server under, such as nas.lan. Addresses, names without a dot
    /// and those of a home network (.local, .internal, .home.arpa) need none while there is no public origin.
    /// May be given several times, or as a list with commas.
    #[arg(long = "also-host", env = "NATTER_ALSO_HOST", value_name = "NAME", value_delimiter = ',', value_parser = host)]
    pub also_hosts: Vec<Host>,
    /// Whether browsers are to use https for all names below the public origin's, too.
    #[arg(long, env = "NATTER_HSTS_SUBDOMAINS", value_enum, default_value = "off")]
    pub hsts_subdomains: Switch,
    /// Network of a proxy in front of this server, such as 127.0.0.1/32: its X-Forwarded-For is believed.
    /// May be given several times, or as a list with commas.
    #[arg(long = "trusted-proxy", env = "NATTER_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxies: Vec<IpNet>,
    /// Whether people may register themselves.
    #[arg(long, env = "NATTER_REGISTRATION", value_enum, default_value = "open")]
    pub registration: Registration,
    /// Where the source of this program can be read: /about links to it.
    #[arg(long, env = "NATTER_SOURCE_URL", value_name = "URL", value_parser = web_address)]
    pub source_url: Option<String>,
    /// Whether floods, guesses and too many invitations are held back. Off is for load tests only.
    #[arg(long, env = "NATTER_LIMITS", value_enum, default_value = "on")]
    pub limits: Switch,
    /// Logins a minute from one address.
    #[arg(long, env = "NATTER_LOGINS_PER_MINUTE", value_name = "N", default_value_t = Limits::default().logins_per_minute, value_parser = at_least_one())]
    pub logins_per_minute: u32,
    /// Registrations a minute from one address.
    #[arg(long, env = "NATTER_REGISTRATIONS_PER_MINUTE", value_name = "N", default_value_t = Limits::default().registrations_per_minute, value_parser = at_least_one())]
    pub registrations_per_minute: u32,
    /// Accounts made in a day from one network: a /24 of IPv4, a /48 of IPv6.
    #[arg(long, env = "NATTER_REGISTRATIONS_PER_DAY", value_name = "N", default_value_t = Limits::default().registrations_per_day, value_parser = at_least_one())]
    pub registrations_per_day: u32,
    /// Connections at a time; without it, as many as the limit of open files allows.
    #[arg(long, env = "NATTER_CONNECTIONS", value_name = "N", value_parser = at_least_one())]
    pub connections: Option<u32>,
    /// Connections at a time from one address. Behind a trusted proxy: requests and sockets.
    #[arg(long, env = "NATTER_CONNECTIONS_PER_ADDRESS", value_name = "N", default_value_t = Limits::default().connections_per_address, value_parser = at_least_one())]
    pub connections_per_address: u32,
    /// Sockets at a time of one user: each open page is one.
    #[arg(long, env = "NATTER_SOCKETS_PER_USER", value_name = "N", default_value_t = Limits::default().sockets_per_user, value_parser = at_least_one())]
    pub sockets_per_user: u32,
    /// Logins at a time of one user: beyond that, the one that was used last the longest ago ends. Holds with `--limits off`
    /// too.
    #[arg(long, env = "NATTER_LOGINS_PER_USER", value_name = "N", default_value_t = 50, value_parser = at_least_one())]
    pub logins_per_user: u32,
    /// Messages a second from one user, once a burst is used up.
    #[arg(long, env = "NATTER_MESSAGES_PER_SECOND", value_name = "N", default_value_t = Limits::default().messages_per_second, value_parser = at_least_one())]
    pub messages_per_second: u32,
    /// Messages that one user may send at once.
    #[arg(long, env = "NATTER_MESSAGE_BURST", value_name = "N", default_value_t = Limits::default().message_burst, value_parser = at_least_one())]
    pub message_burst: u32,
    /// KiB a second that one user may read of what is stored, once a burst is used up.
    #[arg(long, env = "NATTER_READ_KIB_PER_SECOND", value_name = "N", default_value_t = Limits::default().read_kib_per_second, value_parser = at_least_one())]
    pub read_kib_per_second: u32,
    /// KiB that one user may read at once.
    #[arg(long, env = "NATTER_READ_BURST_KIB", value_name = "N", default_value_t = Limits::default().read_burst_kib, value_parser = at_least_one())]
    pub read_burst_kib: u32,
    /// KiB of answers on their way to one user at a time; the next one waits.
    #[arg(long, env = "NATTER_ANSWERS_KIB_PER_USER", value_name = "N", default_value_t = Limits::default().answers_kib_per_user, value_parser = at_least_one())]
    pub answers_kib_per_user: u32,
    /// KiB of answers on their way to one address at a time.
    #[arg(long, env = "NATTER_ANSWERS_KIB_PER_ADDRESS", value_name = "N", default_value_t = Limits::default().answers_kib_per_address, value_parser = at_least_one())]
    pub answers_kib_per_address: u32,
    /// Conversations that one user may have.
    #[arg(long, env = "NATTER_CONVERSATIONS_PER_USER", value_name = "N", default_value_t = Limits::default().conversations_per_user, value_parser = at_least_one())]
    pub conversations_per_user: u32,
    /// KiB of text a second from one user, once a burst is used up.
    #[arg(long, env = "NATTER_TEXT_PER_SECOND", value_name = "KIB", default_value_t = Limits::default().text_per_second, value_parser = kib())]
    pub text_per_second: u32,
    /// KiB of text that one user may send at once; the longest message has 16.
    #[arg(long, env = "NATTER_TEXT_BURST", value_name = "KIB", default_value_t = Limits::default().text_burst, value_parser = kib())]
    pub text_burst: u32,
    /// MiB of text from one user in 24 hours.
    #[arg(long, env = "NATTER_TEXT_PER_DAY", value_name = "MIB", default_value_t = Limits::default().text_per_day, value_parser = at_least_one())]
    pub text_per_day: u32,
    /// MiB of free disk (or a twentieth of a smaller disk), below which no new messages are taken; 0 for no such floor.
    #[arg(long, env = "NATTER_DISK_FLOOR", value_name = "MIB", default_value_t = Limits::default().disk_floor)]
    pub disk_floor: u32,
}

fn host(text: &str) -> Result<Host, &'static str> {
    text.parse().map_err(|()| "write the name alone, such as nas.lan, without a scheme and a port")
}

fn web_address(text: &str) -> Result<String, &'static str> {
    let is_one =
        ["https://", "http://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    is_one.then(|| text.to_owned()).ok_or("write it as https://example.org/natter")
}

/// Returns the variables that look like settings of this program but are none: misspelt, or of another version.
#[must_use]
pub fn unknown_variables(names: impl IntoIterator<Item = std::ffi::OsString>) -> Vec<String> {
    let command = <Cli as clap::CommandFactory>::command();
    let known: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_env).collect();
    let ours = names.into_iter().filter(|name| !known.contains(&name.as_os_str()));
    let ours = ours.map(|name| name.to_string_lossy().into_owned());
    ours.filter(|name| name.starts_with("NATTER_")).collect()
}

/// A limit of zero would allow nothing at all.
fn at_least_one() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

/// As many KiB as fit into a `u32` in bytes.
fn kib() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..i64::from(u32::MAX >> 10))
}

/// Whether people may register themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Registration {
    /// Everybody may.
    Open,
    /// Nobody may.
    Closed,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// Turns an IPv4-mapped IPv6 network into the IPv4 network it means, since addresses are compared in that form.
fn canonical(net: IpNet) -> IpNet {
    match (net.addr().to_canonical(), net.prefix_len().checked_sub(96)) {
        (v4 @ IpAddr::V4(_), Some(bits)) if net.addr().is_ipv6() => IpNet::new(v4, bits).unwrap_or(net),
        _ => net,
    }
}

impl From<Serve> for Config {
    fn from(serve: Serve) -> Self {
        let limits = Limits {
            logins_per_minute: serve.logins_per_minute,
            registrations_per_minute: serve.registrations_per_minute,
            registrations_per_day: serve.registrations_per_day,
            connections_per_address: serve.connections_per_address,
            sockets_per_user: serve.sockets_per_user,
            messages_per_second: serve.messages_per_second,
            message_burst: serve.message_burst,
            read_kib_per_second: serve.read_kib_per_second,
            read_burst_kib: serve.read_burst_kib,
            answers_kib_per_user: serve.answers_kib_per_user,
            answers_kib_per_address: serve.answers_kib_per_address,
            conversations_per_user: serve.conversations_per_user,
            text_per_second: serve.text_per_second,
            text_burst: serve.text_burst,
            text_per_day: serve.text_per_day,
            disk_floor: serve.disk_floor,
        };
        Config {
            private_listen: serve.private_listen,
            public_origin: serve.public_origin,
            also_hosts: serve.also_hosts,
            hsts_subdomains: serve.hsts_subdomains == Switch::On,
            trusted_proxies: serve.trusted_proxies.into_iter().map(canonical).collect(),
            open_registration: serve.registration == Registration::Open,
            source_url: serve.source_url,
            limits: (serve.limits == Switch::On).then_some(limits),
            logins_per_user: serve.logins_per_user,
            connections: serve.connections.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
            ..Config::new(serve.data)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_no_setting_is_named() {
        let names =
            ["NATTER_LISTN", "NATTER_LISTEN", "NATTER_REGISTRATIONS_PER_DAY", "PATH", "NATTER_LOG_FORMAT"];
        assert_eq!(unknown_variables(names.map(Into::into)), ["NATTER_LISTN"]);
    }

    #[test]
    fn a_proxy_may_be_written_as_ipv4_in_ipv6() {
        let canonical = |text: &str| canonical(text.parse().unwrap()).to_string();
        assert_eq!(canonical("::ffff:10.0.0.0/104"), "10.0.0.0/8");
        assert_eq!(canonical("10.0.0.0/8"), "10.0.0.0/8");
        assert_eq!(canonical("2001:db8::/32"), "2001:db8::/32");
        assert_eq!(canonical("::/0"), "::/0");
    }
}
