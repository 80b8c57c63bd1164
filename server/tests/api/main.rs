//! Tests Natter end to end: a real server on a real port, real sockets, a real database, no mocks.
//!
//! Clients come from `headless`. A test waits for events, with a timeout, and never sleeps for a fixed time. Test names
//! read as sentences; `docs/PROTOCOL.md` lists them beside the lines of the seed they show.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod about;
mod account;
mod backup;
mod bad_input;
mod crowds;
mod data;
mod drain;
mod forms;
mod groups;
mod guesses;
mod headers;
mod hosts;
mod invitations;
mod lag;
mod limits;
mod logs;
mod messages;
mod origin;
mod papers;
mod permissions;
mod presence;
mod private;
mod process;
mod reading;
mod reconnect;
mod stored;
mod support;
mod twice;
