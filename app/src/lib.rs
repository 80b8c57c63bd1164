//! The page: what people see, and the server functions behind it.
//!
//! Built twice. With `ssr` it is part of the server and renders every page; with `hydrate` it is the WASM that hydrates
//! the rendered page. Both do the same first render from the same [`boot::Boot`].
//!
//! * [`pages`](self) are what the routes show, [`components`](self) what pages are made of;
//! * `live` is everything that changes while a page is open: one `protocol::Sync`, its signals, its socket;
//! * [`api`] holds the server functions, `shell` the document around the page;
//! * `parts` hydrates the page with the part of the code that it needs.

pub mod api;
pub mod boot;
mod clock;
mod components;
pub mod error;
mod focus;
pub mod json;
mod live;
mod names;
mod pages;
#[cfg(feature = "hydrate")]
mod parts;
#[cfg(feature = "ssr")]
pub mod plain;
mod route;
#[cfg(feature = "ssr")]
mod shell;
#[cfg(feature = "ssr")]
pub mod visitor;
mod whole;

use leptos::prelude::*;

use boot::{ChatBoot, DoorsBoot, NOT_FOUND, Place};
use clock::Clock;
use live::{Live, keep};
use pages::{Chat, NotFound, Register, SignIn, Welcome};
#[cfg(feature = "hydrate")]
pub use parts::{hydrate, hydrate_doors};
use protocol::UserId;
use route::Open;
#[cfg(feature = "ssr")]
pub use shell::{Assets, shell};
use whole::IntoWhole;

/// The whole page, below `<body>`. In the browser each part of the code draws its own pages (`parts.rs`).
#[cfg(feature = "ssr")]
#[component]
fn App() -> impl IntoView {
    let (page, live) = match boot::Boot::of_request().part() {
        boot::Part::Chat => chat(ChatBoot::shared()),
        boot::Part::Doors => (doors(DoorsBoot::shared()), None),
    };
    around(page, live)
}

/// What the main part draws: the chat, and that there is nothing at this address.
fn chat(boot: ChatBoot) -> (AnyView, Option<Live>) {
    let ChatBoot { snapshot, open, is_found } = boot;
    let clock = Clock::new();
    provide_context(clock);
    sweep(snapshot.as_ref().map(|snapshot| snapshot.me.user_id));
    // Here and not in a route: the live state outlives every page.
    let live = snapshot.map(|snapshot| Live::new(&snapshot, clock));
    let open = Open::new(open);
    if let Some(live) = live {
        provide_context(live);
        Effect::new(move |_| live.start());
        let otherwise = if is_found { "" } else { NOT_FOUND };
        Effect::new(move |_| document().set_title(&live.title(open.get(), otherwise)));
    }
    let page = match live.filter(|_| is_found) {
        Some(live) => view! { <Chat live open /> }.whole(),
        None => NotFound().whole(),
    };
    (page, live)
}

/// What the doors' part draws: what one sees before one is signed in.
fn doors(boot: DoorsBoot) -> AnyView {
    let DoorsBoot { place, open_registration } = boot;
    sweep(None);
    match place {
        Place::SignIn(door) => view! { <SignIn door open_registration /> }.whole(),
        Place::Register(door) => view! { <Register door open_registration /> }.whole(),
        _ => view! { <Welcome open_registration /> }.whole(),
    }
}

/// Removes what this browser keeps of people who have signed out.
fn sweep(me: Option<UserId>) {
    Effect::new(move |_| keep::signed_out(me));
}

/// A page, and what every page has.
fn around(page: AnyView, live: Option<Live>) -> impl IntoView {
    view! {
        {page}
        <Announcements live />
    }
}

/// Builds the document's title: what it shows, so that people find the tab, and how much is waiting.
fn title(what: &str, waiting: i64) -> String {
    let waiting = if waiting == 0 { String::new() } else { format!("({waiting}) ") };
    let between = if what.is_empty() { "" } else { " – " };
    format!("{waiting}{what}{between}Natter")
}

/// The page's only live region. Present from the start, as screen readers require.
#[component]
fn Announcements(live: Option<Live>) -> impl IntoView {
    view! {
        <div id="announcer" class="visually-hidden" aria-live="polite">
            {move || live.map(|live| live.announcer.text())}
        </div>
    }
}
