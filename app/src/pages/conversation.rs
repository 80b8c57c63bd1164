//! `/chat/<SessionID>`: one conversation.

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;
use protocol::SessionId;

use super::NotFound;
use crate::components::{Avatar, Composer, MessageList, PresenceInWords, Typing};
use crate::live::{Live, Thread};
use crate::whole::IntoWhole;

/// Drawn anew for each session: a composer never changes hands, so no text can end up in another conversation.
#[component]
pub(crate) fn Conversation() -> impl IntoView {
    let live = use_context::<Live>();
    let params = use_params_map();
    let id = Memo::new(move |_| params.read().get("session").and_then(|id| id.parse::<SessionId>().ok()));
    let known = Memo::new(move |_| Some(live?.thread(id.get()?)?.id));
    let opened = move || {
        let (id, live) = known.get().zip(live)?;
        Some((live, untrack(|| live.thread(id))?))
    };
    // Keyed by the session: drawn in place, one conversation would inherit the elements of the last, and its text.
    view! {
        <For each=opened key=|(_, thread)| thread.id let((live, thread))>
            <Opened live thread />
        </For>
        {move || known.get().is_none().then(|| view! { <NotFound /> })}
    }
    .whole()
}

#[component]
fn Opened(live: Live, thread: Thread) -> impl IntoView {
    live.open(thread);
    on_cleanup(move || live.close(thread));
    let elsewhere = move || {
        let waiting = i64::try_from(live.invited.read().len()).unwrap_or_default();
        live.unread() - thread.unread.get() + waiting
    };
    view! {
        <main class="conversation">
            <header class="conversation-head">
                <a class="back" href="/" aria-label="All conversations">
                    <svg viewBox="0 0 24 24" aria-hidden="true">
                        <path d="M15 5l-7 7 7 7" />
                    </svg>
                    {move || (elsewhere() > 0).then(|| view! { <span class="back-mark"></span> })}
                </a>
                <Avatar thread />
                <div class="conversation-who">
                    <h1>
                        <bdi>{move || thread.title()}</bdi>
                    </h1>
                    <PresenceInWords thread />
                </div>
            </header>
            <MessageList live thread />
            <Typing thread />
            <Composer live thread />
        </main>
    }
    .whole()
}
