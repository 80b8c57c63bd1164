//! What the pages are made of. Components only render and handle events; the state is in [`Live`](crate::live::Live).

mod account;
mod avatar;
mod composer;
mod connection;
mod conversations;
mod credentials;
mod each;
mod invitations;
mod logo;
mod message;
mod message_list;
mod moment;
mod presence;
mod returned;
mod scroll;
mod search;
mod typing;

pub(crate) use account::Account;
pub(crate) use avatar::Avatar;
pub(crate) use composer::Composer;
pub(crate) use connection::Connection;
pub(crate) use conversations::Conversations;
pub(crate) use credentials::CredentialsForm;
pub(crate) use each::each;
pub(crate) use invitations::Invitations;
pub(crate) use logo::Logo;
pub(crate) use message_list::MessageList;
pub(crate) use moment::{DayHeading, Moment};
pub(crate) use presence::{PresenceDot, PresenceInWords};
pub(crate) use returned::Returned;
pub(crate) use search::Search;
pub(crate) use typing::Typing;
