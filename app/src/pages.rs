//! What the routes show.

mod conversation;
mod home;
mod not_found;
mod register;
mod sign_in;

pub(crate) use conversation::Conversation;
pub(crate) use home::{Chat, Welcome};
pub(crate) use not_found::NotFound;
pub(crate) use register::Register;
pub(crate) use sign_in::SignIn;

use leptos::prelude::window;

/// Navigates to the sign-in page, which says what happened and has the name filled in.
fn go_to_sign_in(happened: &str, name: &str) {
    let name = String::from(js_sys::encode_uri_component(name));
    _ = window().location().assign(&format!("/login?{happened}=1&Username={name}"));
}
