//! A wall clock that steps, for the processes that are started with it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::isochrome::Setup;
use super::places;

/// The clock of one or more processes.
pub struct Clock {
    library: PathBuf,
    moved: PathBuf,
}

impl Clock {
    /// One that is right.
    pub fn new() -> Self {
        let directory = places::directory("clock");
        let clock = Self { library: directory.join("clock.so"), moved: directory.join("moved") };
        fs::write(&clock.moved, 0_i64.to_ne_bytes()).expect("the clock's file");
        let source = places::repository().join("tests/support/clock.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&clock.library)
            .arg(source)
            .status();
        assert!(compiled.expect("a C compiler").success(), "the clock can't be compiled");
        clock
    }

    /// Has Isochrome look at this clock.
    pub fn of(&self, setup: Setup) -> Setup {
        let path = |path: &PathBuf| path.to_str().expect("a path").to_owned();
        setup
            .variable("LD_PRELOAD", &path(&self.library))
            .variable("ISOCHROME_TEST_CLOCK", &path(&self.moved))
    }

    /// It is wrong by so many seconds from now on.
    pub fn set(&self, seconds: i64) {
        use std::os::unix::fs::FileExt;
        let file = fs::OpenOptions::new().write(true).open(&self.moved).expect("the clock's file");
        file.write_all_at(&seconds.to_ne_bytes(), 0).expect("the clock is set");
    }
}
