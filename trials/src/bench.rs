//! The numbers page: Natter beside its peers, on one machine, in one run.
//!
//! Only the program `bench` uses it. A `System` is a server that the benchmark starts in its own folder, drives with
//! the load program's [`Run`](crate::load::Run)s and stops; [`Course`] says what is measured and for how long;
//! [`Results`] keeps the measurements and finds the medians; [`page`] writes `docs/BENCHMARKS.md` and its plots from
//! them.
//!
//! The peers' configurations are in `trials/peers/`; each setting that is not the default comes with its reason.

mod budgets;
mod course;
mod ejabberd;
mod figures;
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
