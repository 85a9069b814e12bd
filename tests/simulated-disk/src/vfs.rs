//! A VFS of SQLite around its own `unix` one, which tells a [`SimulatedDisk`](crate::SimulatedDisk) of everything that is written.
//!
//! The files are real and are read, locked and mapped by the `unix` VFS. Writes go through it too; syncs do not, they are only noted.

#![expect(unsafe_code, reason = "SQLite calls a VFS as C functions over raw pointers")]

use std::ffi::{CStr, CString, OsStr, c_char, c_int};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use libsqlite3_sys as ffi;

use crate::Shared;

/// A VFS that SQLite knows by name, for as long as this lives.
pub(crate) struct Registration {
    name: String,
    vfs: *mut ffi::sqlite3_vfs,
}

// SAFETY: the pointer is only given to SQLite's register functions, which lock, and the table it points to is never changed after it was
// registered.
unsafe impl Send for Registration {}
// SAFETY: as above; nothing is reached through a shared reference but the name.
unsafe impl Sync for Registration {}

impl fmt::Debug for Registration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)
    }
}

impl Registration {
    pub(crate) fn new(disk: Weak<Shared>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("simulated-disk-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let c_name = CString::new(name.clone()).unwrap_or_default().into_raw();
        let unix = unix();
        // SAFETY: `unix` is SQLite's own table, which lives as long as the process. The copy, its name and the pointer to the disk are
        // leaked on purpose, a few hundred bytes, because a connection that is being closed may still look at them.
        let vfs = unsafe {
            Box::into_raw(Box::new(ffi::sqlite3_vfs {
                iVersion: 2,
                szOsFile: size_of::<OpenFile>() as c_int,
                pNext: ptr::null_mut(),
                zName: c_name,
                pAppData: Box::into_raw(Box::new(disk)).cast(),
                xOpen: Some(open),
                xDelete: Some(delete),
                xAccess: Some(access),
                ..*unix
            }))
        };
        // SAFETY: the table is whole and lives for ever.
        let registered = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
        assert_eq!(registered, ffi::SQLITE_OK, "SQLite did not take the VFS");
        Self { name, vfs }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: it was registered by `new` and is never freed.
        unsafe { ffi::sqlite3_vfs_unregister(self.vfs) };
    }
}

/// SQLite's own VFS.
fn unix() -> *mut ffi::sqlite3_vfs {
    // SAFETY: the name is a C string; SQLite answers with a table that lives as long as the process.
    let found = unsafe { ffi::sqlite3_vfs_find(c"unix".as_ptr()) };
    assert!(!found.is_null(), "SQLite lacks its own VFS");
    found
}

/// An open file, as SQLite allocates it: `szOsFile` bytes of which the first word is the table of methods.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    handle: *mut Handle,
}

/// What is known of an open file.
struct Handle {
    /// The disk and the file's number; `None` for a temporary file, which nobody finds after a crash.
    tracked: Option<Tracked>,
    /// The `unix` VFS's own file, in memory that is large enough and aligned for it.
    real: Box<[u64]>,
}

struct Tracked {
    disk: Arc<Shared>,
    file: usize,
    path: PathBuf,
    /// As the `unix` VFS does: the first sync of a log also syncs the directory that names it.
    syncs_directory: bool,
}

impl Handle {
    fn real(&mut self) -> *mut ffi::sqlite3_file {
        self.real.as_mut_ptr().cast()
    }
}

/// The handle of a file that is open.
///
/// # Safety
/// `file` is one that [`open`] opened and [`close`] did not close, and SQLite uses a file from one thread at a time.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Handle {
    // SAFETY: `open` put a valid handle there; the caller keeps the rest.
    unsafe { &mut *(*file.cast::<OpenFile>()).handle }
}

/// Calls a method of the `unix` VFS's file.
macro_rules! real {
    ($handle:expr, $method:ident $(, $argument:expr)*) => {{
        let real = $handle.real();
        // SAFETY: the real file is open for as long as its handle lives, its table has every method, and the arguments are those that
        // SQLite gave for this very method.
        unsafe { (*(*real).pMethods).$method.map_or(ffi::SQLITE_MISUSE, |method| method(real $(, $argument)*)) }
    }};
}

mod file;

fn code_of(error: &io::Error, code: c_int) -> c_int {
    if error.kind() == io::ErrorKind::StorageFull { ffi::SQLITE_FULL } else { code }
}

/// A failure of the `unix` VFS that passes through a step.
fn ok(code: c_int) -> io::Result<()> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(io::Error::other(code.to_string())) }
}

fn result(done: io::Result<()>, code: c_int) -> c_int {
    done.map_or_else(|error| code_of(&error, code), |()| ffi::SQLITE_OK)
}

/// The disk of a VFS, as long as a test has it.
///
/// # Safety
/// `vfs` is a table that [`Registration::new`] made.
unsafe fn disk_of(vfs: *mut ffi::sqlite3_vfs) -> Option<Arc<Shared>> {
    // SAFETY: `pAppData` is the leaked `Weak` of this table.
    unsafe { (*(*vfs).pAppData.cast::<Weak<Shared>>()).upgrade() }
}

