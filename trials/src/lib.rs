//! Trials of a Natter server: how fast it is, what breaks it, and how it compares.
//!
//! * [`load`] drives a server as thousands of people at once; [`relay`] is the floor to compare with.
//! * [`mod@bench`] compares Natter with other chat servers, for the numbers page.
//! * [`faults`] breaks a server in every way we know, and [`check`] holds what its clients did and saw against the
//!   promises.
//!
//! The clients are those of [`headless`]; `load` alone has its own, lighter ones. [`process`] starts the servers.

pub mod bench;
pub mod check;
pub mod faults;
pub mod load;
pub mod process;
pub mod relay;
