//! Which host names this server answers. An attacker can point a DNS name of theirs at our address; their page then has
//! the same origin as ours and could talk to a server in somebody's home ("DNS rebinding"). So the server answers only
//! names that nobody else can hand out, and those in the settings (RFC 9110 7.4, 15.5.20).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Version, header};
use protocol::{Code, Fault};

use crate::config::{Config, PublicOrigin};
use crate::refusal::Asker;

/// Domains in which only the machine itself or the home network hands out names (RFC 6761, RFC 6762, RFC 8375, and what
/// ICANN reserves for private use).
const AT_HOME: [&str; 4] = [".local", ".localhost", ".internal", ".home.arpa"];

/// A host as in a URL, in lower case: a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host(String);

/// A host and an optional port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    host: Host,
    port: Option<u16>,
}

impl Host {
    fn is_address(&self) -> bool {
        self.0.starts_with('[') || self.0.parse::<Ipv4Addr>().is_ok()
    }

    /// Whether nobody else can make this name resolve to us.
    fn is_safe(&self) -> bool {
        let name = self.0.as_str();
        self.is_address() || !name.contains('.') || AT_HOME.iter().any(|end| name.ends_with(end))
    }
}

impl Authority {
    /// Returns the host without the port.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Drops the port if it is this one.
    pub(crate) fn without_port(self, own: u16) -> Self {
        Self { port: self.port.filter(|port| *port != own), ..self }
    }

    /// Whether it may appear in a policy: an IPv6 address and an underscore may not (CSP level 3, 2.3.1).
    pub(crate) fn is_for_policies(&self) -> bool {
        self.host.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
    }

    /// Returns the authority that a request names; `None` if it is HTTP/1.0 and names none.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    fn asked(version: Version, uri: Option<&str>, headers: &HeaderMap) -> Result<Option<Self>, &'static str> {
        const UNREADABLE: &str = "The request names a host that cannot be read.";
        let mut named = headers.get_all(header::HOST).iter();
        let host: Self = match (named.next(), named.next()) {
            (Some(host), None) => host.to_str().ok().and_then(|host| host.parse().ok()).ok_or(UNREADABLE)?,
            (Some(_), Some(_)) => return Err("The request names its host twice."),
            (None, _) if version >= Version::HTTP_11 => return Err("The request names no host."),
            (None, _) => return Ok(None),
        };
        match uri.map(str::parse) {
            Some(target) if target != Ok(host.clone()) => Err("The request names two hosts."),
            _ => Ok(Some(host)),
        }
    }
}

impl FromStr for Authority {
    type Err = ();

    /// Accepts only what a browser would send, without normalizing anything else.
    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.to_ascii_lowercase();
        let end = text.find(']').map_or(0, |at| at + 1);
        let colon = text[end..].find(':').map(|at| end + at);
        let (host, port) = (&text[..colon.unwrap_or(text.len())], colon.map(|at| &text[at + 1..]));
        let port = match port {
            None => None,
            Some(digits) if digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) => {
                return Err(());
            }
            Some(digits) => Some(digits.parse().map_err(drop)?),
        };
        Ok(Self { host: host.parse()?, port })
    }
}

impl FromStr for Host {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        const LONGEST: usize = 253;
        let text = text.to_ascii_lowercase();
        if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return address.parse::<Ipv6Addr>().map(|address| Self(format!("[{address}]"))).map_err(drop);
        }
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let labels = text.strip_suffix('.').unwrap_or(&text).split('.');
        if text.len() > LONGEST || !labels.into_iter().all(is_label) {
            return Err(());
        }
        Ok(Self(text))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// The host names of this server.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    public: Option<PublicOrigin>,
    also: Arc<[Host]>,
}

/// What a request to a name may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Everything.
    Ours,
    /// Check that the server is up: pages and files, as an anonymous visitor.
    Probe,
    /// Nothing.
    Strange,
}

impl Hosts {
    pub(crate) fn of(config: &Config) -> Self {
        Self { public: config.public_origin.clone(), also: config.also_hosts.clone().into() }
    }

    /// Returns where people reach the server, if known.
    pub(crate) fn public(&self) -> Option<&PublicOrigin> {
        self.public.as_ref()
    }

    /// Whether pages of this host are ours too, besides those of the public origin.
    pub(crate) fn has_pages(&self, host: &Host) -> bool {
        self.public.is_none() || self.also.contains(host)
    }

    fn standing(&self, host: Option<&Host>) -> Standing {
        let Some(host) = host else { return Standing::Probe };
        let is_public = self.public.as_ref().is_some_and(|public| public.authority().host() == host);
        match () {
            () if is_public || self.also.contains(host) => Standing::Ours,
            () if !host.is_safe() => Standing::Strange,
            () if self.public.is_some() => Standing::Probe,
            () => Standing::Ours,
        }
    }

    /// Returns the fault for a name that is not ours, or not for this request.
    fn fault(&self, standing: Standing) -> Fault {
        let place = self.public.as_ref().map(|public| format!(" Natter is at {public} here."));
        let place = place.unwrap_or_default();
        let setting = match (standing, &self.public) {
            (Standing::Strange, None) => {
                "--public-origin (NATTER_PUBLIC_ORIGIN) or --also-host (NATTER_ALSO_HOST)"
            }
            _ => "--also-host (NATTER_ALSO_HOST)",
        };
        let hint = match standing {
            Standing::Strange => {
                format!("Whoever runs this server can name further addresses with the setting {setting}.")
            }
            _ => format!(
                "Whoever runs this server: if this came through a proxy, have it pass the Host header on; otherwise \
                 name this address with the setting {setting}."
            ),
        };
        let what = "This server does not answer under this address.";
        Fault::new(Code::UnknownHost, format!("{what}{place} {hint}"))
    }
}

