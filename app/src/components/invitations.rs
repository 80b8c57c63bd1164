//! The cards of people who want to talk.

use leptos::prelude::*;
use protocol::{Answer, InviteId, Invited};

use super::each;
use super::search::InWords;
use crate::live::Live;
use crate::whole::IntoWhole;

/// Appears and disappears without a reload. A card goes away when the server says so, not when it is clicked.
#[component]
pub(crate) fn Invitations(live: Live) -> impl IntoView {
    let any = move || !live.invited.read().is_empty();
    let names = move || live.invited.read().iter().map(|card| card.invite_id.0).collect();
    let card = move |id| {
        let card = live.invited.read().iter().find(|card| card.invite_id == id)?.clone();
        Some(Card(CardProps { live, card }))
    };
    view! {
        <section class="invitations" aria-label="Invitations" hidden=move || !any()>
            {each(names, move |id| card(InviteId(id)).whole())}
        </section>
        <div class="too-late" role="status">
            <InWords live said=live.note />
        </div>
    }
    .whole()
}

#[component]
fn Card(live: Live, card: Invited) -> impl IntoView {
    let Invited { invite_id, username } = card;
    let answered = move || live.answers(invite_id);
    view! {
        <article class="card">
            <p>
                <bdi>{username}</bdi>
                " wants to talk to you"
            </p>
            <div class="card-ways">
                <button
                    type="button"
                    disabled=answered
                    on:click=move |_| live.respond(invite_id, Answer::Accepted)
                >
                    "Accept"
                </button>
                <button
                    type="button"
                    class="quiet"
                    disabled=answered
                    on:click=move |_| live.respond(invite_id, Answer::Rejected)
                >
                    "Reject"
                </button>
            </div>
            <p class="script-needed">"Answering needs JavaScript, which does not run here."</p>
        </article>
    }
}
