//! A round initial in a colour per person.

use leptos::prelude::*;

use super::PresenceDot;
use crate::live::SessionView;
use crate::whole::IntoWhole;

/// How many the style sheet has.
const TINTS: u8 = 8;

/// The other person's initial, and whether they are online. The name stands beside it, so it is hidden from screen
/// readers.
#[component]
pub(crate) fn Avatar(session: SessionView) -> impl IntoView {
    let tint = move || {
        let others = session.others.read();
        // The end of a UUIDv7 is random: colours spread evenly, and are the same on every page.
        let last = others.keys().next().map_or(0, |user| user.0.as_bytes()[15]);
        format!("avatar tint-{}", last % TINTS)
    };
    let initial = move || session.title().chars().next().map(String::from);
    view! {
        <span class=tint>
            <span aria-hidden="true">{initial}</span>
            <PresenceDot session />
        </span>
    }
    .whole()
}
