//! The data folder: who may read and write it, what may be in it, and what a command leaves behind.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use crate::process::{last_line, one_sentence};
use crate::support::{Natter, PASSWORD, befriend, natter, open, run, set_password, within};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn give(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Lists the files in a folder whose permissions allow others anything.
fn open_to_others(folder: &Path) -> Vec<String> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| mode(path) & 0o077 != 0).map(|path| path.display().to_string()).collect()
}

/// Tries to serve on it; returns the message with which that is refused as a wrong setting.
async fn refused(data: &Path) -> String {
    let (code, out, err) = run(natter(data).args(["--listen", "127.0.0.1:0"]), "").await;
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    assert!(one_sentence(last_line(&err)), "{err}");
    last_line(&err).to_owned()
}

#[tokio::test]
async fn everything_in_the_data_folder_is_its_owners_alone() {
    let home = tempfile::tempdir().unwrap();
    let (data, file) = (home.path().join("new/data"), home.path().join("backup.sqlite"));
    let mut natter_process = Natter::under("umask 000", &data, &["--limits", "off"]).await;
    natter_process.client().register("Ada", PASSWORD).await.unwrap();
    let made = [home.path().join("new"), data.clone()];
    assert!(made.iter().all(|folder| mode(folder) == 0o700));
    assert!(data.join("natter.sqlite-wal").exists(), "it is looked at while the log is there");
    assert_eq!(open_to_others(&data), [""; 0]);
    assert_eq!(run(natter(&data).arg("backup").arg(&file), "").await.0, Some(0));
    assert_eq!(mode(&file), 0o600);

    // A backup that was copied around is restored with the same permissions as everything else.
    assert!(natter_process.terminate().await.success());
    give(&file, 0o644);
    assert_eq!(run(natter(&data).arg("restore").arg(&file), "").await.0, Some(0));
    assert_eq!(mode(&file), 0o644, "the backup is its owner's to share");
    assert!(
        fs::read_dir(&data).unwrap().any(|entry| entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains(".replaced-"))
    );
    assert_eq!(open_to_others(&data), [""; 0]);
}

#[tokio::test]
async fn what_an_earlier_version_left_readable_for_others_is_so_no_more_and_the_log_says_so() {
    let data = tempfile::tempdir().unwrap();
    let mut natter_process = Natter::start(data.path()).await;
    natter_process.client().register("Ada", PASSWORD).await.unwrap();
    assert!(natter_process.terminate().await.success());
    fs::write(data.path().join("natter.sqlite.replaced-2026-01-01T00-00-00Z"), "old").unwrap();
    fs::write(data.path().join("notes"), "somebody's own").unwrap();
    for entry in fs::read_dir(data.path()).unwrap() {
        give(&entry.unwrap().path(), 0o644);
    }
    give(data.path(), 0o755);
    let (code, _, err) = set_password(data.path(), "Ada", "battery staple\n").await;
    assert_eq!(code, Some(0), "{err}");
    assert!(
        err.contains("others on this machine could read") && err.contains("natter.sqlite.replaced-"),
        "{err}"
    );
    assert_eq!(mode(data.path()), 0o700);
    let left = open_to_others(data.path());
    assert!(matches!(&left[..], [notes] if notes.ends_with("/notes")), "{left:?}");
    let (_, _, err) = set_password(data.path(), "Ada", "battery staple\n").await;
    assert!(!err.contains("others on this machine"), "once: {err}");
}

#[tokio::test]
async fn a_folder_that_others_may_write_is_refused_with_what_to_do() {
    for shared in [0o770, 0o707, 0o1777, 0o2775] {
        let data = tempfile::tempdir().unwrap();
        give(data.path(), shared);
        let said = refused(data.path()).await;
        assert!(said.contains("chmod go-w") && said.contains(data.path().to_str().unwrap()), "{said}");
        assert_eq!(fs::read_dir(data.path()).unwrap().count(), 0, "nothing was made in it");
    }
}

#[tokio::test]
async fn a_folder_or_a_file_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return; // only root can give a file away
    }
    let data = tempfile::tempdir().unwrap();
    let mut natter_process = Natter::start(data.path()).await;
    assert!(natter_process.terminate().await.success());
    let database = data.path().join("natter.sqlite");
    std::os::unix::fs::chown(&database, Some(65_534), None).unwrap();
    assert!(refused(data.path()).await.contains("natter.sqlite belongs to another user (number 65534)"));
    std::os::unix::fs::chown(&database, Some(0), None).unwrap();
    std::os::unix::fs::chown(data.path(), Some(65_534), None).unwrap();
    assert!(refused(data.path()).await.contains("belongs to another user"));
}

