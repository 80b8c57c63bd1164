//! `/register`.

use leptos::prelude::*;
use protocol::Code;
use protocol::api::Credentials;

use crate::api;
use crate::boot::Door;
use crate::components::CredentialsForm;
use crate::pages::not_found::nothing;
use crate::whole::IntoWhole;

/// Works without a script: the form posts to the same path.
#[component]
pub(crate) fn Register(door: Door, open_registration: bool) -> impl IntoView {
    if !open_registration {
        // Instead of a form that nobody could submit.
        return nothing("No new accounts here", Code::RegistrationClosed.reason());
    }
    let register = Action::new(|credentials: &Credentials| {
        let name = credentials.username.clone();
        let request = api::register(credentials.clone());
        async move { request.await.map(|_| name).map_err(|error| error.0) }
    });
    Effect::new(move |_| {
        if let Some(Ok(name)) = register.value().get() {
            super::go_to_sign_in("Registered", &name);
        }
    });
    view! {
        <CredentialsForm
            heading="Create your account"
            action="/register"
            button="Create account"
            submit=register
            door
            new=true
            elsewhere=view! { "You have an account? " <a href="/login">"Sign in"</a> }.whole()
        >
            <p class="lead">"A name that people can find you by, and a password. Nothing else."</p>
        </CredentialsForm>
    }
    .whole()
}
