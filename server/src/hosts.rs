//! Which host names this server answers. An attacker can point a DNS name of theirs at our address; their page then has
//! the same origin as ours and could talk to a server in somebody's home ("DNS rebinding"). So the server answers only
//! names that nobody else can hand out, and those in the settings (RFC 9110 7.4, 15.5.20).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, header};
use protocol::{Code, Fault};

use crate::host::{Authority, Host, named};
use crate::public_origin::PublicOrigin;
use crate::refusal::Asker;

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
    /// Makes them of the public origin, if it is known, and further hosts.
    pub(crate) fn new(public: Option<PublicOrigin>, also: &[Host]) -> Self {
        Self { public, also: also.into() }
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
}
