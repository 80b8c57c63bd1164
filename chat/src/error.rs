//! What can go wrong: rich inside, few outside.

use std::path::PathBuf;
use std::time::Duration;

use protocol::{Code, Fault};

/// The domain's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The person who asked can mend it; the fault says how.
    #[error("refused: {0}")]
    Refused(#[from] Fault),
    /// Too much was tried.
    #[error("refused for {wait:?}: {reason}")]
    TooMany {
        /// When to try again.
        wait: Duration,
        /// A sentence for who tried.
        reason: String,
    },
    /// Nothing is wrong with the request; the server cannot take it just now.
    #[error("unavailable: {0}")]
    Unavailable(&'static str),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// Hashing a password failed.
    #[error("hashing a password failed: {0}")]
    Password(String),
}

impl Error {
    /// The database is closed.
    pub(crate) const CLOSED: Self = Error::Unavailable("the database is closed");

    /// The disk is in trouble.
    pub(crate) const NO_COMMITS: Self = Error::Unavailable("the database does not take commits");

    /// What the client is told. Failures of the server are logged here, once, and leave as a bare code.
    #[must_use]
    pub fn into_fault(self) -> Fault {
        match self {
            Error::Refused(fault) => fault,
            Error::TooMany { reason, .. } => Fault::new(Code::TooMany, reason),
            Error::Unavailable(why) => {
                tracing::debug!(why, "not available"); // its cause was logged where it is
                Fault::of(Code::Unavailable)
            }
            Error::Database(_) | Error::Password(_) => {
                if matches!(self, Error::Database(_)) {
                    metrics::counter!("natter_database_errors_total").increment(1);
                }
                tracing::error!(error = &self as &dyn std::error::Error, "request failed");
                Fault::of(Code::Internal)
            }
        }
    }

    /// A refusal with the code's standard sentence.
    pub(crate) fn refused(code: Code) -> Self {
        Error::Refused(Fault::of(code))
    }
}

/// Why a chat could not be opened: sentences for the person who runs the server.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data folder cannot be made or written.
    #[error(
        "The data folder {0} cannot be used: {1}. Name another one with --data, or mend its permissions."
    )]
    Folder(PathBuf, std::io::Error),
    /// A data folder that others may write.
    #[error(
        "Others may write into the data folder {0} (its permissions are {1:o}), and so exchange what Natter keeps there. Look whether all of it is yours, then run `chmod go-w {0}`, or name another folder with --data."
    )]
    Shared(PathBuf, u32),
    /// A data folder of another user, or a file in it.
    #[error(
        "{0} belongs to another user (number {1}). Run this as that user, give it to yours with `chown`, or name another folder with --data."
    )]
    Foreign(PathBuf, u32),
    /// A link in place of a file.
    #[error(
        "{0} is a link, and Natter follows none in its data folder. Put the file itself there, or name the folder it is in with --data."
    )]
    Link(PathBuf),
    /// Something else in place of a file.
    #[error("{0} is none of Natter's files. Move it away, or name another folder with --data.")]
    NotOurs(PathBuf),
    /// A second process.
    #[error(
        "Another Natter is using the data folder {0}. Stop it first, or name another folder with --data."
    )]
    InUse(PathBuf),
    /// Another program holds the database.
    #[error("The database {0} is locked by another program. Close it there and start again.")]
    Locked(PathBuf),
    /// Not a database, or a damaged one.
    #[error(
        "The database {0} is damaged ({1}). Bring a backup back with `natter restore`, or move it away to start empty."
    )]
    Damaged(PathBuf, String),
    /// Made by a newer Natter.
    #[error(
        "The database {0} was made by another version of Natter ({1}). Start that version or a newer one."
    )]
    Version(PathBuf, String),
    /// Made by an older Natter that is using it.
    #[error(
        "The database {0} is of an older Natter, which is using it. Start the server anew with this program, then try again."
    )]
    Older(PathBuf),
    /// The SQLite in this program is too old to be safe.
    #[error("This program was built with SQLite {0}, which can lose commits; {min} or newer is needed.", min = crate::MIN_SQLITE)]
    OldSqlite(String),
    /// The SQLite in this program lacks something.
    #[error(
        "This program was built with an SQLite without {0}; .cargo/config.toml says how it has to be built."
    )]
    Build(&'static str),
    /// Anything else.
    #[error("The database {0} cannot be opened: {1}")]
    Database(PathBuf, Box<dyn std::error::Error + Send + Sync>),
}

impl OpenError {
    /// Whether Natter was told to use a folder in which others could exchange its files.
    #[must_use]
    pub fn is_unsafe_folder(&self) -> bool {
        matches!(self, Self::Shared(..) | Self::Foreign(..) | Self::Link(_) | Self::NotOurs(_))
    }
}
