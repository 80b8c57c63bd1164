//! A host as in a URL, and the one that a request names.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use axum::extract::Request;
use http::{HeaderMap, Version, header};

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
    pub(crate) fn is_safe(&self) -> bool {
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

/// Returns the authority that a request names; an error if it cannot be read.
pub(crate) fn named(request: &Request) -> Result<Option<Authority>, &'static str> {
    let target = request.uri().authority().map(http::uri::Authority::as_str);
    Authority::asked(request.version(), target, request.headers())
}

#[cfg(test)]
mod tests {
    use super::*;

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
