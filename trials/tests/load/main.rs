//! The load program: it finds nothing wrong with a faultless server, and every fault of a broken one.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod natter;
mod relay;