#[tokio::test]
async fn no_link_in_the_data_folder_is_followed() {
    let names =
        ["natter.lock", "natter.sqlite", "natter.sqlite-wal", "natter.sqlite-shm", "natter.sqlite-journal"];
    for name in names.into_iter().chain(["natter.sqlite.restoring"]) {
        let (data, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (there, nowhere) = (home.path().join("there"), home.path().join("nowhere"));
        fs::write(&there, "precious").unwrap();
        let link = data.path().join(name);
        for target in [&there, &nowhere] {
            symlink(target, &link).unwrap();
            let said = refused(data.path()).await;
            assert!(said.contains(name) && said.contains("is a link"), "{said}");
            fs::remove_file(&link).unwrap();
        }
        assert_eq!(fs::read(&there).unwrap(), b"precious", "{name}");
        assert!(!nowhere.exists(), "{name}");
    }
}

#[tokio::test]
async fn what_natter_did_not_write_is_not_written_over() {
    let data = tempfile::tempdir().unwrap();
    let lock = data.path().join("natter.lock");
    fs::write(&lock, "precious").unwrap();
    assert!(refused(data.path()).await.contains("natter.lock"));
    assert_eq!(fs::read(&lock).unwrap(), b"precious");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    assert!(refused(data.path()).await.contains("natter.lock"));
}

#[tokio::test]
async fn a_backup_is_written_through_no_link_and_of_no_linked_database() {
    let (data, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _natter = Natter::start(data.path()).await;
    let (link, nowhere) = (home.path().join("link"), home.path().join("nowhere"));
    symlink(&nowhere, &link).unwrap();
    let (code, _, err) = run(natter(data.path()).arg("backup").arg(&link), "").await;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("already") && !nowhere.exists(), "{err}");

    let other = tempfile::tempdir().unwrap();
    symlink(data.path().join("natter.sqlite"), other.path().join("natter.sqlite")).unwrap();
    let (code, _, err) = run(natter(other.path()).arg("backup").arg(home.path().join("file")), "").await;
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("is a link"), "{err}");
}

#[tokio::test]
async fn a_restore_that_is_refused_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let wrong = home.path().join("wrong");
    fs::write(&wrong, [b'x'; 9000]).unwrap();
    let data = home.path().join("new/data");
    assert_eq!(run(natter(&data).arg("restore").arg(&wrong), "").await.0, Some(1));
    assert!(!home.path().join("new").exists());
    fs::create_dir_all(&data).unwrap();
    assert_eq!(run(natter(&data).arg("restore").arg(&wrong), "").await.0, Some(1));
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "a folder that was there stays as it was");
}

#[tokio::test]
async fn a_restore_does_not_take_the_database_from_under_a_program_that_reads_it() {
    let (data, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = home.path().join("backup.sqlite");
    let mut natter_process = Natter::start(data.path()).await;
    natter_process.client().register("Ada", PASSWORD).await.unwrap();
    assert_eq!(run(natter(data.path()).arg("backup").arg(&file), "").await.0, Some(0));
    let database = data.path().join("natter.sqlite");
    let mut reader = open(&database).await;
    sqlx::query("select * from users").fetch_all(&mut reader).await.unwrap();
    assert!(natter_process.terminate().await.success());
    let before = fs::metadata(&database).unwrap().ino();
    let (code, _, err) = run(natter(data.path()).arg("restore").arg(&file), "").await;
    assert_eq!(code, Some(1), "{err}");
    assert!(last_line(&err).contains("locked by another program"), "{err}");
    assert_eq!(fs::metadata(&database).unwrap().ino(), before);
    sqlx::Connection::close(reader).await.unwrap();
    let (code, _, err) = run(natter(data.path()).arg("restore").arg(&file), "").await;
    assert_eq!(code, Some(0), "{err}");
}

/// Damages the database where only an integrity check finds it.
fn damage(data: &Path) {
    let file = data.join("natter.sqlite");
    let mut bytes = fs::read(&file).unwrap();
    let length = bytes.len();
    bytes[length - 4096..].fill(0xa5);
    fs::write(&file, bytes).unwrap();
}

#[tokio::test]
async fn after_a_stop_while_the_disk_failed_the_next_start_looks_whether_the_database_is_whole() {
    // A check takes long, so there is none after a graceful stop.
    for fails in [false, true] {
        let data = tempfile::tempdir().unwrap();
        // Files are limited to 2 MiB: to SQLite that is a failing disk.
        let shell = if fails { "trap '' XFSZ && ulimit -f 4096" } else { "true" };
        let mut natter_process = Natter::under(shell, data.path(), &["--limits", "off"]).await;
        let (mut ada, mut bob) = (natter_process.online("Ada").await, natter_process.online("Bob").await);
        let session = befriend(&mut ada, &mut bob).await;
        let text = "x".repeat(12_000);
        if fails {
            let until_it_fails = async { while ada.say_and_wait(session, text.as_str()).await.is_ok() {} };
            within("a commit that fails", until_it_fails).await;
        } else {
            for _ in 0..20 {
                ada.say_and_wait(session, text.as_str()).await.unwrap();
            }
        }
        natter_process.terminate().await;
        damage(data.path());
        let (code, _, err) = set_password(data.path(), "Ada", "battery staple\n").await;
        assert_eq!(code, Some(i32::from(fails)), "{err}");
        assert_eq!(err.contains("is damaged"), fails, "{err}");
    }
}
