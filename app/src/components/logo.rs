//! The mark: two people's speech, overlapping.

use leptos::prelude::*;

/// Decorative. The style sheet colours and sizes it; the attributes set its size until that has loaded.
/// `public/favicon.svg` is the same drawing.
#[component]
pub(crate) fn Logo() -> impl IntoView {
    view! {
        <svg class="logo" width="32" height="32" viewBox="0 0 32 32" aria-hidden="true">
            <path
                class="logo-one"
                d="M5 3h12a4 4 0 0 1 4 4v5a4 4 0 0 1-4 4h-7l-5 4v-4a4 4 0 0 1-4-4V7a4 4 0 0 1 4-4z"
            />
            <path
                class="logo-other"
                d="M23 10h4a4 4 0 0 1 4 4v7a4 4 0 0 1-4 4h-1v4l-5-4h-6a4 4 0 0 1-4-4v-3h8a4 4 0 0 0 4-4z"
            />
        </svg>
    }
}
