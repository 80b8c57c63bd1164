//! `/`: the welcome for strangers; for everybody else the list, with a conversation beside it.

use leptos::prelude::*;
use protocol::Code;

use crate::components::{Account, Connection, Conversations, Invitations, Logo, Returned, Search};
use crate::focus;
use crate::live::Live;
use crate::pages::Conversation;
use crate::route::Open;
use crate::whole::IntoWhole;

/// What strangers see.
#[component]
pub(crate) fn Welcome(open_registration: bool) -> impl IntoView {
    view! {
        <main class="welcome">
            <div class="welcome-words">
                <p class="welcome-brand">
                    <Logo />
                    "Natter"
                </p>
                <h1>"Talk with the people you choose."</h1>
                <p class="lead">
                    "Search for somebody by name. When they accept, the two of you have a conversation. Until then nobody can write to you."
                </p>
                <nav class="welcome-ways" aria-label="Begin">
                    {open_registration
                        .then(|| {
                            view! {
                                <a class="button" href="/register">
                                    "Create an account"
                                </a>
                            }
                        })}
                    <a class="button" class:quiet=open_registration href="/login">
                        "Sign in"
                    </a>
                </nav>
                {(!open_registration).then(|| view! { <p class="lead">{Code::RegistrationClosed.reason()}</p> })}
                <p class="elsewhere">
                    <a href="/about">"About this server"</a>
                </p>
            </div>
            <div class="welcome-picture" aria-hidden="true">
                <p class="bubble">"Are you there?"</p>
                <p class="bubble own">"Just got in. Tea?"</p>
                <p class="bubble">"Putting the kettle on."</p>
                <p class="bubble own writing">
                    <i></i>
                    <i></i>
                    <i></i>
                </p>
            </div>
        </main>
    }
    .whole()
}

/// The list on one side and the open conversation on the other; a phone shows only one of them.
#[component]
pub(crate) fn Chat(live: Live, open: Open) -> impl IntoView {
    Effect::new(move |_| open.start());
    live.route.set_value(Some(open));
    Effect::new(|_| focus::start());
    view! {
        <div class="chat" class:open=move || open.get().is_some()>
            <div class="sidebar">
                <Account live />
                <Search live />
                <Invitations live />
                <Returned live />
                <Conversations live open />
            </div>
            <Conversation live open />
            <Connection live />
        </div>
    }
    .whole()
}

/// Shown beside the list while no conversation is open. A phone shows the list alone.
#[component]
pub(crate) fn NoConversation(live: Live) -> impl IntoView {
    let any = move || !live.sessions.read().is_empty();
    view! {
        <main class="nothing-open">
            <Logo />
            <h1>{move || if any() { "Choose a conversation" } else { "Nobody here yet" }}</h1>
            <p>
                {move || {
                    if any() {
                        "Pick one from the list, or search for somebody new."
                    } else {
                        "Search for somebody by name and invite them. As soon as they accept, you can talk."
                    }
                }}
            </p>
        </main>
    }
    .whole()
}
