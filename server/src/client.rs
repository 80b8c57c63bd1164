//! Where a request came from: the client's address, even behind a proxy.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use app::visitor::ClientAddress;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use ipnet::IpNet;

use crate::state::AppState;

/// Puts the [`ClientAddress`] into the request's extensions.
pub(crate) async fn find(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let (address, trouble) = behind(&state.config.trusted_proxies, peer.ip(), request.headers());
        if let Some(trouble) = trouble {
            trouble.tell(peer.ip());
        }
        request.extensions_mut().insert(ClientAddress(address));
    }
    next.run(request).await
}

/// Why an address may not be the client's.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// One of our proxies sent something that is no address.
    Unreadable(String),
    /// One of our proxies sent no header.
    Missing,
    /// A nearby peer sends the header, but is not one of our proxies.
    Untrusted,
}

/// Returns the right-most hop that is not one of our proxies: the client can make up everything left of it. An
/// unreadable hop ends the search, since nothing vouches for what stands left of it.
fn behind(proxies: &[IpNet], peer: IpAddr, headers: &HeaderMap) -> (IpAddr, Option<Trouble>) {
    let is_ours = |address: &IpAddr| proxies.iter().any(|net| net.contains(address));
    let mut address = peer.to_canonical();
    let values = headers.get_all("x-forwarded-for").iter();
    let hops: Vec<&[u8]> = values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    if !is_ours(&address) {
        let in_front = !hops.is_empty() && proxies.is_empty() && is_near(address);
        return (address, in_front.then_some(Trouble::Untrusted));
    }
    if hops.is_empty() {
        return (address, Some(Trouble::Missing));
    }
    for hop in hops.into_iter().rev() {
        if !is_ours(&address) {
            break;
        }
        match std::str::from_utf8(hop).ok().and_then(read) {
            Some(hop) => address = hop,
            None => return (address, Some(Trouble::Unreadable(shown(hop)))),
        }
    }
    (address, None)
}

/// Parses an address as proxies write it: some add the client's port, with IPv6 in brackets; some use the brackets
/// without a port.
fn read(hop: &str) -> Option<IpAddr> {
    let plain = || hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    plain().or_else(with_port).or_else(in_brackets).map(|address| address.to_canonical())
}

/// Whether an address is this machine's or in a private network, as proxies' addresses are.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

/// Shortens and escapes a hop for the log.
fn shown(hop: &[u8]) -> String {
    const MOST: usize = 64;
    hop[..hop.len().min(MOST)].escape_ascii().to_string()
}

impl Trouble {
    /// Logs it: an unreadable hop at most once a minute, the rest only once, since the operator's own probes cause it
    /// too.
    fn tell(&self, peer: IpAddr) {
        static UNREADABLE: Seldom = Seldom::new(Some(Duration::from_secs(60)));
        static MISSING: Seldom = Seldom::new(None);
        static UNTRUSTED: Seldom = Seldom::new(None);
        match self {
            Self::Unreadable(value) => {
                if let Some(times) = UNREADABLE.due() {
                    tracing::warn!(
                        %peer,
                        value,
                        times,
                        "a trusted proxy's X-Forwarded-For cannot be read: all behind it share its limits"
                    );
                }
            }
            Self::Missing => {
                if MISSING.due().is_some() {
                    tracing::warn!(
                        %peer,
                        "a request of a trusted proxy has no X-Forwarded-For: unless it was a probe, all behind it \
                         share its limits"
                    );
                }
            }
            Self::Untrusted => {
                if UNTRUSTED.due().is_some() {
                    tracing::warn!(
                        %peer,
                        "X-Forwarded-For is not believed: if this is your proxy, name it with --trusted-proxy, or all \
                         behind it share its limits"
                    );
                }
            }
        }
    }
}

/// Throttles a log line.
struct Seldom {
    every: Option<Duration>,
    state: Mutex<(Option<Instant>, u32)>,
}

impl Seldom {
    /// Allows it once per interval, or only once without one.
    const fn new(every: Option<Duration>) -> Self {
        Self { every, state: Mutex::new((None, 0)) }
    }

