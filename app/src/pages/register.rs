//! `/register`.

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;
use protocol::api::Credentials;

use crate::api;
use crate::components::CredentialsForm;
use crate::whole::IntoWhole;

/// Works without a script: the form posts to the same path.
#[component]
pub(crate) fn Register() -> impl IntoView {
    let register = Action::new(|credentials: &Credentials| {
        let name = credentials.username.clone();
        let request = api::register(credentials.clone());
        async move { request.await.map(|_| name).map_err(|error| error.0) }
    });
    let navigate = use_navigate();
    Effect::new(move |_| {
        if let Some(Ok(name)) = register.value().get() {
            let name = String::from(js_sys::encode_uri_component(&name));
            navigate(&format!("/login?Registered=1&Username={name}"), NavigateOptions::default());
        }
    });
    view! {
        <CredentialsForm
            heading="Create your account"
            action="/register"
            button="Create account"
            submit=register
            new=true
        >
            <p class="lead">"A name that people can find you by, and a password. Nothing else."</p>
        </CredentialsForm>
    }
    .whole()
}
