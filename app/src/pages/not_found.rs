//! 404: what does not exist, or is not for this visitor. The two look the same.

use crate::whole::IntoWhole;
use leptos::prelude::*;

/// The "not found" page. The server sends it with status 404 (see `server::page`).
#[component]
pub(crate) fn NotFound() -> impl IntoView {
    nothing("There is nothing here", "This page does not exist, or it is not yours to see.")
}

/// A page that only gives the reason and a link back.
pub(super) fn nothing(heading: &'static str, why: &'static str) -> AnyView {
    view! {
        <main class="not-found">
            <h1>{heading}</h1>
            <p>{why}</p>
            <p>
                <a class="button" href="/">
                    "Back to the beginning"
                </a>
            </p>
        </main>
    }
    .whole()
}
