//! Where things are: executables, ports, temporary directories.

use std::env;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::guardian;

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The private virtual environment's `bin` directory.
fn venv_bin() -> PathBuf {
    repository().join(".venv/bin")
}

/// The `chroma` executable: `ISOCHROME_CHROMA`, else the one in the private environment.
pub fn chroma() -> PathBuf {
    env::var_os("ISOCHROME_CHROMA").map_or_else(|| venv_bin().join("chroma"), PathBuf::from)
}

/// A Python with the pinned `chromadb`: `ISOCHROME_PYTHON`, else the private environment's.
pub fn python() -> PathBuf {
    env::var_os("ISOCHROME_PYTHON").map_or_else(|| venv_bin().join("python"), PathBuf::from)
}

/// A new empty directory, removed when the test process ends, however it ends.
/// `ISOCHROME_KEEP=1` keeps it.
pub fn directory(purpose: &str) -> PathBuf {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let root = ROOT.get_or_init(|| {
        let root = tempfile::Builder::new().prefix("isochrome-test-").tempdir().expect("temporary directory");
        let path = root.keep();
        if env::var_os("ISOCHROME_KEEP").is_none() {
            guardian::remove_at_end(&path);
        }
        path
    });
    let path = root.join(format!("{purpose}-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    std::fs::create_dir(&path).expect("new directory");
    path
}

/// A port that nobody listens on. It lies below the range from which the kernel takes the ports
/// of outgoing connections, so that it is still free when its server starts again.
pub fn free_port() -> u16 {
    for _ in 0..1000 {
        let port = fastrand::u16(15_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 15000 and 32000")
}
