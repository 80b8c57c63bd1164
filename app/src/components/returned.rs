//! What was written in conversations that the user is in no more, and was not sent.

use leptos::prelude::*;
use protocol::{Pending, PendingState};

use super::each;
use crate::live::Live;
use crate::whole::IntoWhole;

/// The words stay, also across reloads, until their writer has taken them elsewhere.
#[component]
pub(crate) fn Returned(live: Live) -> impl IntoView {
    let any = move || !live.unsendable.read().is_empty();
    let names = move || live.unsendable.read().iter().map(|pending| pending.message_id.0).collect();
    let card = move |id| {
        let card = live.unsendable.read().iter().find(|pending| pending.message_id.0 == id)?.clone();
        Some(Card(CardProps { live, card }))
    };
    view! {
        <section class="invitations returned" aria-label="Not sent" hidden=move || !any()>
            {each(names, move |id| card(id).whole())}
        </section>
    }
    .whole()
}

#[component]
fn Card(live: Live, card: Pending) -> impl IntoView {
    let Pending { message_id, data, state, .. } = card;
    let reason = match state {
        PendingState::Failed(fault) => fault.reason,
        _ => String::new(),
    };
    view! {
        <article class="card">
            <p>{reason}</p>
            <p class="returned-words" dir="auto">
                {data}
            </p>
            <div class="card-ways">
                <button type="button" class="quiet" on:click=move |_| live.take_back(message_id, false)>
                    "Delete"
                </button>
            </div>
        </article>
    }
}
