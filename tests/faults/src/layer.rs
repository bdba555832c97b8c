//! The layer over SQLite's file system.
//!
//! An open file is SQLite's own, laid behind ours in the same piece of memory; every method asks the gate and passes on.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Arc, Once};

use rusqlite::ffi::{
    self, SQLITE_CANTOPEN, SQLITE_FULL, SQLITE_IOERR_ACCESS, SQLITE_IOERR_DELETE, SQLITE_IOERR_FSTAT,
    SQLITE_IOERR_FSYNC, SQLITE_IOERR_LOCK, SQLITE_IOERR_READ, SQLITE_IOERR_SHMLOCK, SQLITE_IOERR_SHMMAP,
    SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE, SQLITE_OK, SQLITE_OPEN_CREATE, sqlite3_file, sqlite3_int64,
    sqlite3_io_methods, sqlite3_vfs,
};

use crate::gate::{Call, Fault, Gate, Way};

/// An open file. The real one follows in memory.
#[repr(C)]
struct File {
    base: sqlite3_file,
    gate: Option<Arc<Gate>>,
    path: PathBuf,
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // Without the calls for memory-mapped pages, which then come as reads.
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

/// Puts the layer over the default file system, once for the process.
///
/// # Panics
/// SQLite has no default file system.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the default is a static of SQLite's. The layer is a copy of it, so that what is not replaced works as
        // before, and is never freed, as registering asks.
        unsafe {
            let real = ffi::sqlite3_vfs_find(ptr::null());
            assert!(!real.is_null(), "SQLite has a file system");
            let mut layer = Box::new(*real);
            let own = c_int::try_from(size_of::<File>()).expect("a small size");
            layer.szOsFile = own + (*real).szOsFile;
            layer.zName = c"faults".as_ptr();
            layer.pNext = ptr::null_mut();
            layer.pAppData = real.cast();
            layer.xOpen = Some(open);
            layer.xDelete = Some(delete);
            layer.xAccess = Some(access);
            assert_eq!(ffi::sqlite3_vfs_register(Box::into_raw(layer), 1), SQLITE_OK);
        }
    });
}

/// The file system below the layer.
///
/// # Safety
/// `vfs` is the layer's.
unsafe fn below(vfs: *mut sqlite3_vfs) -> *mut sqlite3_vfs {
    // SAFETY: as `install` made it.
    unsafe { (*vfs).pAppData.cast() }
}

/// The real file behind ours.
///
/// # Safety
/// `file` is a piece of memory of the layer's `szOsFile`.
unsafe fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: the piece is as long as both together.
    unsafe { file.byte_add(size_of::<File>()) }
}

/// The path that a name means; SQLite gives no name for what it throws away itself.
///
/// # Safety
/// `name` is null or a C string.
unsafe fn path_of(name: *const c_char) -> PathBuf {
    if name.is_null() {
        return PathBuf::new();
    }
    // SAFETY: as the caller promised.
    Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes())).to_owned()
}

/// Asks the gate and does the call, or half of it, or not.
fn through(
    gate: Option<&Gate>,
    (call, path): (Call, &Path),
    error: c_int,
    whole: impl FnOnce() -> c_int,
    half: impl FnOnce() -> c_int,
) -> c_int {
    match gate.map_or(Way::Through, |gate| gate.pass(call, path)) {
        Way::Through => whole(),
        Way::Failed(Fault::Io | Fault::Power) => error,
        Way::Failed(Fault::Full) if call == Call::Create => error,
        Way::Failed(Fault::Full) => SQLITE_FULL,
        Way::Failed(Fault::Short) => {
            half();
            if call == Call::Write { SQLITE_FULL } else { error }
        }
        Way::Failed(Fault::Torn) => {
            whole();
            error
        }
    }
}

