-- What every name looks like (UTS 39): who came first has it, and no name that looks the same is given away.
create table skeletons (
    skeleton text not null primary key,
    user_id  blob not null unique references users
) without rowid;

-- Accounts whose key is not that of their name any more, because somebody else has that one.
create table earlier_keys (
    username_key text not null primary key,
    user_id      blob not null unique references users
) without rowid;

-- By which rules and which tables of Unicode the keys and skeletons were made: a program with others makes
-- all of them anew when it starts. One row, once a program has started.
create table names_made_by (versions text not null);
