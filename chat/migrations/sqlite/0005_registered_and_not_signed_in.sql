-- A registration that comes again soon, from the same network and before the first login, is the same one (a double click,
-- an answer lost on the way). The network is known only until then: the first login forgets it.
alter table users add column registered_from text null;
create index users_not_signed_in on users (created_at) where registered_from is not null;
