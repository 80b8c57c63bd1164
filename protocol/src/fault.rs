//! The only error a client ever sees.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a request was refused: a code for programs and a sentence for people. The body of every HTTP error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Fault {
    /// The kind of refusal.
    #[serde(default)]
    pub error: Code,
    /// What a person can do about it, in one sentence.
    #[serde(default)]
    pub reason: String,
}

impl Fault {
    /// Makes a refusal with its own sentence.
    pub fn new(error: Code, reason: impl Into<String>) -> Self {
        Self { error, reason: reason.into() }
    }

    /// Makes a refusal with the standard sentence for its code.
    #[must_use]
    pub fn of(error: Code) -> Self {
        Self::new(error, error.reason())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Fault {}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $reason:literal;)*) => {
        /// Every kind of refusal. A client may match on it; for an unknown code it shows the sentence.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* $name,)*
            /// A code from a later server that this client does not know. This server never sends it.
            #[default]
            #[serde(other)]
            Unknown,
        }

        impl Code {
            /// Every code the server sends, for documentation and tests.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            /// Returns the HTTP status that carries this code.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* Code::Unknown => 500 }
            }

            /// Returns the standard sentence; the server often sends a more specific one.
            #[must_use]
            pub fn reason(self) -> &'static str {
                match self { $(Code::$name => $reason,)* Code::Unknown => "The server refused this." }
            }

            /// Returns the code's name on the wire.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Code::$name => stringify!($name),)* Code::Unknown => "Unknown" }
            }
        }
    };
}

codes! {
    /// Register: the name is taken, or looks like one that is.
    NameTaken = 409, "This name is taken. Please choose another one.";
    /// Login: nobody has this name.
    InvalidUser = 400, "There is no user with this name. Please check the spelling.";
    /// Login: the password is not the user's.
    WrongPassword = 401, "The password does not match this name.";
    /// The request needs a login and came without a valid one.
    Unauthenticated = 401, "Please sign in.";
    /// Register: the name breaks a rule, which the sentence gives.
    UnusableName = 422, "A name has 2 to 32 letters, digits, dots, dashes or underscores.";
    /// Register: the password breaks a rule, which the sentence gives.
    UnusablePassword = 422, "A password has at least 8 characters, at most 512 bytes, and is not among the first to be guessed.";
    /// The request could not be read.
    Malformed = 422, "The request could not be read.";
    /// Register: this server accepts no new users.
    RegistrationClosed = 403, "This server is not open for registration. Ask the person who runs it.";
    /// The request came from a page of another site.
    ForeignOrigin = 403, "This request came from another site and was refused.";
    /// The server does not answer under the requested host name.
    UnknownHost = 421, "This server does not answer under this address.";
    /// The thing requested does not exist, or this user may not see it.
    NotFound = 404, "There is no such thing here, or it is not yours to see.";
    /// The body or frame is over the limit.
    TooLarge = 413, "This is more than the server takes at once.";
    /// Too many requests; `Retry-After` says when to come back.
    TooMany = 429, "Too many attempts. Please wait a moment and try again.";
    /// Message: `Data` is over 16,384 bytes.
    TooLong = 422, "This message is too long. Please send it in parts.";
    /// Message: `Data` shows nothing, or holds a control character.
    Invalid = 422, "This message is empty or holds characters that cannot be sent.";
    /// Message: another message of the session already has this `MessageID`. Session: another session has this
    /// `SessionID`.
    Conflict = 409, "Another message has this identifier already.";
    /// Session: a group's name breaks a rule, which the sentence gives.
    UnusableTitle = 422, "A group's name has 1 to 60 characters, on one line.";
    /// Session: it is that of two people, and stays so.
    PairStays = 409, "This conversation is between the two of you, and stays so. Begin a group to talk with more people.";
    /// Session: only the group's owner may do this.
    NotOwner = 403, "Only the owner of this group can do that.";
    /// Invitation: it was answered, cancelled or replaced meanwhile.
    Gone = 410, "This invitation is no longer open.";
    /// Users cannot invite or remove themselves.
    Yourself = 422, "You cannot invite yourself.";
    /// The server cannot do it right now.
    Unavailable = 503, "The server is busy. Please try again in a moment.";
    /// The server failed. The cause is in its log.
    Internal = 500, "Something went wrong on the server. Please try again.";
}
