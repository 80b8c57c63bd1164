//! The data folder: for one process at a time, its owner's alone, and without links.
//!
//! Whoever may write into a folder may exchange what is in it, at any moment and also between a look and what follows.
//! So the folder comes first: one that others may write is refused. In one that only its owner may write, what was
//! looked at is what is opened, and it is enough to look once. (SQLite itself follows no link where it opens a log or a
//! journal, and the one to the database it resolves beforehand.) The folders above are not looked at.

use std::fs::{self, DirBuilder, File, Metadata, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::backup::sync_folder_of;
use crate::OpenError;

/// The database's name in its folder.
pub(super) const DATABASE: &str = "natter.sqlite";

const LOCK: &str = "natter.lock";

/// What stands in the lock file while a process runs, and after one that did not end properly.
const RUNNING: &str = "running\n";

/// All that is ever opened there. Other files whose names begin so are what a restore has replaced.
const OPENED: [&str; 7] = [
    LOCK,
    DATABASE,
    "natter.sqlite-wal",
    "natter.sqlite-shm",
    "natter.sqlite-journal",
    "natter.sqlite.restoring",
    "natter.sqlite.restoring-journal",
];

/// Permissions by which others may read or write, or go through a folder; and those to write alone.
const OTHERS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;

type Result<T> = std::result::Result<T, OpenError>;

/// A data folder that this process has taken: nobody else has it as long as this lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    lock: File,
    /// Whether the lock file was not there before.
    is_new: bool,
    /// The folders that were not there before, innermost first.
    made: Vec<PathBuf>,
}

impl Folder {
    /// Takes the folder, which is made when missing, for this process.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let fault = |error| OpenError::Folder(path.to_owned(), error);
        let made = make(path).map_err(fault)?;
        guard(path)?;
        let lock = path.join(LOCK);
        loop {
            let (file, is_new) = open_lock(&lock).map_err(fault)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path.to_owned())),
                Err(TryLockError::Error(error)) => return Err(fault(error)),
            }
            // One that was removed before it was locked (see `leave_as_it_was`) keeps nobody out.
            if is_same(&file, &lock).map_err(fault)? {
                return Ok(Self { path: path.to_owned(), lock: file, is_new, made });
            }
        }
    }

    /// Whether nobody knows how the database was left: its last process ended without [`Folder::mark_clean`], or it
    /// came here by itself.
    pub(super) fn is_unclean(&self) -> Result<bool> {
        let path = self.path.join(LOCK);
        if self.is_new {
            return Ok(self.path.join(DATABASE).exists());
        }
        let (mut said, mut lock) = (String::new(), &self.lock);
        let read = lock.rewind().and_then(|()| lock.take(64).read_to_string(&mut said));
        match read.map(|_| said.as_str()) {
            Ok("") => Ok(false),
            // Cut short by a full disk or a loss of power.
            Ok(said) if RUNNING.starts_with(said) => Ok(true),
            _ => Err(OpenError::NotOurs(path)),
        }
    }

    /// Notes in the lock file that a process runs. Returns whether the database has to be looked at first.
    pub(super) fn mark_running(&mut self) -> Result<bool> {
        let is_unclean = self.is_unclean()?;
        // Written over and not anew: were it empty for a moment, and the process ended in it, then nobody would look.
        let mark = |lock: &mut File| {
            lock.rewind()?;
            lock.write_all(RUNNING.as_bytes())?;
            lock.sync_data()?;
            sync_folder_of(&self.path.join(LOCK))
        };
        mark(&mut self.lock).map_err(|error| OpenError::Folder(self.path.clone(), error))?;
        Ok(is_unclean)
    }

    /// Whether everything is in the database itself: the last one to close it takes the log away.
    pub(super) fn has_no_log(&self) -> bool {
        fs::metadata(self.path.join("natter.sqlite-wal")).map_or(true, |log| log.len() == 0)
    }

    /// Notes in the lock file that everything is in the database, which is closed.
    pub(super) fn mark_clean(&self) {
        if let Err(error) = self.lock.set_len(0).and_then(|()| self.lock.sync_data()) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the lock file could not be cleared");
        }
    }

    /// Removes what a restore that was cut short has left: what is in there would outlive its deletion.
    pub(super) fn clear(&self) {
        for name in OPENED.into_iter().filter(|name| name.contains(".restoring")) {
            let _ = fs::remove_file(self.path.join(name));
        }
    }

    /// Takes away again what was made to take the folder.
    pub(super) fn leave_as_it_was(self) {
        if self.is_new {
            let _ = fs::remove_file(self.path.join(LOCK));
        }
        for folder in &self.made {
            let _ = fs::remove_dir(folder); // what is not empty stays
        }
    }
}

