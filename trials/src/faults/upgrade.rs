//! The first start with a database of an earlier version, whose messages are all written anew: killed in the middle,
//! again and again; with very many messages, in its time; and on a disk that has no room for it.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{ConnectOptions, Connection};

use super::disk::{Mount, cannot_mount, read_table};
use super::run::folder;
use super::{Failure, Outcome, Result, Rig};

static MIGRATIONS: Migrator = sqlx::migrate!("../chat/migrations/sqlite");

/// The migration that writes the messages anew, and the copy that is kept from before it.
const REWRITES: i64 = 9;
const COPY: &str = "natter.sqlite.before-9";

/// Messages in the database that is killed, and in the one whose upgrade is timed.
const MESSAGES: i64 = 100_000;
const MANY: i64 = 1_000_000;

/// Kills that have to find the upgrade unfinished.
const KILLS: u32 = 20;

/// How long the upgrade of a million messages may take.
const MINUTE: Duration = Duration::from_secs(60);

/// Messages on the disk that has no room.
const FEW: i64 = 20_000;

pub(super) async fn run(rig: &Rig) -> Result<Outcome> {
    let folder = folder()?;
    let (pristine, data) = (folder.path().join("pristine"), folder.path().join("data"));
    earlier(&pristine, MESSAGES).await?;
    let before = read_table(&pristine).await?;

    copy(&pristine, &data)?;
    let took = upgraded(rig, &data).await?;
    same(&before, &data, "after an upgrade that nothing interrupted").await?;
    std::fs::remove_dir_all(&data)?;

    copy(&pristine, &data)?;
    let (mut kills, mut tries) = (0, 0);
    while kills < KILLS {
        if tries == 3 * KILLS {
            return Err(Failure::Missed(format!("only {kills} of {tries} kills were in time")));
        }
        tries += 1;
        // From its first moment to its last.
        rig.server(&data).start_and_kill(took * (tries % KILLS) / KILLS).await?;
        match version(&data).await? < REWRITES {
            true => kills += 1,
            false => {
                same(&before, &data, "killed when it was done").await?;
                std::fs::remove_dir_all(&data)?;
                copy(&pristine, &data)?;
            }
        }
    }
    same(&before, &data, "killed before it was done").await?;
    upgraded(rig, &data).await?;
    same(&before, &data, "upgraded after all").await?;
    kinds(&data).await?;
    std::fs::create_dir(folder.path().join("copy"))?;
    std::fs::copy(data.join(COPY), folder.path().join("copy/natter.sqlite"))?;
    same(&before, &folder.path().join("copy"), "the copy from before").await?;

    let refused = match cannot_mount("tmpfs") {
        Some(why) => format!("not tried without room: {why}"),
        None => without_room(rig, folder.path()).await?,
    };
    let many = match rig.lane.is_timed() {
        true => format!("; {MANY} in {:.1?}", very_many(rig, folder.path()).await?),
        false => String::new(),
    };
    let figures =
        format!("{MESSAGES} messages in {took:.1?}{many}; {kills} kills before it was done; {refused}");
    Ok(Outcome::Passed(figures))
}

/// Upgrades a million messages, within their time.
async fn very_many(rig: &Rig, folder: &Path) -> Result<Duration> {
    let data = folder.join("many");
    earlier(&data, MANY).await?;
    let took = upgraded(rig, &data).await?;
    match took <= MINUTE && version(&data).await? >= REWRITES {
        true => Ok(took),
        false => Err(Failure::Missed(format!("the upgrade of {MANY} messages took {took:.1?}"))),
    }
}

/// Lets the server upgrade a folder. Returns how long it took until it was ready.
async fn upgraded(rig: &Rig, data: &Path) -> Result<Duration> {
    let mut server = rig.server(data).start().await?;
    let took = server.ready_after;
    server.terminate().await?;
    Ok(took)
}

/// Starts it on a disk that has room for the database alone: it says so, and changes nothing.
async fn without_room(rig: &Rig, folder: &Path) -> Result<String> {
    let small = folder.join("small");
    earlier(&small, FEW).await?;
    let size = std::fs::metadata(small.join("natter.sqlite"))?.len();
    let at = folder.join("mounted");
    let disk = Mount::new_tmpfs(&at, 2 * size.div_ceil(1 << 20))?;
    let data = at.join("data");
    copy(&small, &data)?;
    let Err(error) = rig.server(&data).start().await else {
        return Err(Failure::Missed("it started where there was no room to write the database anew".into()));
    };
    if !error.to_string().contains("of free disk") {
        return Err(Failure::Missed(format!("without room it said: {error}")));
    }
    if version(&data).await? >= REWRITES || data.join(COPY).exists() {
        return Err(Failure::Missed("it began where there was no room".into()));
    }
    same(&read_table(&small).await?, &data, "without room").await?;
    drop(disk);
    Ok("refused without room".into())
}

