//! Temporary file systems: an ext4 on a loop device that can be copied as a power cut would leave it, and a tmpfs that
//! can fill up. Both need root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use protocol::{MessageId, Rev, Seq, SessionId};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{Failure, Result};
use crate::check::{Stored, Table, digest};

/// A mounted file system. Dropping this unmounts it.
#[derive(Debug)]
pub(super) struct Mount {
    at: PathBuf,
}

impl Mount {
    /// Creates an ext4 of `mebibytes` MiB in the file `image` and mounts it at `at`.
    pub(super) fn new_ext4(image: &Path, at: &Path, mebibytes: u64) -> Result<Self> {
        std::fs::File::create(image)?.set_len(mebibytes << 20)?;
        command("mkfs.ext4", ["-q", "-F", &text(image)])?;
        Self::of_image(image, at)
    }

    /// Mounts the file system in the file `image` at `at`, as after a power cut: the kernel replays its journal.
    pub(super) fn of_image(image: &Path, at: &Path) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        command("mount", ["-o", "loop", &text(image), &text(at)])?;
        Ok(Self { at: at.to_owned() })
    }

    /// Mounts an empty tmpfs of `mebibytes` MiB.
    pub(super) fn new_tmpfs(at: &Path, mebibytes: u64) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        command("mount", ["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "natter-faults", &text(at)])?;
        Ok(Self { at: at.to_owned() })
    }

    /// Resizes a tmpfs.
    pub(super) fn resize(&self, mebibytes: u64) -> Result<()> {
        command("mount", ["-o", &format!("remount,size={mebibytes}m"), &text(&self.at)])
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if command("umount", [&text(&self.at)]).is_err() {
            let _ = command("umount", ["-l", &text(&self.at)]); // somebody still has it open
        }
    }
}

/// Returns why file systems cannot be mounted here, if they cannot.
pub(super) fn cannot_mount(kind: &str) -> Option<String> {
    let try_it = || -> Result<()> {
        let folder = super::run::folder()?;
        let at = folder.path().join("mounted");
        if kind == "tmpfs" {
            return Mount::new_tmpfs(&at, 1).map(drop);
        }
        // A scenario mounts a copy beside the first one.
        let first = Mount::new_ext4(&folder.path().join("image"), &at, 8)?;
        Mount::new_ext4(&folder.path().join("copy"), &folder.path().join("found"), 8)?;
        drop(first);
        Ok(())
    };
    if !rustix::process::geteuid().is_root() {
        return Some(format!("mounting a file system ({kind}) needs root"));
    }
    try_it().err().map(|failure| format!("no file system ({kind}) can be mounted here: {failure}"))
}

/// Runs a system program to completion.
fn command<const N: usize>(program: &str, words: [&str; N]) -> Result<()> {
    let done = Command::new(program).args(words).stdin(Stdio::null()).output();
    let done = done.map_err(|error| Failure::Missed(format!("{program}: {error}")))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().replace('\n', " ");
    Err(Failure::Missed(format!("{program} {}: {said}", words.join(" "))))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Opens the database in a data folder as SQLite does after a crash, checks its integrity, and reads what is stored.
pub(super) async fn read_table(data: &Path) -> Result<Table> {
    let options =
        SqliteConnectOptions::new().filename(data.join("natter.sqlite")).disable_statement_logging();
    let mut db = options.connect().await?;
    let whole: String = sqlx::query_scalar("pragma integrity_check").fetch_one(&mut db).await?;
    if whole != "ok" {
        return Err(Failure::Missed(format!("the database is damaged: {whole}")));
    }
    let rows: Vec<(String, i64, i64, String, String)> = sqlx::query_as(
        "select hex(session_id), seq, rev, hex(message_id), data from messages order by session_id, seq",
    )
    .fetch_all(&mut db)
    .await?;
    db.close().await?;
    let mut table = Table::new();
    for (session, seq, rev, message, data) in rows {
        let broken = |_| Failure::Missed("an identifier in the database is none".into());
        let session = SessionId::from_str(&session).map_err(broken)?;
        let message = MessageId::from_str(&message).map_err(broken)?;
        let row = Stored { seq: Seq(seq), rev: Rev(rev), message, digest: digest(&data) };
        table.entry(session).or_default().push(row);
    }
    Ok(table)
}
