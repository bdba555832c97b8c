//! Nothing outlives the test process, even when that is killed: a shell at the other end of a pipe
//! ends what is still registered when the pipe closes, and removes the directories.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

const SCRIPT: &str = r#"
groups=' '; dirs=''
while read -r what value; do
    case $what in
        add) groups="$groups$value " ;;
        del) groups="${groups%% $value *} ${groups#* $value }" ;;
        dir) dirs="$dirs $value" ;;
    esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
for dir in $dirs; do rm -rf "$dir" || { sleep 1; rm -rf "$dir"; }; done
"#;

fn tell(line: &str) {
    static SHELL: OnceLock<Mutex<Child>> = OnceLock::new();
    let shell = SHELL.get_or_init(|| {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        Mutex::new(shell.expect("sh"))
    });
    let mut shell = shell.lock().unwrap_or_else(PoisonError::into_inner);
    writeln!(shell.stdin.as_mut().expect("piped stdin"), "{line}").expect("guardian listens");
}

/// Kills the process group when the test process ends.
pub fn watch(group: u32) {
    tell(&format!("add {group}"));
}

/// The group has ended; its number may come back for somebody else.
pub fn forget(group: u32) {
    tell(&format!("del {group}"));
}

/// Removes the directory when the test process ends.
pub fn remove_at_end(directory: &Path) {
    tell(&format!("dir {}", directory.display()));
}
