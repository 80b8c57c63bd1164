//! Pages without scripts. What they show is drawn by `app::plain`.

use app::plain::About;
use axum::extract::State;
use axum::response::Html;

use crate::state::AppState;

/// `GET /about`: what this server is, for anybody who asks.
pub(crate) async fn about(State(state): State<AppState>) -> Html<String> {
    let about = About {
        address: state.config.public_origin.as_ref().map(|origin| origin.authority().to_string()),
        version: env!("CARGO_PKG_VERSION"),
        open_registration: state.config.open_registration,
        source: state.config.source_url.clone(),
    };
    Html(app::plain::about(&state.files.assets(), about))
}
