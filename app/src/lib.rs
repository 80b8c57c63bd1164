//! The page: what people see, and the server functions behind it.
//!
//! Built twice. With `ssr` it is part of the server and renders every page; with `hydrate` it is the WASM that hydrates
//! the rendered page. Both do the same first render from the same [`boot::Boot`].
//!
//! * [`pages`](self) are what the routes show, [`components`](self) what pages are made of;
//! * `live` is everything that changes while a page is open: one `protocol::Sync`, its signals, its socket;
//! * [`api`] holds the server functions, `shell` the document around [`App`].

pub mod api;
pub mod boot;
mod clock;
mod components;
pub mod error;
mod focus;
mod live;
mod names;
mod pages;
mod route;
#[cfg(feature = "ssr")]
mod shell;
#[cfg(feature = "ssr")]
pub mod visitor;
mod whole;

use leptos::prelude::*;

use boot::{Boot, Place};
use clock::Clock;
use live::{Live, keep};
use pages::{Chat, NotFound, Register, SignIn, Welcome};
use route::Open;
#[cfg(feature = "ssr")]
pub use shell::{Assets, shell};
use whole::IntoWhole;

/// The whole page, below `<body>`.
#[component]
pub fn App() -> impl IntoView {
    let clock = Clock::new();
    provide_context(clock);
    // Here and not in a route: the live state outlives every page.
    let Boot { snapshot, place, open_registration } = Boot::shared();
    let me = snapshot.as_ref().map(|snapshot| snapshot.me.user_id);
    Effect::new(move |_| keep::signed_out(me));
    let live = snapshot.map(|snapshot| Live::new(&snapshot, clock));
    let open = Open::new(match place {
        Place::Chat(id) => Some(id),
        _ => None,
    });
    if let Some(live) = live {
        provide_context(live);
        Effect::new(move |_| live.start());
        let otherwise = place.title();
        Effect::new(move |_| document().set_title(&live.title(open.get(), otherwise)));
    }
    let page = match (place, live) {
        (Place::Home, None) => view! { <Welcome open_registration /> }.whole(),
        (Place::Home | Place::Chat(_), Some(live)) => view! { <Chat live open /> }.whole(),
        (Place::SignIn(door), _) => view! { <SignIn door open_registration /> }.whole(),
        (Place::Register(door), _) => view! { <Register door open_registration /> }.whole(),
        (Place::Chat(_), None) | (Place::Missing, _) => NotFound().whole(),
    };
    view! {
        {page}
        <Announcements />
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
fn Announcements() -> impl IntoView {
    let live = use_context::<Live>();
    view! {
        <div id="announcer" class="visually-hidden" aria-live="polite">
            {move || live.map(|live| live.announcer.text())}
        </div>
    }
}
