//! Why a load program cannot work.

/// Why a load program cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A person's client, while creating accounts and groups.
    #[error(transparent)]
    Client(#[from] headless::Error),
    /// A socket, a file or the system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file with unexpected content.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The server violated its protocol, or refused what it must not refuse.
    #[error("{0}")]
    Protocol(String),
}

impl Error {
    /// Returns an [`Error::Protocol`] with this text.
    pub fn protocol(words: impl Into<String>) -> Self {
        Self::Protocol(words.into())
    }
}
