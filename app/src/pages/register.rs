//! `/register`.

use leptos::prelude::*;
use protocol::api::Credentials;

use crate::api;
use crate::boot::Door;
use crate::components::CredentialsForm;
use crate::whole::IntoWhole;

/// Works without a script: the form posts to the same path.
#[component]
pub(crate) fn Register(door: Door) -> impl IntoView {
    let register = Action::new(|credentials: &Credentials| {
        let name = credentials.username.clone();
        let request = api::register(credentials.clone());
        async move { request.await.map(|_| name).map_err(|error| error.0) }
    });
    Effect::new(move |_| {
        if let Some(Ok(name)) = register.value().get() {
            let name = String::from(js_sys::encode_uri_component(&name));
            _ = window().location().assign(&format!("/login?Registered=1&Username={name}"));
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
        >
            <p class="lead">"A name that people can find you by, and a password. Nothing else."</p>
        </CredentialsForm>
    }
    .whole()
}
