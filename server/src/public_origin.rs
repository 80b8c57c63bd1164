//! Where people reach the server.

use std::fmt;
use std::str::FromStr;

use crate::host::Authority;

/// Where people reach the server: a scheme and an authority, nothing more (RFC 6454 4).
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

    /// Returns host and port.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether an `Origin` header names this origin. Browsers write hosts in lower case and omit the scheme's default
    /// port.
    #[must_use]
    pub fn is(&self, origin: &str) -> bool {
        Self::parse(origin).is_some_and(|origin| origin == *self)
    }

    /// Parses a scheme and an authority, nothing more.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let secure = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        Some(Self::of(secure, authority.parse().ok()?))
    }

    /// Builds an origin; drops the port if it is the scheme's default.
    pub(crate) fn of(secure: bool, authority: Authority) -> Self {
        Self { secure, authority: authority.without_port(if secure { 443 } else { 80 }) }
    }
}

impl FromStr for PublicOrigin {
    type Err = &'static str;

    /// Accepts what a person would paste: browsers show a trailing slash.
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
