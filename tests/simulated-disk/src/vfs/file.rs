//! The methods of an open file: what is written is noted as a step, all else goes to the `unix` VFS.

use std::ffi::{c_int, c_void};
use std::path::Path;

use libsqlite3_sys as ffi;

use super::{OpenFile, Tracked, handle, ok, result};
use crate::faults::Target;
use crate::files::live_length_bytes;
use crate::state::failed;

pub(super) static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: `open` made the handle, and SQLite closes a file once.
    let mut handle = unsafe { Box::from_raw((*file.cast::<OpenFile>()).handle) };
    real!(handle, xClose)
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, length: c_int, start: i64) -> c_int {
    // SAFETY: SQLite reads from a file that is open.
    let handle = unsafe { handle(file) };
    if let Some(tracked) = &handle.tracked {
        let mut state = tracked.disk.state();
        if state.dead || state.faults.read_fails(Target::of_file(&tracked.path)) {
            return ffi::SQLITE_IOERR_READ;
        }
    }
    real!(handle, xRead, to, length, start)
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, length: c_int, start: i64) -> c_int {
    // SAFETY: SQLite writes to a file that is open.
    let handle = unsafe { handle(file) };
    let Some(Tracked { disk, file, path, .. }) = &handle.tracked else {
        return real!(handle, xWrite, from, length, start);
    };
    let (disk, file, path) = (disk.clone(), *file, path.clone());
    // SAFETY: SQLite gives so many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length as usize) };
    let at = start.cast_unsigned();
    let written = disk.state().step("write", &path, |state| {
        state.faults.write(Target::of_file(&path), || live_length_bytes(&path), at + bytes.len() as u64)?;
        ok(real!(handle, xWrite, from, length, start))?;
        state.note_written(file, at, bytes);
        Ok(())
    });
    result(written, ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    // SAFETY: SQLite cuts a file that is open.
    let handle = unsafe { handle(file) };
    let Some(Tracked { disk, file, path, .. }) = &handle.tracked else { return real!(handle, xTruncate, length) };
    let (disk, file, path) = (disk.clone(), *file, path.clone());
    let cut = disk.state().step("set length of", &path, |state| {
        ok(real!(handle, xTruncate, length))?;
        state.note_length(file, length.cast_unsigned());
        Ok(())
    });
    result(cut, ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite syncs a file that is open.
    let handle = unsafe { handle(file) };
    let Some(tracked) = &mut handle.tracked else { return real!(handle, xSync, flags) };
    let mut state = tracked.disk.state();
    let (file, target) = (tracked.file, Target::of_file(&tracked.path));
    // The `unix` VFS has one code for a sync that failed, for whatever reason.
    if state.step("sync", &tracked.path, |state| state.sync_file(file, target)).is_err() {
        return ffi::SQLITE_IOERR_FSYNC;
    }
    if std::mem::take(&mut tracked.syncs_directory)
        && let Some(parent) = tracked.path.parent()
    {
        // The `unix` VFS does not say that this failed, so neither does this one.
        let _ = state.step("sync directory", parent, |state| {
            let directory = state.directory_of(parent)?;
            state.sync_directory(directory)
        });
    }
    result(if state.dead { Err(failed()) } else { Ok(()) }, ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: SQLite asks of a file that is open.
    let handle = unsafe { handle(file) };
    if handle.tracked.as_ref().is_some_and(|tracked| tracked.disk.state().dead) {
        return ffi::SQLITE_IOERR_FSTAT;
    }
    real!(handle, xFileSize, size)
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite locks a file that is open.
    real!(unsafe { handle(file) }, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite unlocks a file that is open.
    real!(unsafe { handle(file) }, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: SQLite asks of a file that is open.
    real!(unsafe { handle(file) }, xCheckReservedLock, out)
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, what: c_int, argument: *mut c_void) -> c_int {
    // SAFETY: SQLite asks of a file that is open.
    real!(unsafe { handle(file) }, xFileControl, what, argument)
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite asks of a file that is open.
    real!(unsafe { handle(file) }, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite asks of a file that is open.
    real!(unsafe { handle(file) }, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: SQLite maps the index of a file that is open.
    let handle = unsafe { handle(file) };
    if let Some(tracked) = &handle.tracked {
        let state = tracked.disk.state();
        if state.dead {
            return ffi::SQLITE_IOERR_SHMMAP;
        }
        let mut index = tracked.path.clone().into_os_string();
        index.push("-shm");
        let wanted = (i64::from(region) + 1) * i64::from(size);
        if extend != 0 && state.faults.is_full() && live_length_bytes(Path::new(&index)) < wanted.cast_unsigned() {
            return ffi::SQLITE_IOERR_SHMSIZE;
        }
    }
    real!(handle, xShmMap, region, size, extend, out)
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: SQLite locks the index of a file that is open.
    real!(unsafe { handle(file) }, xShmLock, offset, count, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: SQLite orders the index of a file that is open.
    let real = unsafe { handle(file) }.real();
    // SAFETY: the real file is open for as long as its handle lives, and its table has every method.
    unsafe {
        if let Some(barrier) = (*(*real).pMethods).xShmBarrier {
            barrier(real);
        }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: SQLite unmaps the index of a file that is open.
    let handle = unsafe { handle(file) };
    let is_dead = handle.tracked.as_ref().is_some_and(|tracked| tracked.disk.state().dead);
    // A process that is dead removes nothing.
    let delete = if is_dead { 0 } else { delete };
    real!(handle, xShmUnmap, delete)
}
