-- Storing a message is to write few pages.
--
-- A message is found by its name. Names are UUIDv7, so with the name first new ones stand side by side at the end of the
-- index, whichever session they are from; with the session first every session had a page of its own to write.
--
-- Whose it is and in which session is looked up where it is stored, in the same transaction: foreign keys looked it up
-- again.
--
-- What changed after a `rev` is found without an index over all messages: those that are as they were written have
-- their `rev` in the order of their places; the others have an index of their own.

create table moved (
    session_id blob   not null,
    seq        bigint not null,
    message_id blob   not null,
    sender_id  blob   not null,
    data       text   not null,
    time_stamp bigint not null,
    rev        bigint not null,
    edited_at  bigint null,
    deleted_at bigint null,
    primary key (session_id, seq)
);
insert into moved select * from messages;
drop table messages;
alter table moved rename to messages;
create unique index messages_by_name on messages (message_id, session_id);
create index messages_changed on messages (session_id, rev) where edited_at is not null or deleted_at is not null;
