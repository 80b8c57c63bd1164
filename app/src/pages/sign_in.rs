//! `/login`.

use leptos::prelude::*;
use protocol::api::Credentials;

use crate::api;
use crate::boot::Door;
use crate::components::CredentialsForm;
use crate::whole::IntoWhole;

/// Works without a script: the form posts to the same path.
#[component]
pub(crate) fn SignIn(door: Door, open_registration: bool) -> impl IntoView {
    let registered = door.registered;
    let forgotten = door.signed_in;
    let elsewhere =
        open_registration.then(|| view! { "New here? " <a href="/register">"Create an account"</a> });
    let sign_in = Action::new(|credentials: &Credentials| {
        let name = credentials.username.clone();
        let request = api::login(credentials.clone());
        async move { request.await.map(|_| name).map_err(|error| error.0) }
    });
    Effect::new(move |_| {
        if let Some(Ok(name)) = sign_in.value().get() {
            // A page load: the server renders for the user it now knows. It redirects to the chat if the browser kept
            // the cookie, and else comes back here.
            super::go_to_sign_in("SignedIn", &name);
        }
    });
    view! {
        <CredentialsForm heading="Sign in" action="/login" button="Sign in" submit=sign_in door new=false elsewhere=elsewhere.whole()>
            {forgotten
                .then(|| {
                    view! {
                        <p class="note bad" role="alert">
                            "Name and password were right, but this browser did not keep the login. Allow cookies for this site, then sign in again."
                        </p>
                    }
                })}
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
