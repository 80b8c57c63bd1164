//! The head of the list: who is signed in, and the sign-out.

use leptos::ev::SubmitEvent;
use leptos::prelude::*;

use super::Logo;
use crate::live::{Live, keep};
use crate::whole::IntoWhole;

/// Sign-out is a plain form, so it works without scripts.
#[component]
pub(crate) fn Account(live: Live) -> impl IntoView {
    let me = live.me();
    let sign_out = move |event: SubmitEvent| {
        let question = match live.unsent() {
            0 => None,
            1 => Some("One message has not been sent yet. Sign out and lose it?".to_owned()),
            n => Some(format!("{n} messages have not been sent yet. Sign out and lose them?")),
        };
        let agreed = question.is_none_or(|question| window().confirm_with_message(&question).unwrap_or(true));
        if agreed {
            live.leave();
            keep::sign_out(me.user_id);
        } else {
            event.prevent_default();
        }
    };
    view! {
        <header class="account">
            <a class="brand" href="/" aria-label="Natter">
                <Logo />
            </a>
            <p class="account-name">
                <bdi>{me.username.clone()}</bdi>
            </p>
            <form method="post" action="/logout" on:submit=sign_out>
                <button class="quiet small">"Sign out"</button>
            </form>
        </header>
    }
    .whole()
}
