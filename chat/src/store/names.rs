//! Rows and SQL for names: who has one, which look alike, and recomputing keys when the rules change.

use std::collections::HashMap;

use protocol::UserId;

use super::Store;
use crate::name::{key, skeleton, versions};
use crate::{Error, Result, Username};

/// Why a name is not available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Somebody has it.
    Same,
    /// Another user's name looks like it.
    LooksSame,
}

/// A user whose key does not follow today's rules, because another account already had the new one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Clash {
    pub(super) user: UserId,
    pub(super) with: UserId,
}

#[derive(sqlx::FromRow)]
struct NameRow {
    user_id: UserId,
    username: String,
    username_key: String,
}

/// Whether a name exists, or one that looks like it.
const TAKEN: &str = "select exists (select 1 from users where username_key = $1),
                            exists (select 1 from skeletons where skeleton = $2)";

impl Store {
    /// Returns why this name is not available, if it is not.
    pub(crate) async fn taken(&self, name: &Username) -> Result<Option<Taken>> {
        let found = sqlx::query_as(TAKEN).bind(name.key()).bind(name.skeleton());
        Ok(why(found.fetch_one(&self.read).await?))
    }

    /// Recomputes keys and skeletons if they were made with other rules or tables than this program's.
    pub(super) async fn renew_names(&self) -> sqlx::Result<()> {
        let renewed = self.writer.run(|tx| Box::pin(async move { Ok(renew(tx.db).await?) }));
        let clashes = renewed.await.map_err(|error| match error {
            Error::Database(error) => error,
            _ => sqlx::Error::WorkerCrashed,
        })?;
        for Clash { user, with } in clashes {
            tracing::warn!(
                user = %user.0, with = %with.0,
                "two accounts have names that are the same by today's rules; both are found as before"
            );
        }
        Ok(())
    }
}

/// Returns why this name is not available, as the writer sees it.
pub(super) async fn taken(
    db: &mut sqlx::SqliteConnection,
    key: &str,
    skeleton: &str,
) -> Result<Option<Taken>> {
    Ok(why(sqlx::query_as(TAKEN).bind(key).bind(skeleton).fetch_one(db).await?))
}

/// Stores what a new name looks like.
pub(super) async fn keep_skeleton(
    db: &mut sqlx::SqliteConnection,
    skeleton: &str,
    user: UserId,
) -> sqlx::Result<()> {
    let kept =
        sqlx::query("insert into skeletons (skeleton, user_id) values ($1, $2) on conflict do nothing");
    kept.bind(skeleton).bind(user).execute(db).await?;
    Ok(())
}

fn why((same, looks_same): (bool, bool)) -> Option<Taken> {
    match (same, looks_same) {
        (true, _) => Some(Taken::Same),
        (false, true) => Some(Taken::LooksSame),
        (false, false) => None,
    }
}

async fn renew(db: &mut sqlx::SqliteConnection) -> sqlx::Result<Vec<Clash>> {
    let made_by: Option<String> =
        sqlx::query_scalar("select versions from names_made_by").fetch_optional(&mut *db).await?;
    if made_by.is_some_and(|made_by| made_by == versions()) {
        return Ok(Vec::new());
    }
    let users: Vec<NameRow> =
        sqlx::query_as("select user_id, username, username_key from users order by created_at, user_id")
            .fetch_all(&mut *db)
            .await?;
    let clashes = renew_keys(db, &users).await?;
    sqlx::query("delete from skeletons").execute(&mut *db).await?;
    for user in &users {
        keep_skeleton(db, &skeleton(&user.username), user.user_id).await?;
    }
    sqlx::query("delete from names_made_by").execute(&mut *db).await?;
    sqlx::query("insert into names_made_by values ($1)").bind(versions()).execute(&mut *db).await?;
    Ok(clashes)
}

/// Gives each account its new key if it is free, oldest account first. An account whose new key is taken keeps its old
/// one, and so does one whose name is entirely invisible, which would otherwise have an empty key.
async fn renew_keys(db: &mut sqlx::SqliteConnection, users: &[NameRow]) -> sqlx::Result<Vec<Clash>> {
    let mut taken: HashMap<String, UserId> =
        users.iter().map(|user| (user.username_key.clone(), user.user_id)).collect();
    let mut clashes = Vec::new();
    sqlx::query("delete from earlier_keys").execute(&mut *db).await?;
    for user in users {
        let new = key(&user.username);
        match taken.get(&new) {
            _ if new.is_empty() => keep_key(db, user).await?,
            Some(with) if *with == user.user_id => {}
            Some(with) => {
                keep_key(db, user).await?;
                clashes.push(Clash { user: user.user_id, with: *with });
            }
            None => {
                sqlx::query("update users set username_key = $2 where user_id = $1")
                    .bind(user.user_id)
                    .bind(&new)
                    .execute(&mut *db)
                    .await?;
                taken.remove(&user.username_key);
                taken.insert(new, user.user_id);
            }
        }
    }
    Ok(clashes)
}

