//! 404: what does not exist, or is not for this reader. The two look the same.

use crate::whole::IntoWhole;
use leptos::prelude::*;

/// Also sets the status, when it is drawn on the server.
#[component]
pub(crate) fn NotFound() -> impl IntoView {
    view! {
        <main class="not-found">
            <h1>"There is nothing here"</h1>
            <p>"This page does not exist, or it is not yours to see."</p>
            <p>
                <a class="button" href="/">
                    "Back to the beginning"
                </a>
            </p>
        </main>
    }
    .whole()
}
