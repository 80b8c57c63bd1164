//! The unobtrusive notice that the connection is lost.

use leptos::prelude::*;

use crate::live::Live;
use crate::whole::IntoWhole;

/// The text of the notice and of its button.
const LOST: (&str, &str) = ("No connection. What you write is kept and sent later.", "Try now");
/// Where the browser's storage is full or switched off.
const LOST_UNKEPT: &str = "No connection. What you write is sent later, as long as this page stays open.";
const CROWDED: (&str, &str) =
    ("Natter is open in too many tabs or devices. Close one; this page tries again by itself.", "Try now");
const ENDED: (&str, &str) =
    ("You are signed out, and your text could not be kept. Copy it first.", "Sign in");

/// Overlays the page without moving anything. Present from the start, so that screen readers announce its text.
#[component]
pub(crate) fn Connection(live: Live) -> impl IntoView {
    let put_away = RwSignal::new(false);
    let lost = move || live.lost.get() && !put_away.get();
    Effect::new(move |_| {
        if !live.lost.get() {
            put_away.set(false);
        }
    });
    view! {
        <div class="connection" role="status" data-connection=move || if lost() { "lost" } else { "fine" }>
            {move || {
                lost()
                    .then(|| {
                        let ended = live.ended.get();
                        let crowded = live.crowded.get();
                        let (words, way) =
                            if ended { ENDED } else if crowded { CROWDED } else { LOST };
                        let words = if ended || crowded || live.keeps_all() { words } else { LOST_UNKEPT };
                        view! {
                            <span>{words}</span>
                            <button
                                type="button"
                                on:click=move |_| if ended { live.sign_in() } else { live.try_now() }
                            >
                                {way}
                            </button>
                            <button
                                type="button"
                                class="dismiss"
                                aria-label="Dismiss"
                                on:click=move |_| put_away.set(true)
                            >
                                "×"
                            </button>
                        }
                    })
            }}
        </div>
    }
    .whole()
}