async fn keep_key(db: &mut sqlx::SqliteConnection, user: &NameRow) -> sqlx::Result<()> {
    let kept = sqlx::query("insert into earlier_keys (username_key, user_id) values ($1, $2)");
    kept.bind(&user.username_key).bind(user.user_id).execute(db).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::migrate::Migrator;
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
    use tempfile::TempDir;

    use super::*;
    use crate::name::Sought;
    use crate::name::earlier_key;
    use crate::store::upgrade::MIGRATIONS;
    use crate::testing::undisturbed;

    /// A database made by the previous rules: names were shown in NFKC, and their keys kept invisible characters.
    async fn database_of_the_earlier_rules(names: &[&str]) -> (TempDir, Vec<UserId>) {
        let folder = tempfile::tempdir().unwrap();
        let old = raw(&folder).await;
        Migrator::with_migrations(MIGRATIONS.migrations[..3].to_vec()).run(&old).await.unwrap();
        let mut users = Vec::new();
        for (nth, name) in names.iter().enumerate() {
            let user = UserId::new();
            sqlx::query("insert into users values ($1, $2, $3, 'hash', 'Offline', 0, $4)")
                .bind(user)
                .bind(name)
                .bind(earlier_key(name))
                .bind(i64::try_from(nth).unwrap())
                .execute(&old)
                .await
                .unwrap();
            users.push(user);
        }
        old.close().await;
        (folder, users)
    }

    async fn raw(folder: &TempDir) -> SqlitePool {
        let options = SqliteConnectOptions::new().filename(folder.path().join("natter.sqlite"));
        SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.create_if_missing(true))
            .await
            .unwrap()
    }

    async fn opened(folder: &TempDir) -> Store {
        undisturbed(async || Store::open(folder.path()).await).await.unwrap().0
    }

    #[tokio::test]
    async fn everybody_who_is_there_is_found_under_the_name_they_have() {
        let names = [
            "김철수",
            "김철수\u{1160}",
            "\u{1160}\u{1160}\u{1160}",
            "admin",
            "paypal",
            "paypaI",
            "Straße",
            "ada\u{363}\u{363}\u{363}\u{363}",
            "김\u{1160}영희",
            "ἀι\u{302}",
        ];
        let (folder, users) = database_of_the_earlier_rules(&names).await;
        for _ in 0..2 {
            let store = opened(&folder).await;
            for (name, user) in names.iter().zip(&users) {
                let found = store.user_named(&Sought::of(name).unwrap()).await.unwrap().expect(name);
                assert_eq!((found.user_id, found.username.as_str()), (*user, *name));
            }
            let found = async |typed: &str| {
                store.user_named(&Sought::of(typed).unwrap()).await.unwrap().map(|user| user.user_id)
            };
            assert_eq!(found("김철\u{200b}수").await, Some(users[0]));
            assert_eq!(found("김영희").await, Some(users[8]), "nobody else has this key");
            assert_eq!(found("ᾀ\u{302}").await, None, "the earlier key of this is that of another name");
            assert_eq!(found("").await, None);
            assert_eq!(found("\u{200b}").await, None);
            let taken = async |name: &str| store.taken(&Username::parse(name).unwrap()).await.unwrap();
            assert_eq!(taken("김영희").await, Some(Taken::Same));
            assert_eq!(taken("paypa1").await, Some(Taken::LooksSame), "those who were there are looked like");
            assert_eq!(taken("Somebody").await, None);
            store.close().await;
        }
    }

    #[tokio::test]
    async fn an_account_whose_new_key_is_taken_keeps_its_own_and_is_told_of() {
        let names = ["김철수", "김철수\u{1160}", "\u{1160}김철수", "김\u{1160}영희", "김영희\u{1160}"];
        let (folder, users) = database_of_the_earlier_rules(&names).await;
        opened(&folder).await.close().await;
        let db = raw(&folder).await;
        sqlx::raw_sql("delete from names_made_by").execute(&db).await.unwrap();
        let clashes = renew(&mut db.acquire().await.unwrap()).await.unwrap();
        let clash = |user: usize, with: usize| Clash { user: users[user], with: users[with] };
        assert_eq!(clashes, [clash(1, 0), clash(2, 0), clash(4, 3)], "who came first has it, each time");
        let keys: Vec<String> = sqlx::query_scalar("select username_key from users order by created_at")
            .fetch_all(&db)
            .await
            .unwrap();
        let kept = |nth: usize| earlier_key(names[nth]);
        assert_eq!(keys, ["김철수".into(), kept(1), kept(2), "김영희".into(), kept(4)]);
    }

    #[tokio::test]
    async fn what_names_look_like_is_made_anew_when_the_tables_of_unicode_change() {
        let (folder, users) = database_of_the_earlier_rules(&["paypal", "paypaI"]).await;
        opened(&folder).await.close().await;
        let db = raw(&folder).await;
        let all = "select skeleton, user_id from skeletons";
        let made: Vec<(String, UserId)> = sqlx::query_as(all).fetch_all(&db).await.unwrap();
        assert_eq!(made, [("paypal".to_owned(), users[0])], "first come, first there");
        sqlx::raw_sql("update skeletons set skeleton = 'as it was'").execute(&db).await.unwrap();
        opened(&folder).await.close().await;
        let kept: Vec<(String, UserId)> = sqlx::query_as(all).fetch_all(&db).await.unwrap();
        assert_eq!(kept, [("as it was".to_owned(), users[0])], "by the same tables: nothing is done");
        sqlx::raw_sql("update names_made_by set versions = 'Unicode 1.0'").execute(&db).await.unwrap();
        opened(&folder).await.close().await;
        let again: Vec<(String, UserId)> = sqlx::query_as(all).fetch_all(&db).await.unwrap();
        assert_eq!(again, made);
        let versions_kept: Vec<String> =
            sqlx::query_scalar("select versions from names_made_by").fetch_all(&db).await.unwrap();
        assert_eq!(versions_kept, [versions()]);
    }
}
