//! What can go wrong: detailed inside, few codes outside.

use std::path::PathBuf;
use std::time::Duration;

use protocol::{Code, Fault};

/// The first SQLite in which WAL mode cannot lose commits when two connections write or checkpoint concurrently
/// (sqlite.org/wal.html, "the WAL-reset bug").
pub const MIN_SQLITE: &str = "3.51.3";

/// The domain's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The requester can fix it; the fault says how.
    #[error("refused: {0}")]
    Refused(#[from] Fault),
    /// Too many attempts.
    #[error("refused for {wait:?}: {reason}")]
    TooMany {
        /// How long to wait before trying again.
        wait: Duration,
        /// A sentence for the requester.
        reason: String,
    },
    /// Nothing is wrong with the request; the server cannot accept it right now.
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

    /// Converts to what the client sees. Server failures are logged here, once, and leave as a bare code.
    #[must_use]
    pub fn into_fault(self) -> Fault {
        match self {
            Error::Refused(fault) => fault,
            Error::TooMany { reason, .. } => Fault::new(Code::TooMany, reason),
            Error::Unavailable(why) => {
                tracing::debug!(why, "not available"); // the cause was logged where it arose
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

    /// Makes a refusal with the code's standard sentence.
    pub(crate) fn refused(code: Code) -> Self {
        Error::Refused(Fault::of(code))
    }
}

/// Why a chat could not be opened: sentences for the person who runs the server.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data folder cannot be created or written.
    #[error(
        "The data folder {0} cannot be used: {1}. Name another one with --data, or mend its permissions."
    )]
    Folder(PathBuf, std::io::Error),
    /// Others may write to the data folder.
    #[error(
        "Others may write into the data folder {0} (its permissions are {1:o}), and so exchange what Natter keeps there. Look whether all of it is yours, then run `chmod go-w {0}`, or name another folder with --data."
    )]
    Shared(PathBuf, u32),
    /// The data folder, or a file in it, belongs to another user.
    #[error(
        "{0} belongs to another user (number {1}). Run this as that user, give it to yours with `chown`, or name another folder with --data."
    )]
    Foreign(PathBuf, u32),
    /// A symbolic link where a file should be.
    #[error(
        "{0} is a link, and Natter follows none in its data folder. Put the file itself there, or name the folder it is in with --data."
    )]
    Link(PathBuf),
    /// Something else where a file should be.
    #[error("{0} is none of Natter's files. Move it away, or name another folder with --data.")]
    NotOurs(PathBuf),
    /// Another Natter uses the folder.
    #[error(
        "Another Natter is using the data folder {0}. Stop it first, or name another folder with --data."
    )]
    InUse(PathBuf),
    /// Another program holds the database.
    #[error("The database {0} is locked by another program. Close it there and start again.")]
    Locked(PathBuf),
    /// Not a database, or damaged.
    #[error(
        "The database {0} is damaged ({1}). Bring a backup back with `natter restore`, or move it away to start empty."
    )]
    Damaged(PathBuf, String),
    /// A newer Natter made the database.
    #[error(
        "The database {0} was made by another version of Natter ({1}). Start that version or a newer one."
    )]
    Version(PathBuf, String),
    /// There is no room to bring the database up to this version: how many MiB must be free.
    #[error(
        "This version of Natter has to write the database {0} anew, once, and needs {1} MiB of free disk for it. Make room and start again. Nothing was changed, so the version before still runs."
    )]
    NoRoom(PathBuf, u64),
    /// An older Natter made the database and is using it.
    #[error(
        "The database {0} is of an older Natter, which is using it. Start the server anew with this program, then try again."
    )]
    Older(PathBuf),
    /// The SQLite in this program is too old to be safe.
    #[error("This program was built with SQLite {0}, which can lose commits; {min} or newer is needed.", min = MIN_SQLITE)]
    OldSqlite(String),
    /// The SQLite in this program lacks a feature.
    #[error(
        "This program was built with an SQLite without {0}; .cargo/config.toml says how it has to be built."
    )]
    Build(&'static str),
    /// Anything else.
    #[error("The database {0} cannot be opened: {1}")]
    Database(PathBuf, Box<dyn std::error::Error + Send + Sync>),
}

impl OpenError {
    /// Whether the folder is one in which others could replace Natter's files.
    #[must_use]
    pub fn is_unsafe_folder(&self) -> bool {
        matches!(self, Self::Shared(..) | Self::Foreign(..) | Self::Link(_) | Self::NotOurs(_))
    }
}