/// Answers under our names alone. Puts the request's [`Authority`] into its extensions.
pub(crate) async fn guard(State(hosts): State<Hosts>, mut request: Request, next: Next) -> Response {
    let asked = match named(&request) {
        Ok(asked) => asked,
        Err(wrong) => {
            let fault = Fault::new(Code::Malformed, wrong);
            return Asker::of(&request).refuse_with(StatusCode::BAD_REQUEST, fault);
        }
    };
    let standing = hosts.standing(asked.as_ref().map(Authority::host));
    let path = request.uri().path();
    let only_looks = matches!(*request.method(), Method::GET | Method::HEAD)
        && !path.starts_with("/api/")
        && path != "/ws";
    match standing {
        Standing::Ours => {
            if let Some(asked) = asked {
                request.extensions_mut().insert(asked);
            }
            next.run(request).await
        }
        Standing::Probe if only_looks => {
            request.headers_mut().remove(header::COOKIE);
            let mut response = next.run(request).await;
            response.headers_mut().remove(header::SET_COOKIE);
            response
        }
        _ => Asker::of(&request).in_a_browser().refuse(hosts.fault(standing)).into_response(),
    }
}

/// Returns the authority that a request names; an error if it cannot be read.
pub(crate) fn named(request: &Request) -> Result<Option<Authority>, &'static str> {
    let target = request.uri().authority().map(http::uri::Authority::as_str);
    Authority::asked(request.version(), target, request.headers())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(public: Option<&str>, also: &[&str], host: &str) -> Standing {
        let also = also.iter().map(|name| name.parse().unwrap()).collect();
        let hosts = Hosts { public: public.map(|origin| origin.parse().unwrap()), also };
        hosts.standing(Some(host.parse::<Authority>().unwrap().host()))
    }

    #[test]
    fn names_that_nobody_else_can_hand_out_are_always_answered() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:3000",
            "192.168.1.5",
            "[::1]:3000",
            "[fe80::1]",
            "localhost",
            "LOCALHOST:80",
            "nas",
            "natter:3001",
            "my_service",
            "nas.local",
            "a.b.local",
            "x.localhost",
            "natter.internal",
            "nas.home.arpa",
        ] {
            assert_eq!(standing(None, &[], host), Standing::Ours, "{host}");
            assert_eq!(standing(Some("https://chat.example.org"), &[], host), Standing::Probe, "{host}");
        }
    }

    #[test]
    fn other_names_are_strange_until_a_setting_names_them() {
        for host in [
            "evil.example",
            "evil.example:3000",
            "127.0.0.1.evil.example",
            "evillocal.example",
            "nas.local.evil.example",
            "home.arpa.evil.example",
            "127.1",
            "0x7f.0.0.1",
            "nas.lan",
            "localhost.",
            "nas.local.",
            "evil.",
        ] {
            assert_eq!(standing(None, &[], host), Standing::Strange, "{host}");
            assert_eq!(
                standing(Some("https://chat.example.org"), &["x.test"], host),
                Standing::Strange,
                "{host}"
            );
        }
        assert_eq!(standing(None, &["nas.lan"], "NAS.lan:3000"), Standing::Ours);
        assert_eq!(standing(Some("https://chat.example.org"), &[], "chat.example.org"), Standing::Ours);
        assert_eq!(standing(Some("https://chat.example.org:8443"), &[], "chat.example.org"), Standing::Ours);
        assert_eq!(standing(Some("https://chat.example.org"), &["127.0.0.1"], "127.0.0.1"), Standing::Ours);
        assert_eq!(
            standing(Some("https://chat.example.org"), &[], "www.chat.example.org"),
            Standing::Strange
        );
    }

    #[test]
    fn an_authority_is_read_strictly() {
        for wrong in [
            "",
            ":80",
            "a:",
            "a:0",
            "a:080",
            "a:65536",
            "a:+1",
            "a:80:80",
            "a b",
            "a,b",
            "a;b",
            "a'b",
            "a\"b",
            "a/b",
            "a@b",
            "a?b",
            "a#b",
            "*",
            "a..b",
            ".a",
            "..",
            ".",
            "[::1",
            "::1",
            "[::1]x",
            "[127.0.0.1]",
            "[::1%25eth0]",
            "ä.test",
            "a%41",
        ] {
            assert!(wrong.parse::<Authority>().is_err(), "{wrong:?}");
        }
        for (text, shown) in
            [("A.Test:8080", "a.test:8080"), ("[0:0::1]:1", "[::1]:1"), ("x_y", "x_y"), ("a.", "a.")]
        {
            assert_eq!(text.parse::<Authority>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn a_request_names_one_host_and_needs_to_since_http_1_1() {
        let asked = |version, uri: Option<&str>, hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, host.parse().unwrap());
            }
            Authority::asked(version, uri, &headers).map(|asked| asked.map(|asked| asked.to_string()))
        };
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        assert_eq!(asked(new, None, &["a.test"]), Ok(Some("a.test".into())));
        assert_eq!(asked(new, Some("A.test:80"), &["a.test:80"]), Ok(Some("a.test:80".into())));
        assert_eq!(asked(old, None, &[]), Ok(None));
        for (version, uri, hosts) in [
            (new, None, &[][..]),
            (new, None, &[""]),
            (new, None, &["a.test", "a.test"]),
            (old, None, &["a.test", "b.test"]),
            (new, Some("b.test"), &["a.test"]),
            (new, Some("a.test@b.test"), &["a.test"]),
        ] {
            assert!(asked(version, uri, hosts).is_err(), "{uri:?} {hosts:?}");
        }
    }
}
