//! The headers of every response, and the nonce that lets a page's own scripts run.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use leptos::nonce::Nonce;

use crate::host::{self, Authority};
use crate::logins;
use crate::public_origin::PublicOrigin;
use crate::state::AppState;

/// For every response. OWASP, HTTP Headers; ASVS 5.0, 3.4.
const ALWAYS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()",
    ),
];

/// Two years, as the preload lists ask for (RFC 6797).
const HSTS: &str = "max-age=63072000";
const HSTS_SUBDOMAINS: &str = "max-age=63072000; includeSubDomains";

/// Sent on sign-out: pages that the browser keeps for its back button also show messages.
pub(crate) const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Not `"storage"`, which holds the drafts of everybody who uses this browser, nor `"cookies"`, which covers every name
/// of the site and would forget the device: the login's cookie is removed separately (W3C Clear Site Data, 3.1).
pub(crate) const FORGET: &str = "\"cache\"";

/// When to retry what was unavailable, in seconds: the queue for logins is shorter, and the disk is checked every
/// second.
const RETRY_AFTER: &str = "2";

/// Creates the nonce and adds the headers.
pub(crate) async fn add(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let nonce = Nonce::new();
    let policy = policy(nonce.as_inner(), state.hosts.public(), host::named(&request).ok().flatten());
    request.extensions_mut().insert(nonce);
    let mut response = next.run(request).await;
    let unavailable = response.status() == StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.extend(ALWAYS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    headers.extend(policy.parse().ok().map(|value: HeaderValue| (header::CONTENT_SECURITY_POLICY, value)));
    if state.hosts.public().is_some_and(PublicOrigin::is_secure) {
        let hsts = if state.config.hsts_subdomains { HSTS_SUBDOMAINS } else { HSTS };
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(hsts));
        logins::complete_removal(headers);
    }
    if unavailable {
        headers.entry(header::RETRY_AFTER).or_insert(HeaderValue::from_static(RETRY_AFTER));
    }
    // Pages and responses show what only one person may see.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Builds the Content Security Policy, level 3. Scripts run by the nonce alone, and what they import by theirs.
/// `'self'` covers our own sockets in today's browsers; the host is named for those that match the page's scheme only.
fn policy(nonce: &str, public: Option<&PublicOrigin>, asked: Option<Authority>) -> String {
    let is_public =
        |asked: &Authority| public.is_some_and(|public| public.authority().host() == asked.host());
    // A proxy may drop the port, and may pass another name than people type.
    let host = asked.filter(|asked| !is_public(asked)).or(public.map(PublicOrigin::authority).cloned());
    let host = host.filter(Authority::is_for_policies);
    let is_secure = public.is_some_and(PublicOrigin::is_secure);
    let sockets = host.map(|host| {
        let plain = if is_secure { String::new() } else { format!(" ws://{host}") };
        format!("{plain} wss://{host}")
    });
    let (sockets, reload) = (sockets.unwrap_or_default(), reload_socket());
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self' 'nonce-{nonce}'; \
         img-src 'self' data:; font-src 'self'; manifest-src 'self'; connect-src 'self'{sockets}{reload}; \
         base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

/// Under `cargo leptos watch` the page also connects to the live-reload socket.
fn reload_socket() -> String {
    match (std::env::var("LEPTOS_WATCH"), std::env::var("LEPTOS_RELOAD_PORT")) {
        (Ok(_), Ok(port)) if port.parse::<u16>().is_ok() => {
            format!(" ws://127.0.0.1:{port} ws://localhost:{port}")
        }
        _ => String::new(),
    }
}
