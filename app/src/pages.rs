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
