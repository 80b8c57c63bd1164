//! `/about`: what this server is, and what it keeps.

use leptos::prelude::*;

use super::document;
use crate::components::Logo;
use crate::shell::Assets;
use crate::visitor::LIFETIME;
use crate::whole::IntoWhole;

/// What `/about` says of this server.
#[derive(Debug, Clone)]
pub struct About {
    /// Where people reach it, if it knows.
    pub address: Option<String>,
    /// The program's version.
    pub version: &'static str,
    /// Whether people may create accounts.
    pub open_registration: bool,
    /// Where its source can be read, if that is known.
    pub source: Option<String>,
}

/// Draws the page. Its document has neither scripts nor anything of the visitor.
#[must_use]
pub fn about(assets: &Assets, about: About) -> String {
    document(assets, "About this server", || draw(about))
}

fn draw(about: About) -> AnyView {
    let About { address, version, open_registration, source } = about;
    let days = LIFETIME.as_secs() / (24 * 60 * 60);
    view! {
        <main class="about">
            <a class="brand" href="/">
                <Logo />
                "Natter"
            </a>
            <h1>"About this server"</h1>
            <p class="lead">
                "Natter is a private chat. You search for somebody by name, and only when they accept can the two of you talk."
            </p>
            <dl>
                {address.map(|address| view! { <dt>"Address"</dt><dd>{address}</dd> })}
                <dt>"New accounts"</dt>
                <dd>
                    {if open_registration {
                        view! { <a href="/register">"Anyone can create one"</a> }.whole()
                    } else {
                        "Closed. Ask the people who run this server.".into_view().whole()
                    }}
                </dd>
                <dt>"Version"</dt>
                <dd>{version}</dd>
                <dt>"Source"</dt>
                <dd>
                    {match source {
                        Some(source) => view! { <a href=source.clone()>{source.clone()}</a> }.whole(),
                        None => "Ask the people who run this server.".into_view().whole(),
                    }}
                    " Natter is free software, under MIT or Apache 2.0."
                </dd>
            </dl>
            <h2>"Who can read what you write"</h2>
            <p>
                "The people in the conversation, and the people who run this server: messages are not end-to-end encrypted. Natter passes nothing on to anybody else."
            </p>
            <h2>"What is kept here"</h2>
            <ul>
                <li>"Your name, and a hash of your password that cannot be turned back into it."</li>
                <li>
                    "Your messages, until you delete them. A deleted message, and what an edit replaced, is overwritten on the disk within minutes."
                </li>
                <li>"Whom you have invited, how far you have read, and when you were last here."</li>
                <li>
                    {format!(
                        "For every browser in which you are signed in: its name and the address it signed in from, until you sign out or stay away for {days} days.",
                    )}
                </li>
                <li>
                    "A log of sign-ins and of what was refused. It names your account by a number and your network by the first part of its address, and never contains your name or your words."
                </li>
                <li>"Backups, if the people who run this server make any, for as long as they keep them."</li>
            </ul>
            <h2>"What is kept in your browser"</h2>
            <p>
                "A cookie that keeps you signed in, a second one that recognises this device for a year and lets nobody in, and what you have written but not sent. No tracking, and nothing from other sites."
            </p>
        </main>
    }
    .whole()
}