/// # Safety
/// `name` is a C string.
unsafe fn path_of(name: *const c_char) -> PathBuf {
    // SAFETY: the caller's promise.
    Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes())).to_owned()
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives room of `szOsFile` bytes. Without methods it will not close what did not open.
    unsafe { (*file).pMethods = ptr::null() };
    let unix = unix();
    // SAFETY: SQLite's own table is whole.
    let words = unsafe { (*unix).szOsFile as usize }.div_ceil(size_of::<u64>());
    let mut handle = Box::new(Handle { tracked: None, real: vec![0; words].into_boxed_slice() });
    // SAFETY: the arguments are SQLite's own, and the room is as large as the `unix` VFS asks.
    let open_real = |handle: &mut Handle| unsafe {
        (*unix).xOpen.map_or(ffi::SQLITE_MISUSE, |open| open(unix, name, handle.real(), flags, out_flags))
    };
    let code = if name.is_null() || flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0 {
        open_real(&mut handle)
    } else {
        // SAFETY: SQLite calls with the table under which it looked the VFS up, and the name is a C string.
        let (disk, path) = unsafe { (disk_of(vfs), path_of(name)) };
        let Some(disk) = disk else { return ffi::SQLITE_IOERR };
        open_tracked(disk, path, flags, &mut handle, open_real)
    };
    if code == ffi::SQLITE_OK {
        // SAFETY: the room is that of an `OpenFile`; the handle is freed by `close`.
        unsafe {
            (*file.cast::<OpenFile>()).handle = Box::into_raw(handle);
            (*file).pMethods = &raw const file::METHODS;
        }
    }
    code
}

fn open_tracked(
    disk: Arc<Shared>,
    path: PathBuf,
    flags: c_int,
    handle: &mut Handle,
    open_real: impl Fn(&mut Handle) -> c_int,
) -> c_int {
    const LOGS: c_int = ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;
    let mut state = disk.state();
    let mut code = ffi::SQLITE_OK;
    let file = if path.exists() || flags & ffi::SQLITE_OPEN_CREATE == 0 {
        state.alive().and_then(|()| {
            code = open_real(handle);
            ok(code).and_then(|()| state.file_of(&path))
        })
    } else {
        state.step("create", &path, |state| {
            code = open_real(handle);
            ok(code).and_then(|()| state.note_new_file(&path))
        })
    };
    drop(state);
    match file {
        Ok(file) => {
            let syncs_directory = flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & LOGS != 0;
            handle.tracked = Some(Tracked { disk, file, path, syncs_directory });
            ffi::SQLITE_OK
        }
        Err(_) if code != ffi::SQLITE_OK => code,
        Err(_) => {
            let real = handle.real();
            // SAFETY: the room begins as zeros, and the `unix` VFS sets the methods of what it opens.
            let is_open = unsafe { !(*real).pMethods.is_null() };
            // Only what was opened is to be closed; what closing says does not matter to a file that was not wanted.
            let _ = is_open && real!(handle, xClose) == ffi::SQLITE_OK;
            ffi::SQLITE_IOERR
        }
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_dir: c_int) -> c_int {
    // SAFETY: SQLite calls with the table under which it looked the VFS up, and the name is a C string.
    let (disk, path) = unsafe { (disk_of(vfs), path_of(name)) };
    let Some(disk) = disk else { return ffi::SQLITE_IOERR_DELETE };
    let mut state = disk.state();
    if !path.exists() {
        return state.alive().map_or(ffi::SQLITE_IOERR_DELETE, |()| ffi::SQLITE_IOERR_DELETE_NOENT);
    }
    let removed = state.step("remove", &path, |state| {
        std::fs::remove_file(&path)?;
        state.note_removed(&path)
    });
    if removed.is_err() {
        return ffi::SQLITE_IOERR_DELETE;
    }
    match (sync_dir & 1, path.parent()) {
        (1, Some(parent)) => {
            let synced = state.step("sync directory", parent, |state| {
                let directory = state.directory_of(parent)?;
                state.sync_directory(directory)
            });
            synced.map_or(ffi::SQLITE_IOERR_DIR_FSYNC, |()| ffi::SQLITE_OK)
        }
        _ => ffi::SQLITE_OK,
    }
}

unsafe extern "C" fn access(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    // SAFETY: SQLite calls with the table under which it looked the VFS up.
    let disk = unsafe { disk_of(vfs) };
    if disk.is_none_or(|disk| disk.state().dead) {
        return ffi::SQLITE_IOERR_ACCESS;
    }
    let unix = unix();
    // SAFETY: the arguments are SQLite's own.
    unsafe { (*unix).xAccess.map_or(ffi::SQLITE_MISUSE, |access| access(unix, name, flags, out)) }
}
