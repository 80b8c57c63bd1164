//! The numbers page: Natter beside its peers, on one machine, in one run.
//!
//! The program `bench` uses it and nobody else. A `System` is a server that the benchmark starts in a folder of its
//! own, drives with the load program's [`Run`](crate::load::Run)s and stops; [`Course`] says what is measured and how
//! long; [`Results`] keeps what came out and finds the medians; [`page`] writes `docs/BENCHMARKS.md` and
//! its plots from that.
//!
//! The peers' configurations lie in `headless/peers/`, each setting that is not the default with its reason.

mod budgets;
mod course;
mod ejabberd;
mod machine;
mod measure;
mod natter;
pub mod page;
mod plot;
mod prosody;
mod results;
mod server;
mod socketio;
mod system;
mod xml;
mod xmpp;

pub use budgets::{Budget, budgets};
pub use course::Course;
pub use machine::Machine;
pub use measure::measure_all;
pub use results::Results;
