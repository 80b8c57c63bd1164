-- Texts that were deleted or replaced before SQLite was told to overwrite them are still somewhere in the file. It is
-- written anew once; a row says that it was, and when.
create table vacuumed (at bigint not null);
