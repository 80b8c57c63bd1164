//! `/chat/<SessionID>`: one conversation.

use leptos::prelude::*;
use protocol::SessionId;

use super::NotFound;
use crate::components::{Avatar, Composer, MessageList, PresenceInWords, Typing, each};
use crate::live::{Live, SessionView};
use crate::pages::home::{NoConversation, NoConversationProps};
use crate::route::Open;
use crate::whole::IntoWhole;

/// Rebuilt for each session: a composer is never reused, so no text can end up in another conversation.
#[component]
pub(crate) fn Conversation(live: Live, open: Open) -> impl IntoView {
    let known = Memo::new(move |_| Some(live.session(open.get()?)?.id));
    let opened = move || known.get().into_iter().map(|id| id.0).collect();
    let draw = move |id| Some(Opened(OpenedProps { live, session: live.session(id)? }));
    let otherwise = move || match (open.get(), known.get()) {
        (None, _) => Some(NoConversation(NoConversationProps { live }).whole()),
        (Some(_), None) => Some(NotFound().whole()),
        (Some(_), Some(_)) => None,
    };
    // Keyed by the session: updated in place, a conversation would inherit the last one's elements, and their text.
    view! {
        {each(opened, move |id| draw(SessionId(id)).whole())}
        {otherwise}
    }
    .whole()
}

#[component]
fn Opened(live: Live, session: SessionView) -> impl IntoView {
    live.open(session);
    on_cleanup(move || live.close(session));
    let elsewhere = move || live.waiting() - session.unread.get();
    let back = move || match elsewhere() {
        0 => "All conversations".to_owned(),
        new => format!("All conversations, {new} new"),
    };
    view! {
        <main class="conversation">
            <header class="conversation-head">
                <a class="back" href="/" aria-label=back>
                    <svg width="24" height="24" viewBox="0 0 24 24" aria-hidden="true">
                        <path d="M15 5l-7 7 7 7" />
                    </svg>
                    {move || (elsewhere() > 0).then(|| view! { <span class="back-mark"></span> })}
                </a>
                <Avatar session />
                <div class="conversation-who">
                    <h1>
                        <bdi>{move || session.title()}</bdi>
                    </h1>
                    <PresenceInWords session />
                </div>
            </header>
            <MessageList live session />
            <Typing session />
            <Composer live session />
        </main>
    }
    .whole()
}