async fn same(before: &crate::check::Table, data: &Path, when: &str) -> Result<()> {
    match read_table(data).await? == *before {
        true => Ok(()),
        false => Err(Failure::Missed(format!("the messages are others, {when}"))),
    }
}

/// Checks what became of a pair, a session that a third user was invited into, and the invitations into both.
async fn kinds(data: &Path) -> Result<()> {
    let mut db = open(data).connect().await?;
    let sessions: Vec<(String, Option<String>)> = sqlx::query_as(
        "select kind, username from sessions left join users on user_id = owner order by kind",
    )
    .fetch_all(&mut db)
    .await?;
    let invites: Vec<(String, String)> = sqlx::query_as(
        "select kind, status from invites join sessions on sessions.session_id = invites.session_id
         order by kind",
    )
    .fetch_all(&mut db)
    .await?;
    let altered: i64 = sqlx::query_scalar(
        "select count(*) from messages where altered <> (edited_at is not null or deleted_at is not null)",
    )
    .fetch_one(&mut db)
    .await?;
    db.close().await?;
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    let is_right = sessions == [("Group".into(), Some("Bob".into())), ("Pair".into(), None)]
        && invites == [pair("Group", "Pending"), pair("Pair", "Cancelled")]
        && altered == 0;
    match is_right {
        true => Ok(()),
        false => Err(Failure::Missed(format!("it made {sessions:?}, {invites:?}, {altered} wrong marks"))),
    }
}

/// Returns the last migration that a database has seen.
async fn version(data: &Path) -> Result<i64> {
    let mut db = open(data).connect().await?;
    let version = sqlx::query_scalar("select max(version) from _sqlx_migrations").fetch_one(&mut db).await?;
    db.close().await?;
    Ok(version)
}

fn open(data: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(data.join("natter.sqlite")).disable_statement_logging()
}

/// Makes the folder of an earlier version, with this many messages in a pair and in a session of three.
async fn earlier(data: &Path, messages: i64) -> Result<()> {
    std::fs::create_dir(data)?;
    let options = open(data).create_if_missing(true).page_size(2048).journal_mode(SqliteJournalMode::Wal);
    let db = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
    let before = MIGRATIONS.iter().filter(|migration| migration.version < REWRITES).cloned().collect();
    let migrated = Migrator::with_migrations(before).run(&db).await;
    migrated.map_err(|error| Failure::Missed(format!("the tables of an earlier version: {error}")))?;
    let words = "x".repeat(100);
    let sql = format!(
        "insert into users (user_id, username, username_key, password_hash, status, last_seen, created_at)
             values (x'{ada}', 'Ada', 'ada', '', 'Offline', 0, 0), (x'{bob}', 'Bob', 'bob', '', 'Offline', 0, 0),
                    (x'{cleo}', 'Cleo', 'cleo', '', 'Offline', 0, 0), (x'{dara}', 'Dara', 'dara', '', 'Offline', 0, 0);
         insert into sessions values
             (x'{pair}', '{ada} {bob}', null, {half}, {half}, x'{pair}', 0),
             (x'{three}', null, null, {half}, {half}, x'{three}', 0);
         insert into session_users values
             (x'{pair}', x'{ada}', 0, 0, null), (x'{pair}', x'{bob}', 0, 0, null),
             (x'{three}', x'{ada}', 5, 5, null), (x'{three}', x'{bob}', 0, 0, null), (x'{three}', x'{cleo}', 0, 0, null);
         insert into invites values
             (x'{pair}', x'{ada}', x'{dara}', x'{pair}', 'Pending', 0, null),
             (x'{three}', x'{ada}', x'{dara}', x'{three}', 'Pending', 0, null);
         with recursive n as (select 1 as n union all select n + 1 from n where n < {half})
         insert into messages
             select session_id, n, randomblob(16), x'{ada}', n || '{words}', n, n,
                 case when n % 50 = 0 then n end, case when n % 70 = 0 then n end
             from n join sessions;
         pragma wal_checkpoint(truncate);",
        half = messages / 2,
        ada = id(1),
        bob = id(2),
        cleo = id(3),
        dara = id(4),
        pair = id(5),
        three = id(6),
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&db).await?;
    db.close().await;
    Ok(())
}

fn id(n: u128) -> String {
    format!("{:032x}", 0x0198_c0de_0000_7000_8000_0000_0000_0000_u128 + n)
}

/// Copies the files of a folder that nobody uses.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
