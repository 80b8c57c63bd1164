//! The form of both doors, sign-in and registration: a name and a password.

use leptos::ev::SubmitEvent;
use leptos::html;
use leptos::prelude::*;
use protocol::api::Credentials;
use protocol::text::clean_name;
use protocol::{Code, Fault};

use super::Logo;
use crate::boot::Door;
use crate::focus::nothing_has_it;
use crate::whole::IntoWhole;

/// A plain form that posts to `action`; the server redirects back to this page with the reason if it refuses. Once
/// hydrated it calls `submit` instead and shows the refusal in place. The fields are uncontrolled: what was typed
/// before hydration stays.
#[component]
pub(crate) fn CredentialsForm<T: Clone + Send + Sync + 'static>(
    heading: &'static str,
    action: &'static str,
    button: &'static str,
    submit: Action<Credentials, Result<T, Fault>>,
    /// The outcome of an earlier post.
    door: Door,
    /// Whether this is a registration, with a new password.
    new: bool,
    /// A link to the other door, if there is one.
    elsewhere: AnyView,
    children: Children,
) -> impl IntoView {
    let Door { username: known_name, said, .. } = door;
    let is_known = !known_name.is_empty();
    let (name, password) = (NodeRef::<html::Input>::new(), NodeRef::<html::Input>::new());
    let send = move |event: SubmitEvent| {
        let (Some(name), Some(password)) = (name.get_untracked(), password.get_untracked()) else { return };
        event.prevent_default();
        if !submit.pending().get_untracked() {
            // A sign-in takes the name as it is: it may be older than today's rules for names.
            let username = if new { clean_name(&name.value()) } else { name.value() };
            submit.dispatch(Credentials { username, password: password.value() });
        }
    };
    let refusal = move || match &*submit.value().read() {
        Some(Err(fault)) => Some(fault.reason.clone()),
        Some(Ok(_)) => None,
        None => said.clone(),
    };
    Effect::new(move |_| {
        if let Some(Err(fault)) = &*submit.value().read() {
            let about_password = matches!(fault.error, Code::WrongPassword | Code::UnusablePassword);
            if let Some(password) = password.get_untracked().filter(|_| about_password) {
                password.set_value("");
            }
            let field = if about_password { password } else { name };
            _ = field.get_untracked().map(|field| field.focus());
        }
    });
    // `autofocus` works for documents only; a page reached by a link has to set the focus itself.
    Effect::new(move |_| {
        let field = if is_known { password } else { name };
        _ = field.get().filter(|_| nothing_has_it()).map(|field| field.focus());
    });
    let busy = move || submit.pending().get() || matches!(&*submit.value().read(), Some(Ok(_)));
    view! {
        <main class="door">
            <a class="brand" href="/">
                <Logo />
                "Natter"
            </a>
            <h1>{heading}</h1>
            {children()}
            <form method="post" action=action on:submit=send>
                <label>
                    <span>"Name"</span>
                    <input
                        node_ref=name
                        name="Username"
                        type="text"
                        required
                        maxlength="512"
                        autocomplete="username"
                        autocapitalize="none"
                        spellcheck="false"
                        value=known_name
                        autofocus=!is_known
                    />
                </label>
                <label>
                    <span>"Password"</span>
                    <input
                        node_ref=password
                        name="Password"
                        type="password"
                        required
                        autofocus=is_known
                        autocomplete=if new { "new-password" } else { "current-password" }
                        aria-describedby=new.then_some("password-rule")
                    />
                </label>
                {new.then(|| view! { <p class="rule" id="password-rule">"At least 8 characters."</p> })}
                {move || refusal().map(|reason| view! { <p class="note bad" role="alert">{reason}</p> })}
                <button aria-busy=move || busy().then_some("true")>{button}</button>
            </form>
            <p class="elsewhere">{elsewhere}</p>
            <p class="elsewhere">
                <a href="/about">"About this server"</a>
            </p>
        </main>
    }
    .whole()
}
