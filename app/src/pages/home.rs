//! `/`: the welcome for strangers; for everybody else the list, with a conversation beside it.

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::components::Outlet;
use leptos_router::hooks::{use_location, use_navigate};
use protocol::SessionId;

use crate::components::{Account, Connection, Conversations, Invitations, Logo, Search};
use crate::live::Live;
use crate::whole::IntoWhole;

/// The frame of `/` and of every conversation.
#[component]
pub(crate) fn Home() -> impl IntoView {
    match use_context::<Live>() {
        Some(live) => view! { <Chat live /> }.whole(),
        None => view! { <Welcome /> }.whole(),
    }
}

#[component]
fn Welcome() -> impl IntoView {
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
                    <a class="button" href="/register">
                        "Create an account"
                    </a>
                    <a class="button quiet" href="/login">
                        "Sign in"
                    </a>
                </nav>
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

/// The list on one side and the opened conversation on the other; a phone shows one of them.
#[component]
fn Chat(live: Live) -> impl IntoView {
    let path = use_location().pathname;
    // The route's parameters belong to the route below this one, so the path is asked.
    let open =
        Memo::new(move |_| path.read().strip_prefix("/chat/").and_then(|id| id.parse::<SessionId>().ok()));
    let navigate = use_navigate();
    Effect::new(move |_| {
        if let Some(id) = live.summons.get() {
            live.summons.set(None);
            live.greeted.set_value(Some(id));
            navigate(&format!("/chat/{id}"), NavigateOptions::default());
        }
    });
    view! {
        <div class="chat" class:open=move || path.read().starts_with("/chat/")>
            <div class="sidebar">
                <Account live />
                <Search live />
                <Invitations live />
                <Conversations live open />
            </div>
            <Outlet />
            <Connection live />
        </div>
    }
    .whole()
}

/// Beside the list while no conversation is open. A phone shows the list alone.
#[component]
pub(crate) fn NoConversation() -> impl IntoView {
    let live = use_context::<Live>();
    let any = move || live.is_some_and(|live| !live.sessions.read().is_empty());
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
