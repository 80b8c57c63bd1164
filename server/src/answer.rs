//! Answers whose bytes count until they are written: `GET /api/load`, and pages.

use app::login::{ClientAddress, Visitor};
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

/// What is handed to a connection at once. It asks for more when little of that waits.
const PIECE: usize = 16 * 1024;

/// `GET /api/load`: every session, who is in it, and its newest messages, written session after session.
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
            // Once it has begun a failure can only break it off; it is logged like any other.
            let parts = parts.map_err(|error| std::io::Error::other(error.into_fault().reason));
            let json = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, json)], body(parts)).into_response()
        }
        Err(error) => refusal(error.into_fault()).into_response(),
    }
}

/// A body of these parts, each made when the one before is written.
fn body(parts: impl Stream<Item = std::io::Result<Part>> + Send + 'static) -> Body {
    Body::from_stream(parts.map_ok(|part| pieces(part).map(Ok::<_, std::io::Error>)).try_flatten())
}

/// A whole answer that is there already.
pub(crate) fn whole(part: Part) -> Body {
    Body::from_stream(pieces(part).map(Ok::<_, std::convert::Infallible>))
}

/// What a part holds, in pieces that are copies: the part goes, and gives its room back, when the last of them was taken,
/// and little is left then of which a client that takes no more makes the server hold the memory.
fn pieces(part: Part) -> impl Stream<Item = Bytes> + Send {
    let next = |mut part: Part| {
        let piece = part.bytes.split_to(part.bytes.len().min(PIECE));
        std::future::ready((!piece.is_empty()).then(|| (Bytes::copy_from_slice(&piece), part)))
    };
    stream::unfold(part, next)
}