fn none() -> c_int {
    SQLITE_OK
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives a piece of memory of `szOsFile`, a name that is null or a C string, and this layer.
    unsafe {
        let (path, real_vfs) = (path_of(name), below(vfs));
        (*file).pMethods = ptr::null();
        let gate = Gate::of(&path);
        let call = if flags & SQLITE_OPEN_CREATE == 0 { Call::Open } else { Call::Create };
        let opened = through(
            gate.as_deref(),
            (call, &path),
            SQLITE_CANTOPEN,
            || (*real_vfs).xOpen.map_or(SQLITE_CANTOPEN, |open| open(real_vfs, name, real(file), flags, out)),
            none,
        );
        if opened == SQLITE_OK {
            ptr::write(file.cast(), File { base: sqlite3_file { pMethods: &raw const METHODS }, gate, path });
        } else if !(*real(file)).pMethods.is_null() {
            // What was opened and told to have failed.
            if let Some(close) = (*(*real(file)).pMethods).xClose {
                close(real(file));
            }
        }
        opened
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: as for `open`.
    unsafe {
        let (path, real_vfs) = (path_of(name), below(vfs));
        let gate = Gate::of(&path);
        let whole = || {
            if let Some(gate) = &gate {
                gate.removed(&path);
            }
            let sync = if gate.is_some() { 0 } else { sync };
            (*real_vfs).xDelete.map_or(SQLITE_IOERR_DELETE, |delete| delete(real_vfs, name, sync))
        };
        through(gate.as_deref(), (Call::Remove, &path), SQLITE_IOERR_DELETE, whole, none)
    }
}

unsafe extern "C" fn access(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: as for `open`.
    unsafe {
        let (path, real_vfs) = (path_of(name), below(vfs));
        let whole =
            || (*real_vfs).xAccess.map_or(SQLITE_IOERR_ACCESS, |access| access(real_vfs, name, flags, out));
        through(Gate::of(&path).as_deref(), (Call::Look, &path), SQLITE_IOERR_ACCESS, whole, none)
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite closes what `open` has opened, once.
    unsafe {
        let closed = (*(*real(file)).pMethods).xClose.map_or(SQLITE_OK, |close| close(real(file)));
        ptr::drop_in_place(file.cast::<File>());
        (*file).pMethods = ptr::null();
        closed
    }
}

/// A method that asks the gate first.
macro_rules! asked {
    ($name:ident, $method:ident, $call:expr, $error:expr, ($($argument:ident: $type:ty),*)) => {
        unsafe extern "C" fn $name(file: *mut sqlite3_file, $($argument: $type),*) -> c_int {
            // SAFETY: SQLite calls it on what `open` has opened, with arguments that the real one takes.
            unsafe {
                let own = &*file.cast::<File>();
                let real = real(file);
                let whole = || (*(*real).pMethods).$method.map_or($error, |method| method(real, $($argument),*));
                through(own.gate.as_deref(), ($call, &own.path), $error, whole, none)
            }
        }
    };
}

/// A method that is passed on as it is.
macro_rules! passed {
    ($name:ident, $method:ident, ($($argument:ident: $type:ty),*)) => {
        unsafe extern "C" fn $name(file: *mut sqlite3_file, $($argument: $type),*) -> c_int {
            // SAFETY: SQLite calls it on what `open` has opened, with arguments that the real one takes.
            unsafe {
                let real = real(file);
                (*(*real).pMethods).$method.map_or(SQLITE_OK, |method| method(real, $($argument),*))
            }
        }
    };
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    buffer: *mut c_void,
    bytes: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite calls it on what `open` has opened, with room for `bytes`; half of them have room too.
    unsafe {
        let own = &*file.cast::<File>();
        let real = real(file);
        let part = |bytes| {
            (*(*real).pMethods).xRead.map_or(SQLITE_IOERR_READ, |read| read(real, buffer, bytes, offset))
        };
        let call = (Call::Read, own.path.as_path());
        through(own.gate.as_deref(), call, SQLITE_IOERR_READ, || part(bytes), || part(bytes / 2))
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    buffer: *const c_void,
    bytes: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite calls it on what `open` has opened, with `bytes` in the buffer; half of them are there too.
    unsafe {
        let own = &*file.cast::<File>();
        let real = real(file);
        let part = |bytes: c_int| {
            if let (Some(gate), Ok(at), Ok(length)) = (&own.gate, offset.try_into(), bytes.try_into()) {
                gate.wrote(&own.path, at, std::slice::from_raw_parts(buffer.cast(), length));
            }
            (*(*real).pMethods).xWrite.map_or(SQLITE_IOERR_WRITE, |write| write(real, buffer, bytes, offset))
        };
        let call = (Call::Write, own.path.as_path());
        through(own.gate.as_deref(), call, SQLITE_IOERR_WRITE, || part(bytes), || part(bytes / 2))
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, bytes: sqlite3_int64) -> c_int {
    // SAFETY: SQLite calls it on what `open` has opened.
    unsafe {
        let own = &*file.cast::<File>();
        let real = real(file);
        let whole = || {
            if let (Some(gate), Ok(length)) = (&own.gate, bytes.try_into()) {
                gate.cut(&own.path, length);
            }
            (*(*real).pMethods).xTruncate.map_or(SQLITE_IOERR_TRUNCATE, |truncate| truncate(real, bytes))
        };
        let call = (Call::Truncate, own.path.as_path());
        through(own.gate.as_deref(), call, SQLITE_IOERR_TRUNCATE, whole, none)
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite calls it on what `open` has opened.
    unsafe {
        let own = &*file.cast::<File>();
        let real = real(file);
        let note = |succeeded| {
            if let Some(gate) = &own.gate {
                gate.synced(&own.path, succeeded);
            }
        };
        let whole = || {
            if own.gate.is_some() {
                // The power only seems to go, and what a disk really holds is nobody's question.
                note(true);
                return SQLITE_OK;
            }
            (*(*real).pMethods).xSync.map_or(SQLITE_IOERR_FSYNC, |sync| sync(real, flags))
        };
        let call = (Call::Sync, own.path.as_path());
        let synced = through(own.gate.as_deref(), call, SQLITE_IOERR_FSYNC, whole, none);
        if synced != SQLITE_OK && !own.gate.as_ref().is_some_and(|gate| gate.is_dark()) {
            // Of nothing, where it was done and told to have failed.
            note(false);
        }
        synced
    }
}

asked!(file_size, xFileSize, Call::Look, SQLITE_IOERR_FSTAT, (bytes: *mut sqlite3_int64));
asked!(lock, xLock, Call::Lock, SQLITE_IOERR_LOCK, (level: c_int));
asked!(shm_map, xShmMap, Call::Share, SQLITE_IOERR_SHMMAP,
    (page: c_int, bytes: c_int, extend: c_int, out: *mut *mut c_void));
passed!(unlock, xUnlock, (level: c_int));
passed!(check_reserved_lock, xCheckReservedLock, (out: *mut c_int));
passed!(file_control, xFileControl, (what: c_int, argument: *mut c_void));
passed!(sector_size, xSectorSize, ());
passed!(device_characteristics, xDeviceCharacteristics, ());
passed!(shm_unmap, xShmUnmap, (delete: c_int));

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: SQLite calls it on what `open` has opened.
    unsafe {
        let own = &*file.cast::<File>();
        let real = real(file);
        let method =
            || (*(*real).pMethods).xShmLock.map_or(SQLITE_OK, |lock| lock(real, offset, count, flags));
        if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            return method();
        }
        through(own.gate.as_deref(), (Call::Lock, &own.path), SQLITE_IOERR_SHMLOCK, method, none)
    }
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: SQLite calls it on what `open` has opened.
    unsafe {
        let real = real(file);
        if let Some(barrier) = (*(*real).pMethods).xShmBarrier {
            barrier(real);
        }
    }
}
