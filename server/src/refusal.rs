//! How a refusal is sent: as JSON to programs, as a page to people, who may have posted a form without a script or
//! typed a URL.

use axum::Json;
use axum::extract::Request;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use leptos::nonce::Nonce;
use protocol::{Code, Fault};

/// Builds a refusal as every endpoint answers it.
pub(crate) fn refusal(fault: Fault) -> (StatusCode, Json<Fault>) {
    (status(fault.error), Json(fault))
}

fn status(code: Code) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// What decides the format of a refusal.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    is_page: bool,
    takes_page: bool,
    nonce: Option<String>,
}

impl Asker {
    /// Reads it from an incoming request.
    pub(crate) fn of(request: &Request) -> Self {
        let path = request.uri().path();
        let is_page = !path.starts_with("/api/") && path != "/ws";
        let nonce = request.extensions().get::<Nonce>().map(|nonce| nonce.as_inner().to_string());
        Self { is_page, takes_page: takes_page(request.headers()), nonce }
    }

    /// Forces a page for everything that is no endpoint for programs, regardless of `Accept`.
    pub(crate) fn in_a_browser(self) -> Self {
        Self { takes_page: true, ..self }
    }

    /// Builds the refusal, with the status of its code.
    pub(crate) fn refuse(&self, fault: Fault) -> Response {
        self.refuse_with(status(fault.error), fault)
    }

    /// Builds the refusal, with another status.
    pub(crate) fn refuse_with(&self, status: StatusCode, fault: Fault) -> Response {
        if self.is_page && self.takes_page {
            (status, Html(page(&fault.reason, self.nonce.as_deref()))).into_response()
        } else {
            (status, Json(fault)).into_response()
        }
    }
}

/// Browsers ask for HTML whenever they will show the response; programs mostly do not.
fn takes_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "text/html"))
}

/// Renders a self-contained page: the requests for its files might be refused as well.
fn page(sentence: &str, nonce: Option<&str>) -> String {
    const STYLE: &str = ":root { color-scheme: light dark } @media print { :root { color-scheme: light } } \
                         body { max-width: 36rem; margin: 12vh auto; padding: 0 1.25rem; \
                         font: 1.125rem/1.6 system-ui, sans-serif; overflow-wrap: anywhere }";
    let style = nonce.map(|nonce| format!("<style nonce=\"{nonce}\">{STYLE}</style>")).unwrap_or_default();
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Natter</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">{style}</head>\
         <body><main><h1>Natter</h1><p>{}</p></main></body></html>\n",
        escaped(sentence)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_pages_gets_one_and_programs_get_json() {
        let takes = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            takes_page(&headers)
        };
        assert!(
            takes("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
                && takes("a/b, text/html;q=0.5")
        );
        assert!(!takes("*/*") && !takes("application/json") && !takes_page(&HeaderMap::new()));
    }

    #[test]
    fn a_sentence_is_text_and_nothing_else() {
        let html = page("<b>“Ada” & \"Bob\"", None);
        assert!(html.contains("<p>&lt;b&gt;“Ada” &amp; &quot;Bob&quot;</p>"), "{html}");
    }
}