    /// Returns how often the event happened since it was last logged, if it is due now.
    fn due(&self) -> Option<u32> {
        let mut state = self.state.lock().expect("nothing panics under this lock");
        let (said, times) = &mut *state;
        *times = times.saturating_add(1);
        let is_due = said.is_none_or(|said| self.every.is_some_and(|every| said.elapsed() >= every));
        is_due.then(|| {
            *said = Some(Instant::now());
            std::mem::take(times)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let proxies: Vec<IpNet> = proxies.iter().map(|net| net.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        behind(&proxies, peer.parse().unwrap(), &headers).0.to_string()
    }

    fn trouble(proxies: &[&str], peer: &str, forwarded: &[&[u8]]) -> Option<Trouble> {
        let proxies: Vec<IpNet> = proxies.iter().map(|net| net.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", http::HeaderValue::from_bytes(value).unwrap());
        }
        behind(&proxies, peer.parse().unwrap(), &headers).1
    }

    /// Azure's Application Gateway and IIS add the client's port.
    #[test]
    fn a_proxy_may_write_the_port_along_and_ipv6_in_brackets() {
        for (written, meant) in [
            ("203.0.113.17:51234", "203.0.113.17"),
            ("[2001:db8::7]:51234", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[::ffff:203.0.113.17]:1", "203.0.113.17"),
            ("1.1.1.1:1, 203.0.113.17:51234", "203.0.113.17"),
        ] {
            assert_eq!(client(&["127.0.0.1/32"], "127.0.0.1", &[written]), meant, "{written}");
            assert_eq!(trouble(&["127.0.0.1/32"], "127.0.0.1", &[written.as_bytes()]), None, "{written}");
        }
        let own = ["127.0.0.1/32", "10.0.0.0/8"];
        assert_eq!(client(&own, "127.0.0.1", &["203.0.113.7:5, 10.0.0.2:443"]), "203.0.113.7");
    }

    #[test]
    fn what_cannot_be_read_is_told_and_nothing_left_of_it_is_believed() {
        let own = ["127.0.0.1/32"];
        for value in ["unknown", "_hidden", "", "203.0.113.7:port", "[203.0.113.7]", "203.0.113.7 "] {
            let told = trouble(&own, "127.0.0.1", &[format!("1.1.1.1,{value}").as_bytes()]);
            match value.trim() {
                "203.0.113.7" => assert_eq!(told, None),
                value => assert_eq!(told, Some(Trouble::Unreadable(value.to_owned()))),
            }
        }
        let unreadable = trouble(&own, "127.0.0.1", &[b"1.1.1.1", b"\xff\xfe"]);
        assert_eq!(unreadable, Some(Trouble::Unreadable("\\xff\\xfe".into())), "not the header before it");
        assert_eq!(trouble(&own, "127.0.0.1", &[]), Some(Trouble::Missing));
        assert_eq!(trouble(&[], "127.0.0.1", &[b"203.0.113.7"]), Some(Trouble::Untrusted));
        assert_eq!(trouble(&[], "10.1.2.3", &[b"203.0.113.7"]), Some(Trouble::Untrusted));
        assert_eq!(
            trouble(&[], "203.0.113.9", &[b"203.0.113.7"]),
            None,
            "a stranger may write what they like"
        );
        assert_eq!(trouble(&[], "127.0.0.1", &[]), None);
    }

    #[test]
    fn what_is_said_seldom_says_how_often_it_was_so() {
        let (once, always) = (Seldom::new(None), Seldom::new(Some(Duration::ZERO)));
        assert_eq!([once.due(), once.due(), once.due()], [Some(1), None, None]);
        assert_eq!([always.due(), always.due()], [Some(1), Some(1)]);
    }

    #[test]
    fn only_our_proxies_are_believed() {
        assert_eq!(client(&[], "127.0.0.1", &["203.0.113.7"]), "127.0.0.1", "no proxy is trusted by default");
        let own = ["127.0.0.1/32"];
        assert_eq!(client(&own, "203.0.113.9", &["203.0.113.7"]), "203.0.113.9", "a stranger's header");
        assert_eq!(client(&own, "127.0.0.1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(client(&own, "::ffff:127.0.0.1", &["203.0.113.7"]), "203.0.113.7", "IPv4 in IPv6");
    }

    #[test]
    fn the_right_most_hop_that_is_not_ours_counts() {
        let own = ["127.0.0.1/32", "10.0.0.0/8"];
        assert_eq!(client(&own, "127.0.0.1", &["1.1.1.1, 203.0.113.7, 10.0.0.2"]), "203.0.113.7");
        assert_eq!(client(&own, "127.0.0.1", &["1.1.1.1", "203.0.113.7"]), "203.0.113.7", "two headers");
        assert_eq!(
            client(&own, "127.0.0.1", &["203.0.113.7, nonsense"]),
            "127.0.0.1",
            "stop at what is no address"
        );
    }
}
