//! The mark: two people's speech, overlapping.

use leptos::prelude::*;

/// Decorative; its colours follow the text around it.
#[component]
pub(crate) fn Logo() -> impl IntoView {
    view! {
        <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
            <path
                class="logo-theirs"
                d="M5 4h14a4 4 0 0 1 4 4v6a4 4 0 0 1-4 4h-7l-5 4.5V18H5a4 4 0 0 1-4-4V8a4 4 0 0 1 4-4z"
            />
            <path
                class="logo-own"
                d="M26 12h1a4 4 0 0 1 4 4v5a4 4 0 0 1-4 4h-1v4l-5-4h-5a4 4 0 0 1-3.6-2.3l1-.7H19a7 7 0 0 0 7-7z"
            />
        </svg>
    }
}
