//! Identifiers and counters. All identifiers are UUIDs, version 7 where we make them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Makes a new identifier: UUIDv7 (RFC 9562), so that later ones sort after earlier ones.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a fresh identifier is no default value")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// Names an account. Made by the server at registration.
    UserId
);
id!(
    /// Names a session, that is, a conversation. Made by the server when an invitation is accepted.
    SessionId
);
id!(
    /// Names a message. Made by the sending client: the key of every retry, unique in its session.
    MessageId
);
id!(
    /// Names an invitation. Made by the server.
    InviteId
);
id!(
    /// Names one history of a session. It changes only when the server's history was replaced (a restore), and tells
    /// clients that the numbers they hold no longer mean anything.
    Epoch
);

impl MessageId {
    /// Makes an identifier that sorts after this one, even if the clock has been set back since.
    #[must_use]
    pub fn new_after(self) -> Self {
        Self::new().max(Self(Uuid::from_u128(self.0.as_u128().wrapping_add(1))))
    }
}

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter!(
    /// Place of a message in its session: 1, 2, 3… without gaps, assigned inside the commit. `Seq` alone defines order.
    Seq
);
counter!(
    /// Number of a visible change (new, edited, deleted) in a session: 1, 2, 3… without gaps.
    Rev
);
counter!(
    /// A moment by the server's clock, in milliseconds since 1970-01-01 UTC. For display only; decides nothing.
    TimeStamp
);

impl Rev {
    /// Returns the number of the change that follows this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
