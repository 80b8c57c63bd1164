//! Parts of statements that several files share.

/// The columns of a message, for a query over `messages m`.
macro_rules! MESSAGE {
    () => {
        "m.message_id, m.data, m.time_stamp, m.sender_id, m.seq, m.rev, m.edited_at, m.deleted_at"
    };
}
pub(super) use MESSAGE;

/// How far a user has read, of `sessions s join session_users own`: up to their marker, and past their own messages
/// that directly follow it. What others said in between is unread, whatever the user wrote later: a message that waited
/// for a connection was written before. Storing this with every message would cost as much as the message, so the
/// writer stores it now and then ([`PASS`](super::reading::PASS)), and a query examines at most a thousand.
macro_rules! read_seq {
    () => {
        "coalesce((select r.seq - 1 from (
                       select m.seq, m.sender_id from messages m
                       where m.session_id = s.session_id and m.seq > own.read_seq order by m.seq limit 1000) r
                   where r.sender_id <> own.user_id limit 1), min(s.last_seq, own.read_seq + 1000))"
    };
}
pub(super) use read_seq;

/// What a user saw of a session before they left and came back, of `session_users own`: `[[after, up to], …]`.
macro_rules! EARLIER {
    () => {
        "(select json_group_array(json_array(e.after_seq, e.until_seq) order by e.after_seq) from spans e
          where e.session_id = own.session_id and e.user_id = own.user_id) as earlier"
    };
}
pub(super) use EARLIER;
