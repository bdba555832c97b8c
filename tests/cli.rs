//! The command line as its user meets it: what is printed, and the exit code.

use std::process::{Command, Output};

/// Runs `isochrome` with these arguments and nothing of this process's environment.
#[expect(clippy::unwrap_used, reason = "a helper of tests; without the binary there is nothing to test")]
fn isochrome(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_isochrome"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn help_and_version_end_well_and_go_to_standard_output() {
    let (code, out, err) = isochrome(&["--version"], &[]);
    assert_eq!((code, out.trim(), err.as_str()), (0, concat!("isochrome ", env!("CARGO_PKG_VERSION")), ""));

    let (code, out, _) = isochrome(&["--help"], &[]);
    assert_eq!(code, 0);
    for command in ["serve", "check", "config", "status", "verify", "jobs", "64"] {
        assert!(out.contains(command), "{out}");
    }

    let (code, out, _) = isochrome(&["serve", "--help"], &[]);
    assert_eq!(code, 0);
    for flag in [
        "--config <FILE>",
        "--data-dir <DIR>",
        "--listen <ADDR:PORT>",
        "--instance <NAME=URL>",
        "--allow-reset",
    ] {
        assert!(out.contains(flag), "{flag} in {out}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_64() {
    for arguments in [&["sreve"][..], &["serve", "--lisen", "x"], &["status", "--listen", "127.0.0.1:1"], &[]]
    {
        let (code, out, err) = isochrome(arguments, &[]);
        assert_eq!((code, out.as_str()), (64, ""), "{arguments:?}");
        assert!(err.contains("Usage:"), "{arguments:?}: {err}");
    }
}

#[test]
fn a_wrong_configuration_ends_with_64_before_anything_is_created() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let variables = [("ISOCHROME_WRITE_WAIT_MS", "soon"), ("ISOCHROME_DATA_DIR", data_dir.to_str().unwrap())];
    for command in ["serve", "check", "config"] {
        let (code, _, err) = isochrome(&[command, "--listen", "nowhere"], &variables);
        assert_eq!(code, 64, "{err}");
        assert!(err.contains("listen (flag --listen)"), "{err}");
        assert!(err.contains("write.wait_ms (environment variable ISOCHROME_WRITE_WAIT_MS)"), "{err}");
        assert!(!data_dir.exists());
    }
}

#[test]
fn config_prints_what_is_in_force_and_what_there_is() {
    let variables = [("ISOCHROME_READ_WAIT_MS", "12")];
    let (code, out, err) = isochrome(&["config", "--listen", "0.0.0.0:9"], &variables);
    assert_eq!((code, err.as_str()), (0, ""));
    let table: toml::Table = out.parse().unwrap();
    assert_eq!(table["listen"].as_str(), Some("0.0.0.0:9"));
    assert_eq!(table["read"]["wait_ms"].as_integer(), Some(12));
    assert!(out.contains("wait_ms = 12  # environment variable ISOCHROME_READ_WAIT_MS"), "{out}");

    let (code, out, _) = isochrome(&["config", "--reference"], &[("ISOCHROME_LISTEN", "nonsense")]);
    assert_eq!((code, out), (0, isochrome::config::reference()));
}
