//! What can go wrong for a client.

use protocol::Fault;

/// What can go wrong for a client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused.
    #[error("refused with {status}: {fault}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why.
        fault: Fault,
    },
    /// The answer is not one that Natter sends.
    #[error("answered with {status} and a body that is not understood: {body}")]
    Unintelligible {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: String,
    },
    /// The request did not get through.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The socket broke.
    #[error(transparent)]
    Socket(#[from] tokio_tungstenite::tungstenite::Error),
    /// The server could not be reached.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The upgrade was answered with this status instead.
    #[error("the upgrade was refused with {0}")]
    Upgrade(u16),
    /// The server closed the socket, with this code if it gave one.
    #[error("closed with {0:?}")]
    Closed(Option<u16>),
    /// There is no socket: call `connect` first.
    #[error("not connected")]
    NotConnected,
    /// The server sent something that is not a frame.
    #[error("{error} in the frame {frame}")]
    Frame {
        /// What is wrong with it.
        error: serde_json::Error,
        /// The frame.
        frame: String,
    },
    /// The wait timed out.
    #[error("waited in vain for {0}")]
    TimedOut(String),
}

impl Error {
    /// Returns whether the connection was lost, so that reconnecting may help.
    #[must_use]
    pub fn is_disconnect(&self) -> bool {
        matches!(self, Self::Socket(_) | Self::Io(_) | Self::Closed(_) | Self::NotConnected)
    }
}
