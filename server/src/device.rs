//! The cookie that recognizes a browser somebody has signed in with before. It opens nothing and outlives every logout:
//! it only gives its owner a separate count of wrong passwords (see `chat::Device`).

use app::visitor::{ClientAddress, Slip};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use chat::{Caller, Device};
use http::{HeaderMap, HeaderValue, Method, header};
use tower_sessions::cookie::{Cookie, SameSite};

use crate::public_origin::PublicOrigin;
use crate::state::AppState;

const COOKIE: &str = "known_device";

/// The name on https: browsers let no other host and no plain http set it (RFC 6265bis 4.1.3).
const HOST_COOKIE: &str = "__Host-known_device";

/// From the last login.
const LIFETIME: time::Duration = time::Duration::days(365);

/// Attaches a [`Slip`] to every request that could carry a password, and turns what it brings back into headers: the
/// cookie of a device that signed in, and when to retry.
pub(crate) async fn slip(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let is_secure = state.config.public_origin.as_ref().is_some_and(PublicOrigin::is_secure);
    let address = request.extensions().get::<ClientAddress>().map(|address| address.0);
    let slip = Slip::of(Caller { address, device: kept(request.headers(), is_secure) });
    request.extensions_mut().insert(slip.clone());
    let mut response = next.run(request).await;
    let answer = slip.answer();
    if let Some(device) = answer.device {
        response.headers_mut().append(header::SET_COOKIE, cookie(&device, is_secure));
    }
    if let Some(wait) = answer.wait {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    }
    response
}

fn name(is_secure: bool) -> &'static str {
    if is_secure { HOST_COOKIE } else { COOKIE }
}

fn kept(headers: &HeaderMap, is_secure: bool) -> Option<Device> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = cookies.flat_map(Cookie::split_parse).flatten();
    cookies.find(|cookie| cookie.name() == name(is_secure)).and_then(|cookie| Device::parse(cookie.value()))
}

/// `SameSite=Strict`: comes back only with what our own pages post.
fn cookie(device: &Device, is_secure: bool) -> HeaderValue {
    let cookie = Cookie::build((name(is_secure), device.text()))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(is_secure)
        .max_age(LIFETIME);
    cookie.to_string().parse().expect("letters, digits and dots")
}
