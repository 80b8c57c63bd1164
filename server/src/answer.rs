//! Responses whose bytes count against a quota until they are written: `GET /api/load` and pages.

use app::visitor::{ClientAddress, Visitor};
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chat::Part;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http::{HeaderValue, Method, header};
use protocol::{Code, Fault};

use crate::refusal::refusal;
use crate::state::AppState;

/// How much a connection gets at a time. It asks for more when little of that is left.
const PIECE: usize = 16 * 1024;

/// `GET /api/load`: every session with its members and newest messages, streamed session by session.
pub(crate) async fn load(
    State(state): State<AppState>,
    visitor: Visitor,
    address: Option<Extension<ClientAddress>>,
    request: Request,
) -> Response {
    if *request.method() != Method::GET {
        return refusal(Fault::of(Code::NotFound)).into_response();
    }
    let loading = async {
        let actor = visitor.actor(&state.chat).await?;
        state.chat.load(&actor, address.map(|address| address.0.0)).await
    };
    match loading.await {
        Ok(parts) => {
            // Once the body has begun, a failure can only cut it off; it is logged like any other.
            let parts = parts.map_err(|error| std::io::Error::other(error.into_fault().reason));
            let json = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, json)], body(parts)).into_response()
        }
        Err(error) => refusal(error.into_fault()).into_response(),
    }
}

/// Streams the parts as a body, producing each only when the one before is written.
fn body(parts: impl Stream<Item = std::io::Result<Part>> + Send + 'static) -> Body {
    Body::from_stream(parts.map_ok(|part| pieces(part).map(Ok::<_, std::io::Error>)).try_flatten())
}

/// Returns the body of a response that is complete already.
pub(crate) fn whole(part: Part) -> Body {
    Body::from_stream(pieces(part).map(Ok::<_, std::convert::Infallible>))
}

/// Splits a part into pieces that are copies, so that the part is dropped and returns its room once the last piece is
/// taken. A client that then stops reading makes the server hold only little memory.
fn pieces(part: Part) -> impl Stream<Item = Bytes> + Send {
    let next = |mut part: Part| {
        let piece = part.bytes.split_to(part.bytes.len().min(PIECE));
        std::future::ready((!piece.is_empty()).then(|| (Bytes::copy_from_slice(&piece), part)))
    };
    stream::unfold(part, next)
}
