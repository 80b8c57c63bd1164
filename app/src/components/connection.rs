//! The calm notice that the connection is lost.

use leptos::prelude::*;

use crate::live::Live;
use crate::whole::IntoWhole;

/// Lies over the page and moves nothing. Present from the start, so that it is read out when it speaks.
#[component]
pub(crate) fn Connection(live: Live) -> impl IntoView {
    let lost = move || live.lost.get();
    view! {
        <div class="connection" role="status" data-connection=move || if lost() { "lost" } else { "fine" }>
            {move || {
                lost()
                    .then(|| {
                        view! {
                            <span>"No connection. What you write is kept and sent later."</span>
                            <button type="button" on:click=move |_| live.try_now()>
                                "Try now"
                            </button>
                        }
                    })
            }}
        </div>
    }
    .whole()
}
