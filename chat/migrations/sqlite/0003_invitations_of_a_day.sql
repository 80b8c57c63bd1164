-- Whoever invites too many, or the same person again and again, is refused: found by its sender and time, what was asked
-- lately is counted without looking at all of it.
create index invites_lately on invites (from_user, created_at) where status <> 'Accepted';
