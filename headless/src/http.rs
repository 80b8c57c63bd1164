//! The HTTP side: requests with the login's cookie, and raw answers.

use std::net::IpAddr;
use std::time::Duration;

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use protocol::Fault;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// How long an idle connection is kept. The server closes it after 5 s, and a request sent at that moment is lost.
const IDLE: Duration = Duration::from_secs(3);

/// Requests to one server, with the cookie of at most one login. The cookie is managed by hand: tests withhold it, keep
/// it after a logout, or send a `Secure` one where a browser would not.
#[derive(Debug, Clone)]
pub struct Http {
    client: reqwest::Client,
    base: String,
    /// The local address to connect from, when the system should not choose it.
    pub(crate) from: Option<IpAddr>,
    cookie: Option<String>,
    headers: HeaderMap,
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as it came.
    pub body: Vec<u8>,
}

impl Http {
    /// Creates a client of the server at `base`, such as `http://127.0.0.1:3000`.
    #[must_use]
    pub fn new(base: impl Into<String>) -> Self {
        Self::leaving(base.into(), None)
    }

    /// The same, from a local address, such as 127.0.0.2. Sockets connect from there too.
    #[must_use]
    pub fn coming_from(base: impl Into<String>, address: IpAddr) -> Self {
        Self::leaving(base.into(), Some(address))
    }

    fn leaving(base: String, from: Option<IpAddr>) -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_idle_timeout(IDLE)
            .local_address(from)
            .build()
            .expect("a client without TLS needs nothing that could fail");
        Self { client, base, from, cookie: None, headers: HeaderMap::new() }
    }

    /// Adds a header to every request and to the socket's upgrade. Any header is allowed, even `Origin`.
    ///
    /// # Panics
    /// When it is not a valid header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header's name");
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a header's value"));
        self
    }

    /// Returns the server's address, without a trailing slash.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Switches to another server, or to another port of the same one, with the same cookie.
    pub fn move_to(&mut self, base: impl Into<String>) {
        self.base = base.into();
    }

    /// Returns the cookie as `name=value`, if there is one.
    #[must_use]
    pub fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    /// Replaces the cookie, or drops it.
    pub fn set_cookie(&mut self, cookie: Option<String>) {
        self.cookie = cookie;
    }

    /// Returns the headers of every request: those that were added, and the cookie.
    pub(crate) fn all_headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some(cookie) = &self.cookie {
            headers.insert(COOKIE, HeaderValue::from_str(cookie).expect("it came as a header"));
        }
        headers
    }

    /// Sends a `GET`.
    ///
    /// # Errors
    /// Only when there is no answer at all.
    pub async fn get(&mut self, path: &str) -> Result<Response, Error> {
        self.request(Method::GET, path, &[], Vec::new()).await
    }

    /// Sends a `POST` with a JSON body.
    ///
    /// # Errors
    /// Only when there is no answer at all.
    pub async fn post(&mut self, path: &str, body: &impl Serialize) -> Result<Response, Error> {
        let body = serde_json::to_vec(body).expect("a body has string keys only");
        self.request(Method::POST, path, &[("Content-Type", "application/json")], body).await
    }

    /// Sends a `POST` as a form does.
    ///
    /// # Errors
    /// Only when there is no answer at all.
    pub async fn post_form(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<Response, Error> {
        let pair = |(name, value): &(&str, &str)| format!("{}={}", percent(name), percent(value));
        let body = fields.iter().map(pair).collect::<Vec<_>>().join("&");
        self.request(
            Method::POST,
            path,
            &[("Content-Type", "application/x-www-form-urlencoded")],
            body.into(),
        )
        .await
    }

    /// Sends any request.
    ///
    /// # Errors
    /// Only when there is no answer at all.
    pub async fn request(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Response, Error> {
        let mut request =
            self.client.request(method, format!("{}{path}", self.base)).headers(self.all_headers());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.body(body).send().await?;
        let answer = Response {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: answer.bytes().await?.to_vec(),
        };
        self.keep_cookie(&answer);
        Ok(answer)
    }

    fn keep_cookie(&mut self, answer: &Response) {
        for cookie in answer.set_cookies().filter(|cookie| cookie.contains("authentication_token=")) {
            let gone = cookie.contains("Max-Age=0");
            self.cookie = cookie.split(';').next().filter(|_| !gone).map(str::to_owned);
        }
    }
}

impl Response {
    /// Returns a header's value, when it exists and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns every `Set-Cookie` in full.
    pub fn set_cookies(&self) -> impl Iterator<Item = &str> {
        self.headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok())
    }

    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Decodes the body of a 200.
    ///
    /// # Errors
    /// The refusal that any other status carries, or a body that is neither.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let unintelligible = |_| Error::Unintelligible { status: self.status, body: self.text() };
        if self.status == 200 {
            return serde_json::from_slice(&self.body).map_err(unintelligible);
        }
        let fault: Fault = serde_json::from_slice(&self.body).map_err(unintelligible)?;
        Err(Error::Refused { status: self.status, fault })
    }
}

/// Percent-encodes a part of a form or query: everything but letters, digits and `-._~`.
pub(crate) fn percent(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
