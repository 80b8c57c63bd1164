//! Whether another member is online.

use leptos::prelude::*;
use protocol::Presence;

use crate::live::Thread;

/// A dot on the avatar.
#[component]
pub(crate) fn PresenceDot(thread: Thread) -> impl IntoView {
    view! {
        <span class="presence" data-status=move || in_words(thread)>
            <span class="visually-hidden">{move || in_words(thread)}</span>
        </span>
    }
}

/// The words below the name.
#[component]
pub(crate) fn PresenceInWords(thread: Thread) -> impl IntoView {
    view! { <p class="presence-words">{move || in_words(thread)}</p> }
}

fn in_words(thread: Thread) -> &'static str {
    match thread.presence() {
        Some(Presence::Online) => "Online",
        Some(Presence::Offline) => "Offline",
        None => "",
    }
}
