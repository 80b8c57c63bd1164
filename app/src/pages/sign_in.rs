//! `/login`.

use leptos::prelude::*;
use protocol::api::Credentials;

use crate::api;
use crate::boot::Door;
use crate::components::CredentialsForm;
use crate::whole::IntoWhole;

/// Works without a script: the form posts to the same path.
#[component]
pub(crate) fn SignIn(door: Door) -> impl IntoView {
    let registered = door.registered.is_some();
    let sign_in = Action::new(|credentials: &Credentials| {
        let request = api::login(credentials.clone());
        async move { request.await.map(drop).map_err(|error| error.0) }
    });
    Effect::new(move |_| {
        if let Some(Ok(())) = sign_in.value().get() {
            // Not a route: the server draws the whole page anew, for the person it now knows.
            let _ = window().location().assign("/");
        }
    });
    view! {
        <CredentialsForm heading="Sign in" action="/login" button="Sign in" submit=sign_in door new=false>
            {registered
                .then(|| {
                    view! {
                        <p class="note good" role="status">
                            "Your account is ready. Sign in to begin."
                        </p>
                    }
                })}
        </CredentialsForm>
    }
    .whole()
}
