//! The threads that speak HTTP, behind those that carry the chat.
//!
//! A connection begins here and does all its HTTP here: pages, logins, files, the upgrade. A WebSocket goes on on the
//! threads that [`crate::serve`] was called on, where the chat is. So a thousand strangers at the door cost those who
//! talk no more than the system's choice between two threads, which knows who stands behind whom.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// How far HTTP stands behind messages: it still gets a quarter of a core that they keep busy, and goes before the hashing
/// of passwords.
const BEHIND: i32 = 5;

/// The threads, one for each core. What still runs on them when this is dropped is dropped too.
pub(crate) struct Front(Option<Runtime>);

impl Front {
    /// # Errors
    /// The system has no room for threads.
    pub(crate) fn open() -> io::Result<Self> {
        let mut threads = Builder::new_multi_thread();
        threads.thread_name("http").enable_all().on_thread_start(|| chat::stand_back(BEHIND));
        Ok(Self(Some(threads.build()?)))
    }

    /// Where to spawn.
    pub(crate) fn handle(&self) -> Handle {
        self.0.as_ref().expect("there until it is dropped").handle().clone()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // Waits for nothing: this is the end of an asynchronous function.
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}
