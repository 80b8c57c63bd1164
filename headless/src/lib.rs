//! A Natter client without a browser: what a person does, as methods.
//!
//! The server's tests and the trials use it. It speaks the same `protocol` as the page and keeps the same
//! [`protocol::Sync`]; it knows nothing about the server's internals.
//!
//! * [`Client`] is a person at a device: it registers, signs in, connects, talks, and reconnects.
//! * [`Http`] and [`Socket`] are the bare transports, for sending what no well-behaved client would.
//!
//! A client has no task of its own: it makes progress only while one of its methods is awaited. To run many
//! concurrently, give each a task, which makes one task per socket.

mod backoff;
mod client;
mod error;
mod http;
mod socket;

pub use backoff::Backoff;
pub use client::{Client, LIMIT};
pub use error::Error;
pub use http::{Http, Response};
pub use socket::{Event, Handshake, Socket};
