-- Sessions of a kind, membership with an end, and room for what is said about messages.
--
-- All messages are rewritten, so `store/upgrade.rs` looks for room on the disk first, and keeps a copy.

-- A pair's session stays a pair's. Every other one is a group, owned by whoever has been in it longest.
alter table sessions add column kind text not null default 'Pair'; -- Pair, Group or Self
alter table sessions add column owner blob null references users;  -- of a group, unless everybody has left it
alter table sessions add column began_by blob null references users; -- of a group that was begun as one
update sessions set kind = 'Group', owner = (
    select user_id from session_users own where own.session_id = sessions.session_id and own.left_at is null
    order by joined_seq, user_id limit 1)
where pair_key is null;

-- Nobody is invited into a pair's session any more.
update invites set status = 'Cancelled', answered_at = cast(unixepoch('subsec') * 1000 as integer)
where status = 'Pending' and session_id in (select session_id from sessions where kind = 'Pair');

-- `session_users` says who is in a session, and since which message. What somebody who has left and come back had seen
-- before stands here: the messages after one place, up to another.
create table spans (
    session_id blob   not null references sessions,
    user_id    blob   not null references users,
    after_seq  bigint not null,
    until_seq  bigint not null,
    primary key (session_id, user_id, after_seq)
) without rowid;

-- Somebody who was removed comes back only if the owner asks them.
alter table session_users add column removed_at bigint null;

-- A user's own view of a session.
alter table session_users add column muted_until bigint null;
alter table session_users add column pinned_at bigint null;
alter table session_users add column archived_at bigint null;
alter table session_users add column marked_at bigint null; -- as unread
alter table users add column settings text not null default '{}';

-- `id` has a name, so that nothing ever renumbers it. `altered` says that a message is not as it was written: its first
-- change sets it, and nothing clears it.
create table moved (
    id         integer primary key,
    session_id blob   not null,
    seq        bigint not null,
    message_id blob   not null,
    sender_id  blob   not null,
    data       text   not null,
    time_stamp bigint not null,
    rev        bigint not null,
    altered    bigint not null default 0,
    edited_at  bigint null,
    deleted_at bigint null,
    reply_seq  bigint null, -- the message that this one answers
    line       text   null, -- what happened to the group, for a row that says that
    mentions   text   null
);
insert into moved (id, session_id, seq, message_id, sender_id, data, time_stamp, rev, altered, edited_at, deleted_at)
select rowid, session_id, seq, message_id, sender_id, data, time_stamp, rev,
    edited_at is not null or deleted_at is not null, edited_at, deleted_at
from messages;
drop table messages;
alter table moved rename to messages;
create unique index messages_by_seq on messages (session_id, seq);
create unique index messages_by_name on messages (message_id, session_id);
create index messages_altered on messages (session_id, rev) where altered = 1;

create table reactions (
    session_id blob   not null,
    seq        bigint not null,
    user_id    blob   not null references users,
    emoji      text   not null,
    reacted_at bigint not null,
    primary key (session_id, seq, user_id, emoji)
) without rowid;

-- Changes that were applied, so that a repeat changes nothing.
create table operations (
    user_id    blob   not null references users,
    op_id      blob   not null,
    applied_at bigint not null,
    primary key (user_id, op_id)
) without rowid;
create index operations_by_time on operations (applied_at);
