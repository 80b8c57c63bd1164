//! The data folder: for one process at a time, private to its owner, and without links.
//!
//! Anybody who may write to a folder may replace what is in it, at any moment, even between a check and its use. So the
//! folder comes first: one that others may write to is refused. In a folder that only its owner may write to, what was
//! checked is what is opened, and one check is enough. (SQLite itself follows no link when it opens a log or a journal,
//! and resolves the database's own beforehand.) Parent folders are not checked.

use std::fs::{self, DirBuilder, File, Metadata, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, statvfs};

use crate::OpenError;

/// The database's name in its folder.
pub(super) const DATABASE: &str = "natter.sqlite";

const LOCK: &str = "natter.lock";

/// Contents of the lock file while a process runs, and after one that did not shut down cleanly.
const RUNNING: &str = "running\n";

/// Everything that is ever opened there. Other files whose names begin like these are what a restore has replaced.
const OPENED: [&str; 7] = [
    LOCK,
    DATABASE,
    "natter.sqlite-wal",
    "natter.sqlite-shm",
    "natter.sqlite-journal",
    "natter.sqlite.restoring",
    "natter.sqlite.restoring-journal",
];

/// Permissions for others to read, write or traverse; and to write only.
const OTHERS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;

type Result<T> = std::result::Result<T, OpenError>;

/// A data folder that this process holds: no other process has it while this value lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    lock: File,
    /// Whether taking the folder created the lock file.
    is_new: bool,
    /// The folders that were created, innermost first.
    made: Vec<PathBuf>,
}

impl Folder {
    /// Takes the folder for this process, creating it if it is missing.
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
            // A lock file that was removed before it was locked (see `leave_as_it_was`) keeps nobody out.
            if is_same(&file, &lock).map_err(fault)? {
                return Ok(Self { path: path.to_owned(), lock: file, is_new, made });
            }
        }
    }

    /// Returns the path of the database.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Whether the database's state is unknown: its last process ended without [`Folder::mark_clean`], or it came here
    /// without a lock file.
    pub(super) fn is_unclean(&self) -> Result<bool> {
        let path = self.path.join(LOCK);
        if self.is_new {
            return Ok(self.path.join(DATABASE).exists());
        }
        let (mut said, mut lock) = (String::new(), &self.lock);
        let read = lock.rewind().and_then(|()| lock.take(64).read_to_string(&mut said));
        match read.map(|_| said.as_str()) {
            Ok("") => Ok(false),
            // Cut short by a full disk or a power failure.
            Ok(said) if RUNNING.starts_with(said) => Ok(true),
            _ => Err(OpenError::NotOurs(path)),
        }
    }

    /// Notes in the lock file that a process runs. Returns whether the database must be checked first.
    pub(super) fn mark_running(&mut self) -> Result<bool> {
        let is_unclean = self.is_unclean()?;
        // Overwritten, not truncated: if the process ended while the file was empty, the next start would skip the
        // check.
        let mark = |lock: &mut File| {
            lock.rewind()?;
            lock.write_all(RUNNING.as_bytes())?;
            lock.sync_data()?;
            sync_folder_of(&self.path.join(LOCK))
        };
        mark(&mut self.lock).map_err(|error| OpenError::Folder(self.path.clone(), error))?;
        Ok(is_unclean)
    }

    /// Whether everything is in the database itself: the last process to close it removes the log.
    pub(super) fn has_no_log(&self) -> bool {
        fs::metadata(self.path.join("natter.sqlite-wal")).map_or(true, |log| log.len() == 0)
    }

    /// Notes in the lock file that the database is closed and holds everything.
    pub(super) fn mark_clean(&self) {
        if let Err(error) = self.lock.set_len(0).and_then(|()| self.lock.sync_data()) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the lock file could not be cleared");
        }
    }

    /// Removes what an interrupted restore has left: the texts in there would outlive their deletion.
    pub(super) fn clear(&self) {
        for name in OPENED.into_iter().filter(|name| name.contains(".restoring")) {
            let _ = fs::remove_file(self.path.join(name));
        }
    }

    /// Undoes what taking the folder created.
    pub(super) fn leave_as_it_was(self) {
        if self.is_new {
            let _ = fs::remove_file(self.path.join(LOCK));
        }
        for folder in &self.made {
            let _ = fs::remove_dir(folder); // non-empty ones stay
        }
    }
}

/// Creates the folder and its parents. Returns those that were missing, innermost first.
fn make(path: &Path) -> io::Result<Vec<PathBuf>> {
    let is_missing = |folder: &&Path| {
        !folder.as_os_str().is_empty()
            && fs::metadata(folder).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let missing = path.ancestors().take_while(is_missing).map(Path::to_owned).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    Ok(missing)
}

/// Accepts a folder without links that only its owner may change, and revokes others' permission to read it.
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

/// Does the same for a file. Returns whether its permissions were changed.
fn guard_file(path: &Path, us: u32, is_opened: bool) -> Result<bool> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false), // another process removed it
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

/// Sets the mode of a file or folder if others have any permission on it. Returns whether it did.
fn tighten(path: &Path, found: &Metadata, mode: u32) -> bool {
    if found.mode() & OTHERS == 0 {
        return false;
    }
    let done = fs::set_permissions(path, Permissions::from_mode(mode));
    if let Err(error) = &done {
        // Not every file system has permissions. Who may read is then up to the operator.
        tracing::warn!(
            file = %path.display(),
            error = error as &dyn std::error::Error,
            "others on this machine may read this, and its permissions cannot be changed"
        );
    }
    done.is_ok()
}

/// Whether a path is a symbolic link.
pub(super) fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// Opens the lock file. Also returns whether it was created.
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

/// Creates a file that nobody else may read; never an existing one, and through no link.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Creates an empty file if the database does not exist: SQLite gives its log and its index the database's permissions.
/// An existing one is not opened: closing it would release the locks of others who use it in this process.
pub(super) fn create_database(path: &Path) -> io::Result<()> {
    match create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Returns the folder that holds a file.
pub(super) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns a path whose name goes on like this.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Returns the bytes that are free for this user on a folder's disk.
pub(super) fn room(folder: &Path) -> io::Result<u64> {
    let room = statvfs(folder)?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}

/// Makes the name of a file just created or renamed survive a power failure.
pub(super) fn sync_folder_of(file: &Path) -> io::Result<()> {
    File::open(folder_of(file))?.sync_all()
}

/// Whether the open file is the one with this name.
pub(super) fn is_same(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((open.dev(), open.ino()) == (named.dev(), named.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