/// Makes the folder and those above it. Returns which were not there, innermost first.
fn make(path: &Path) -> io::Result<Vec<PathBuf>> {
    let is_missing = |folder: &&Path| {
        !folder.as_os_str().is_empty()
            && fs::metadata(folder).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let missing = path.ancestors().take_while(is_missing).map(Path::to_owned).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    Ok(missing)
}

/// Passes a folder that nobody but its owner may change, without links, and takes from others the permission to read it.
fn guard(path: &Path) -> Result<()> {
    let fault = |error| OpenError::Folder(path.to_owned(), error);
    let (us, root) = (rustix::process::geteuid().as_raw(), 0);
    let folder = fs::metadata(path).map_err(fault)?;
    if folder.uid() != us && folder.uid() != root {
        return Err(OpenError::Foreign(path.to_owned(), folder.uid()));
    }
    if folder.mode() & OTHERS_WRITE != 0 {
        return Err(OpenError::Shared(path.to_owned(), folder.mode() & 0o7777));
    }
    let mut tightened = Vec::new();
    if tighten(path, &folder, 0o700) {
        tightened.push(".".to_owned());
    }
    for entry in fs::read_dir(path).map_err(fault)? {
        let name = entry.map_err(fault)?.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(LOCK) || name.starts_with(DATABASE))
        else {
            continue;
        };
        if guard_file(&path.join(name), us, OPENED.contains(&name))? {
            tightened.push(name.to_owned());
        }
    }
    if !tightened.is_empty() {
        tracing::warn!(
            folder = %path.display(),
            files = tightened.join(" "),
            "others on this machine could read these: their permissions are now their owner's alone"
        );
    }
    Ok(())
}

/// The same for a file. Returns whether its permissions were changed.
fn guard_file(path: &Path, us: u32, is_opened: bool) -> Result<bool> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false), // another process took it away
        Err(error) => return Err(OpenError::Folder(path.to_owned(), error)),
    };
    if !is_opened && (!found.is_file() || found.uid() != us) {
        return Ok(false);
    }
    if found.is_symlink() {
        return Err(OpenError::Link(path.to_owned()));
    }
    if !found.is_file() {
        return Err(OpenError::NotOurs(path.to_owned()));
    }
    if found.uid() != us {
        return Err(OpenError::Foreign(path.to_owned(), found.uid()));
    }
    Ok(tighten(path, &found, 0o600))
}

/// Gives a file or folder this mode, if others may do anything with it. Returns whether it did.
fn tighten(path: &Path, found: &Metadata, mode: u32) -> bool {
    if found.mode() & OTHERS == 0 {
        return false;
    }
    let done = fs::set_permissions(path, Permissions::from_mode(mode));
    if let Err(error) = &done {
        // Not every file system has permissions. Who may read is the operator's to decide.
        tracing::warn!(
            file = %path.display(),
            error = error as &dyn std::error::Error,
            "others on this machine may read this, and its permissions cannot be changed"
        );
    }
    done.is_ok()
}

/// Whether a name is a link's.
pub(super) fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// Opens the lock file. Returns also whether it was not there.
fn open_lock(path: &Path) -> io::Result<(File, bool)> {
    let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    loop {
        match create_new(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return Ok((made?, true)),
        }
        match File::options().read(true).write(true).custom_flags(no_link).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // removed meanwhile
            opened => return Ok((opened?, false)),
        }
    }
}

/// Makes a file that nobody else may read; never one that is there, and through no link.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Makes an empty file in place of a database that is not there: SQLite gives its log and its index the permissions of
/// the database. One that is there is not opened: closing it would end the locks of those who use it in this process.
pub(super) fn create_database(path: &Path) -> io::Result<()> {
    match create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Whether the open file is the one of this name.
pub(super) fn is_same(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((open.dev(), open.ino()) == (named.dev(), named.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
