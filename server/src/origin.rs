//! Cross-site request forgery: only our own pages may make a browser send us something.
//!
//! An origin is ours if it equals the public origin or, where none is set and on the hosts of `--also-host`, if its
//! authority equals `Host`. A request with neither `Origin` nor `Sec-Fetch-Site` is from no browser and passes. (OWASP,
//! Cross-Site Request Forgery Prevention: Fetch Metadata with Origin as the fallback; ASVS 5.0, 3.5 and 4.4.2.)

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, Method, header};
use protocol::{Code, Fault};

use crate::host::Authority;
use crate::hosts::Hosts;
use crate::public_origin::PublicOrigin;
use crate::refusal::Asker;
use crate::state::AppState;

/// How the page that caused a request relates to us, according to the browser.
const SITE: &str = "sec-fetch-site";

/// Refuses requests from foreign pages that change something or open a socket.
pub(crate) async fn guard(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD) && request.uri().path() != "/ws";
    let asked = request.extensions().get::<Authority>();
    if is_safe || is_ours(&state.hosts, asked, request.headers()) {
        return next.run(request).await;
    }
    Asker::of(&request).refuse(Fault::of(Code::ForeignOrigin))
}

fn is_ours(hosts: &Hosts, asked: Option<&Authority>, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let is_twice = |name| headers.get_all(name).iter().count() > 1;
    if is_twice(header::ORIGIN.as_str()) || is_twice(SITE) {
        return false;
    }
    match (text(header::ORIGIN.as_str()), text(SITE)) {
        (Some(origin), _) => {
            let own = asked.filter(|asked| hosts.has_pages(asked.host()));
            hosts.public().is_some_and(|public| public.is(origin))
                || own.is_some_and(|asked| is_of(origin, asked))
        }
        (None, Some(site)) => matches!(site, "same-origin" | "none"),
        (None, None) => true,
    }
}

/// `Host` carries no scheme, so it may omit the default port of either.
fn is_of(origin: &str, asked: &Authority) -> bool {
    let origin = PublicOrigin::parse(origin);
    origin.is_some_and(|origin| origin == PublicOrigin::of(origin.is_secure(), asked.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn passes(public: Option<&str>, headers: &[(&str, &str)]) -> bool {
        passes_beside(public, "also.test", headers)
    }

    fn passes_beside(public: Option<&str>, also: &str, headers: &[(&str, &str)]) -> bool {
        let mut config = Config::new("data");
        config.public_origin = public.map(|text| text.parse().unwrap());
        config.also_hosts = vec![also.parse().unwrap()];
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let asked = map.get(header::HOST).map(|host| host.to_str().unwrap().parse().unwrap());
        is_ours(&Hosts::new(config.public_origin.clone(), &config.also_hosts), asked.as_ref(), &map)
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
        assert!(!passes(public, &[("host", "chat.test"), ("origin", "https://chat.test#x")]));
    }

    #[test]
    fn a_host_that_is_named_beside_it_has_pages_of_its_own() {
        let (public, host) = (Some("https://chat.test"), ("host", "nas.lan:3000"));
        assert!(passes_beside(public, "nas.lan", &[host, ("origin", "http://nas.lan:3000")]));
        assert!(!passes_beside(public, "nas.lan", &[host, ("origin", "http://nas.lan")]));
        assert!(!passes_beside(public, "nas.lan", &[host, ("origin", "http://evil.test:3000")]));
        assert!(!passes_beside(public, "other.lan", &[host, ("origin", "http://nas.lan:3000")]));
    }

    #[test]
    fn without_an_origin_the_browser_says_where_from_or_it_is_none() {
        for (site, ours) in
            [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false)]
        {
            assert_eq!(passes(None, &[("host", "chat.test"), ("sec-fetch-site", site)]), ours, "{site}");
        }
        assert!(passes(None, &[("host", "chat.test")]));
        let twice =
            [("host", "chat.test"), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")];
        assert!(!passes(None, &twice));
    }
}
