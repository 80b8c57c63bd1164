-- Identifiers are 16-byte UUIDs, times are milliseconds since 1970-01-01 UTC.
-- A column may be null only where null means something.

create table users (
    user_id       blob   not null primary key,
    username      text   not null,
    username_key  text   not null unique, -- NFKC and case folded: what "the same name" means
    password_hash text   not null,        -- PHC string
    status        text   not null,        -- Online or Offline: the last edge of presence
    last_seen     bigint not null,
    created_at    bigint not null
);

create table sessions (
    session_id blob   not null primary key,
    pair_key   text   null unique, -- both user ids, smaller first; null once a third user was invited in
    title      text   null,
    last_seq   bigint not null,
    rev        bigint not null,
    epoch      blob   not null,
    created_at bigint not null
);

create table session_users (
    session_id blob   not null references sessions,
    user_id    blob   not null references users,
    joined_seq bigint not null, -- messages up to this one are not this user's to see
    read_seq   bigint not null,
    left_at    bigint null,
    primary key (session_id, user_id)
);
create index session_users_by_user on session_users (user_id);

create table messages (
    session_id blob   not null references sessions,
    seq        bigint not null,
    message_id blob   not null,
    sender_id  blob   not null references users,
    data       text   not null,
    time_stamp bigint not null,
    rev        bigint not null,
    edited_at  bigint null,
    deleted_at bigint null,
    primary key (session_id, seq),
    unique (session_id, message_id)
);
create unique index messages_by_rev on messages (session_id, rev);

create table invites (
    invite_id   blob   not null primary key,
    from_user   blob   not null references users,
    to_user     blob   not null references users,
    session_id  blob   null references sessions, -- null: for a session of their own
    status      text   not null,                 -- Pending, Accepted, Rejected or Cancelled
    created_at  bigint not null,
    answered_at bigint null
);
create unique index invites_open_pair on invites (from_user, to_user) where status = 'Pending' and session_id is null;
create unique index invites_open_session on invites (session_id, to_user) where status = 'Pending' and session_id is not null;
create index invites_open_to on invites (to_user) where status = 'Pending';
create index invites_open_from on invites (from_user) where status = 'Pending';

create table logins (
    token_hash   blob   not null primary key, -- SHA-256 of the token; the token itself is nowhere stored
    user_id      blob   not null references users,
    user_agent   text   not null,
    ip           text   not null,
    created_at   bigint not null,
    last_used_at bigint not null,
    expires_at   bigint not null,
    data         text   not null
);
create index logins_by_user on logins (user_id);
create index logins_by_expiry on logins (expires_at);
