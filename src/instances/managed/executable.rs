//! Which `chroma` to start.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::ManagedError;

/// The executable: what is configured, else the data directory's virtual environment, else the
/// first on the search path. Gives an absolute path.
pub(super) fn find(
    configured: Option<&Path>,
    data_dir: &Path,
    search_path: Option<&str>,
) -> Result<PathBuf, ManagedError> {
    if let Some(command) = configured {
        let bare = command.components().count() == 1 && !command.is_absolute();
        let found = if bare { on_path(command, search_path) } else { executable(command) };
        return found.ok_or_else(|| ManagedError::NotExecutable(command.to_path_buf()));
    }
    let private = data_dir.join("venv/bin/chroma");
    executable(&private)
        .or_else(|| on_path(Path::new("chroma"), search_path))
        .ok_or(ManagedError::NoChroma { looked_for: private })
}

fn on_path(command: &Path, search_path: Option<&str>) -> Option<PathBuf> {
    std::env::split_paths(search_path?).find_map(|directory| executable(&directory.join(command)))
}

fn executable(path: &Path) -> Option<PathBuf> {
    let metadata = std::fs::metadata(path).ok()?;
    let runs = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    if runs { std::path::absolute(path).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(path: &Path) -> PathBuf {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_path_buf()
    }

    #[test]
    fn the_configured_one_comes_first_then_the_private_one_then_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let bin = root.join("bin");
        let search = bin.to_str();

        let words = find(None, root, search).unwrap_err().to_string();
        assert!(words.contains("venv/bin/chroma") && words.contains("managed.command"), "{words}");

        let on_path = install(&bin.join("chroma"));
        assert_eq!(find(None, root, search).unwrap(), on_path);
        let private = install(&root.join("venv/bin/chroma"));
        assert_eq!(find(None, root, search).unwrap(), private);
        let own = install(&root.join("own"));
        assert_eq!(find(Some(&own), root, search).unwrap(), own);
        assert_eq!(find(Some(Path::new("chroma")), root, search).unwrap(), on_path);
    }

    #[test]
    fn a_configured_one_that_cannot_run_is_not_replaced_by_another() {
        let dir = tempfile::tempdir().unwrap();
        install(&dir.path().join("venv/bin/chroma"));
        let plain = dir.path().join("plain");
        std::fs::write(&plain, "").unwrap();
        for command in [plain, dir.path().join("missing"), dir.path().to_path_buf(), PathBuf::from("missing")]
        {
            let error = find(Some(&command), dir.path(), None).unwrap_err();
            assert!(matches!(error, ManagedError::NotExecutable(named) if named == command));
        }
    }
}
