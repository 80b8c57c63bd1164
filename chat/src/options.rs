//! How a chat behaves.

use std::time::Duration;

use crate::answers::UnderWay;
use crate::turns::Pace;

/// How a chat behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether new users may register themselves.
    pub open_registration: bool,
    /// Most accounts created in a day from one network; `None` for no limit.
    pub registrations_per_day: Option<u32>,
    /// Whether to throttle guessing of passwords and names.
    pub hold_back_guesses: bool,
    /// Whether to refuse inviting too many people, or one person too often.
    pub hold_back_invitations: bool,
    /// Most logins of one user. One more ends the least recently used.
    pub logins_per_user: u32,
    /// Most messages per second from one user, once the burst is used up; `None` for no limit.
    pub messages_per_second: Option<u32>,
    /// How many messages one user may send in a burst.
    pub message_burst: u32,
    /// How fast one user may read; `None` for no limit.
    pub reading_pace: Option<Pace>,
    /// How many bytes of answers may be in flight at a time; `None` for no limit.
    pub under_way: Option<UnderWay>,
    /// Most conversations of one user; `None` for no limit.
    pub conversations: Option<u32>,
    /// Most bytes of text per second from one user, once the burst is used up; `None` for no limit.
    pub text_per_second: Option<u32>,
    /// How many bytes of text one user may send in a burst.
    pub text_burst: u32,
    /// Most bytes of text from one user in 24 hours; `None` for no limit.
    pub text_per_day: Option<u64>,
    /// Free disk space below which no new messages are accepted: this many bytes, or a twentieth of the disk if that is
    /// less; `None` for no such floor.
    pub disk_floor: Option<u64>,
    /// How long a user stays Online after the last connection ended.
    pub offline_after: Duration,
    /// How long a user is Online after signing in, without a connection.
    pub login_lease: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            open_registration: true,
            registrations_per_day: Some(50),
            hold_back_guesses: true,
            hold_back_invitations: true,
            logins_per_user: 50,
            messages_per_second: Some(30),
            message_burst: 300,
            reading_pace: Some(Pace { per_second: 1536 * 1024, burst: 16 * 1024 * 1024 }),
            under_way: Some(UnderWay { user: 4 * 1024 * 1024, address: 16 * 1024 * 1024 }),
            conversations: Some(5_000),
            text_per_second: Some(64 << 10),
            text_burst: 2 << 20,
            text_per_day: Some(256 << 20),
            disk_floor: Some(512 << 20),
            offline_after: Duration::from_secs(5),
            login_lease: Duration::from_secs(30),
        }
    }
}
