//! Finding people: the search, its answer in words, and the user's own pending invitations.

use leptos::ev::SubmitEvent;
use leptos::html;
use leptos::prelude::*;
use protocol::text::clean;
use protocol::{Answer, InviteId};

use super::each;
use crate::live::{Finding, Live, Next};
use crate::whole::IntoWhole;

/// `Search:_______________ [Invite]`
#[component]
pub(crate) fn Search(live: Live) -> impl IntoView {
    let field = NodeRef::<html::Input>::new();
    let ask = move |event: SubmitEvent| {
        event.prevent_default();
        let Some(field) = field.get_untracked() else { return };
        let name = clean(&field.value()).trim().to_owned();
        if name.is_empty() {
            _ = field.focus();
        } else if !live.asking.get_untracked() {
            live.ask(name, false);
        }
    };
    // Clears a name whose search succeeded; any other stays, to be corrected.
    Effect::new(move |_| {
        let done = live.finding.read().as_ref().and_then(|found| found.settled.clone());
        // Unless the field holds another name by now.
        if let Some(field) =
            field.get_untracked().filter(|field| done.is_some_and(|name| name == field.value().trim()))
        {
            field.set_value("");
        }
    });
    // `dialog` outside of a dialog submits nothing: before hydration, Enter keeps what was typed.
    view! {
        <section class="people" aria-label="People">
            <form class="search" role="search" method="dialog" on:submit=ask>
                <label for="search">"Search:"</label>
                <input
                    node_ref=field
                    id="search"
                    type="text"
                    aria-label="Search"
                    maxlength="512"
                    autocomplete="off"
                    autocapitalize="none"
                    spellcheck="false"
                    enterkeyhint="search"
                />
                <button aria-busy=move || live.asking.get().then_some("true")>"Invite"</button>
            </form>
            <div class="answer" data-search-answer="" role="status">
                <InWords live said=live.finding />
            </div>
            <Waiting live />
        </section>
    }
    .whole()
}

/// A result in words, what the user can do next, and a button to dismiss it.
#[component]
pub(super) fn InWords(live: Live, said: RwSignal<Option<Finding>>) -> impl IntoView {
    let in_words = move |Finding { text, next, .. }| {
        let way = match next {
            Next::Nothing => ().whole(),
            Next::Leave(name) => {
                let leave = move |_| live.ask(name.clone(), true);
                view! {
                    <button type="button" class="small" on:click=leave>
                        "Leave an invitation"
                    </button>
                }
                .whole()
            }
            Next::Open(id) => view! {
                <a class="button small" href=format!("/chat/{id}")>
                    "Open the conversation"
                </a>
            }
            .whole(),
        };
        view! {
            <div class="note">
                <p>{text}</p>
                {way}
                <button
                    type="button"
                    class="dismiss"
                    aria-label="Dismiss"
                    on:click=move |_| said.set(None)
                >
                    "×"
                </button>
            </div>
        }
    };
    (move || said.get().map(in_words)).whole()
}

/// The user's own invitations, until somebody answers.
#[component]
fn Waiting(live: Live) -> impl IntoView {
    let any = move || !live.asked.read().is_empty();
    let names = move || live.asked.read().iter().map(|asked| asked.invite_id.0).collect();
    let row = move |id| {
        let name = live.asked.read().iter().find(|asked| asked.invite_id == id)?.username.clone();
        Some(view! {
            <li>
                <bdi>{name}</bdi>
                <button
                    type="button"
                    class="quiet small"
                    disabled=move || live.answers(id)
                    on:click=move |_| live.respond(id, Answer::Cancelled)
                >
                    "Cancel"
                </button>
            </li>
        })
    };
    view! {
        <div class="waiting" hidden=move || !any()>
            <h2 id="waiting">"Waiting for an answer"</h2>
            <ul aria-labelledby="waiting">
                {each(names, move |id| row(InviteId(id)).whole())}
            </ul>
        </div>
    }
    .whole()
}
