//! The process begins anew in its place, and keeps the socket for clients: connections wait in its queue meanwhile. The
//! socket is handed on as systemd does it (`LISTEN_FDS`), so that a socket unit may hold it as well.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use command_fds::{CommandFdExt, FdMapping};
use listenfd::ListenFd;

/// The first descriptor that is handed on (`sd_listen_fds(3)`).
const FIRST: i32 = 3;

/// What a process that serves begins with.
#[derive(Debug)]
pub struct Beginning {
    /// The socket that was handed over. It has that number, and so has its part that is kept to be handed on.
    pub(super) socket: Option<TcpListener>,
    /// Holds that number from before anything else could have it, so that handing a socket on takes nobody's away.
    _place: Option<File>,
}

impl Beginning {
    /// Takes the socket that was handed over, where it listens on this address. To be called before anything is opened.
    ///
    /// # Errors
    /// Why what was handed over is no such socket, in words.
    pub fn new(listen: SocketAddr) -> Result<Self, String> {
        let wrong = |error: io::Error| format!("the socket in LISTEN_FDS can't be used: {error}");
        let handed_over = ListenFd::from_env().take_tcp_listener(0).map_err(wrong)?;
        let socket = handed_over.filter(|socket| {
            let local = socket.local_addr().ok();
            if local != Some(listen) {
                tracing::warn!(?local, %listen, "a socket with another address was handed over; it is closed");
            }
            local == Some(listen)
        });
        let place = File::open("/dev/null").ok().filter(|file| file.as_raw_fd() == FIRST);
        Ok(Self { socket, _place: place })
    }
}

/// Begins anew with the same arguments; returns only where that fails.
pub(super) fn begin(socket: TcpListener) -> io::Error {
    let program = match std::env::current_exe() {
        Ok(program) if program.exists() => program,
        // It was replaced by another version meanwhile.
        _ => std::env::args_os().next().unwrap_or_default().into(),
    };
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1));
    command.env("LISTEN_FDS", "1").env("LISTEN_PID", std::process::id().to_string());
    let mapping = FdMapping { parent_fd: OwnedFd::from(socket), child_fd: FIRST };
    match command.fd_mappings(vec![mapping]) {
        Ok(command) => command.exec(),
        Err(error) => io::Error::other(error),
    }
}
