//! Whether another member is online.

use leptos::prelude::*;
use protocol::Presence;

use crate::live::SessionView;

/// A dot on the avatar.
#[component]
pub(crate) fn PresenceDot(session: SessionView) -> impl IntoView {
    view! {
        <span class="presence" data-status=move || in_words(session)>
            <span class="visually-hidden">{move || in_words(session)}</span>
        </span>
    }
}

/// The words below the name.
#[component]
pub(crate) fn PresenceInWords(session: SessionView) -> impl IntoView {
    view! { <p class="presence-words">{move || in_words(session)}</p> }
}

fn in_words(session: SessionView) -> &'static str {
    match session.presence() {
        Some(Presence::Online) => "Online",
        Some(Presence::Offline) => "Offline",
        None => "",
    }
}
