//! What was written in conversations that the user is in no more, and was not sent.

use leptos::prelude::*;
use protocol::PendingState;

use super::each;
use crate::live::Live;
use crate::whole::IntoWhole;

/// The words stay, also across reloads, until their writer has taken them elsewhere.
#[component]
pub(crate) fn Returned(live: Live) -> impl IntoView {
    let names = move || live.unsendable.read().iter().map(|pending| pending.message_id.0).collect();
    let card = move |id| {
        let held = live.unsendable.read();
        let card = held.iter().find(|pending| pending.message_id.0 == id)?;
        let PendingState::Failed(fault) = &card.state else { return None };
        let (id, reason, words) = (card.message_id, fault.reason.clone(), card.data.clone());
        Some(view! {
            <article class="card">
                <p>{reason}</p>
                <p class="returned-words" dir="auto">
                    {words}
                </p>
                <button type="button" class="quiet" on:click=move |_| live.take_back(id, false)>
                    "Delete"
                </button>
            </article>
        })
    };
    view! {
        <section class="invitations returned" aria-label="Not sent">
            {each(names, move |id| card(id).whole())}
        </section>
    }
    .whole()
}
