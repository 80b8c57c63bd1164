//! What the addresses show.

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

/// On to the sign-in, which says what has happened and knows the name.
fn go_to_sign_in(happened: &str, name: &str) {
    let name = String::from(js_sys::encode_uri_component(name));
    _ = window().location().assign(&format!("/login?{happened}=1&Username={name}"));
}
