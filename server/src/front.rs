//! The threads that serve HTTP, at a lower priority than those that run the chat.
//!
//! A connection begins here and does all its HTTP here: pages, logins, files, the upgrade. A WebSocket then moves to
//! the threads that [`crate::serve`] was called on, where the chat runs. So the kernel's scheduler, which knows the
//! priorities, keeps a thousand strangers at the door out of the way of those who chat.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// The nice value of HTTP relative to messages: it still gets a quarter of a core that they keep busy, and comes before
/// password hashing.
const BEHIND: i32 = 5;

/// The threads, one per core. Dropping this drops what still runs on them.
pub(crate) struct Front(Option<Runtime>);

impl Front {
    /// # Errors
    /// The system has no room for threads.
    pub(crate) fn open() -> io::Result<Self> {
        let mut threads = Builder::new_multi_thread();
        threads.thread_name("http").enable_all().on_thread_start(|| chat::stand_back(BEHIND));
        Ok(Self(Some(threads.build()?)))
    }

    /// Returns the handle to spawn on.
    pub(crate) fn handle(&self) -> Handle {
        self.0.as_ref().expect("there until it is dropped").handle().clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // Does not block: this runs at the end of an async function.
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}
