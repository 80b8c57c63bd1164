//! A Natter client without a browser: what a person does, as methods.
//!
//! The server's tests and the load program use it. It speaks the same `protocol` as the page and keeps the same
//! [`protocol::Sync`]; it knows nothing about the server's internals.
//!
//! * [`Client`] is a person at a device: it registers, signs in, connects, talks, and reconnects.
//! * [`Http`] and [`Socket`] are the bare transports, for sending what no well-behaved client would.
//! * [`load`] simulates many people concurrently, for the load program; [`relay`] is the floor it compares with.
//! * [`bench`] compares Natter with other chat servers, for the numbers page.
//! * [`faults`] breaks a server in many ways, and [`check`] holds what many clients did and saw against the promises.
//!
//! A client has no task of its own: it makes progress only while one of its methods is awaited. To run many
//! concurrently, give each a task, which makes one task per socket.

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
