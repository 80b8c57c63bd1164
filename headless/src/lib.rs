//! A Natter client without a browser: what a person does, as methods.
//!
//! The server's tests and the load program use it. It speaks the same `protocol` as the page and keeps the same
//! [`protocol::Sync`]; it knows nothing of the server's insides.
//!
//! * [`Client`] is a person at a device: it registers, signs in, connects, talks, and comes back after a loss.
//! * [`Http`] and [`Socket`] are the two ways to the server by themselves, for whoever wants to send what no
//!   decent client would send.
//! * [`load`] is many people at once, for the load program; [`relay`] is the floor it compares with.
//! * [`bench`] is Natter beside other chat servers, for the numbers page.
//! * [`faults`] breaks a server in many ways, and [`check`] holds what many clients did and saw against what is promised.
//!
//! A client has no task of its own: it moves on only while one of its methods is awaited. Whoever wants many at
//! once gives each a task, which makes one task per socket.

mod backoff;
pub mod bench;
pub mod check;
mod client;
mod error;
pub mod faults;
mod http;
pub mod load;
pub mod process;
pub mod relay;
mod socket;

pub use backoff::Backoff;
pub use client::{Client, LIMIT};
pub use error::Error;
pub use http::{Answer, Http};
pub use socket::{Event, Handshake, Socket};
