//! Who may make a browser send us something: only our own pages.
//!
//! An origin is ours when it equals the public origin or, where none is set, when its authority equals `Host`.
//! A request with neither `Origin` nor `Sec-Fetch-Site` comes from no browser and passes. (OWASP, Cross-Site
//! Request Forgery Prevention: Fetch Metadata with Origin as the fallback; ASVS 5.0, 3.5 and 4.4.2.)

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, header};
use protocol::{Code, Fault};

use crate::config::PublicOrigin;
use crate::router::refusal;
use crate::state::AppState;

/// Refuses every request that changes something, and every socket, that a foreign page sent.
pub(crate) async fn guard(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD) && request.uri().path() != "/ws";
    if is_safe || is_ours(state.config.public_origin.as_ref(), request.headers()) {
        return next.run(request).await;
    }
    refusal(Fault::of(Code::ForeignOrigin)).into_response()
}

fn is_ours(public: Option<&PublicOrigin>, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    if headers.get_all(header::ORIGIN).iter().count() > 1 {
        return false;
    }
    match (text(header::ORIGIN.as_str()), text("sec-fetch-site")) {
        (Some(origin), _) => match public {
            Some(public) => public.is(origin),
            None => match (origin.parse::<PublicOrigin>(), text(header::HOST.as_str())) {
                (Ok(origin), Some(host)) => same_authority(&origin, host),
                _ => false,
            },
        },
        (None, Some(site)) => matches!(site, "same-origin" | "none"),
        (None, None) => true,
    }
}

/// `Host` tells no scheme; without one its port may be left out for either.
fn same_authority(origin: &PublicOrigin, host: &str) -> bool {
    let scheme = if origin.is_secure() { "https" } else { "http" };
    origin.is(&format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(public: Option<&str>, headers: &[(&str, &str)]) -> bool {
        let public = public.map(|text| text.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        is_ours(public.as_ref(), &map)
    }

    #[test]
    fn without_a_public_origin_the_host_decides() {
        let host = ("host", "chat.test:3000");
        assert!(passes(None, &[host, ("origin", "http://chat.test:3000")]));
        assert!(passes(None, &[host, ("origin", "https://chat.test:3000")]));
        for foreign in
            ["http://chat.test", "http://evil.test", "null", "", "http://chat.test:3000.evil.test", "file://"]
        {
            assert!(!passes(None, &[host, ("origin", foreign)]), "{foreign}");
        }
        assert!(!passes(None, &[host, ("origin", "http://chat.test:3000"), ("origin", "http://evil.test")]));
        assert!(!passes(None, &[("origin", "http://chat.test:3000")]), "no Host");
    }

    #[test]
    fn a_public_origin_decides_alone() {
        let public = Some("https://chat.test");
        assert!(passes(public, &[("host", "127.0.0.1:3000"), ("origin", "https://chat.test")]));
        assert!(!passes(public, &[("host", "127.0.0.1:3000"), ("origin", "http://127.0.0.1:3000")]));
        assert!(!passes(public, &[("host", "chat.test"), ("origin", "http://chat.test")]));
    }

    #[test]
    fn without_an_origin_the_browser_says_where_from_or_it_is_none() {
        for (site, ours) in
            [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false)]
        {
            assert_eq!(passes(None, &[("host", "chat.test"), ("sec-fetch-site", site)]), ours, "{site}");
        }
        assert!(passes(None, &[("host", "chat.test")]));
    }
}
