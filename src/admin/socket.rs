//! The command line's way in: a socket in the data directory that only its owner can open.

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::net::UnixListener;

/// Command lines that may wait to be accepted.
const BACKLOG: i32 = 64;

/// Where the socket of a data directory is.
#[must_use]
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.sock")
}

/// Opens the socket for the holder of the data directory's lock; what a killed process left there is replaced.
///
/// # Errors
/// Why not, for people.
pub fn bind(data_dir: &Path) -> Result<UnixListener, String> {
    let path = path(data_dir);
    let failed = |error: io::Error| {
        let words = format!("can't open {}: {error}", path.display());
        if error.raw_os_error() == Some(Errno::NAMETOOLONG.raw_os_error()) {
            return format!("{words}: a socket's path has at most 107 bytes; choose a shorter --data-dir");
        }
        words
    };
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = private_listener(&path).map_err(|error| failed(error.into()))?;
    UnixListener::from_std(listener).map_err(failed)
}

/// Linux gives the file of a socket the mode that the socket has when it is bound, so nobody else can open it even
/// for a moment.
fn private_listener(path: &Path) -> Result<StdListener, Errno> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn the_socket_is_its_owners_alone_and_replaces_a_stale_one() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            // Dropped without being removed, as by a kill.
            let _listener = bind(dir.path()).unwrap();
            let mode = path(dir.path()).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            std::os::unix::net::UnixStream::connect(path(dir.path())).unwrap();
        }
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_for_a_socket_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        assert!(bind(&deep).unwrap_err().contains("choose a shorter --data-dir"));
    }
}
