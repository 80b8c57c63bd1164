//! What can keep a load program from its work.

/// What can keep a load program from its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A person's client, while accounts and groups were made.
    #[error(transparent)]
    Client(#[from] crate::Error),
    /// A socket, a file or the system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file that holds something else than it should.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The other side said something that is not its protocol, or refused what it must not refuse.
    #[error("{0}")]
    Protocol(String),
}

impl Error {
    /// [`Error::Protocol`], in these words.
    pub fn protocol(words: impl Into<String>) -> Self {
        Self::Protocol(words.into())
    }
}
