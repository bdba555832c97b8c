//! Long runs of random stories. `cargo test` tells a few; a campaign tells as many as its variable says, notes each in
//! the file `ISOCHROME_PROGRESS`, and goes on after them when it was ended.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

/// A campaign, counted in its own units: kills, histories.
pub struct Campaign {
    units: &'static str,
    wanted: u64,
    done: u64,
    /// The only story to tell.
    seed: Option<u64>,
    progress: Option<PathBuf>,
    started: Instant,
    done_before: u64,
}

/// One story to tell.
#[derive(Clone, Copy, Debug)]
pub struct Story {
    pub seed: u64,
    /// How many units it is to bring.
    pub units: u64,
}

impl Campaign {
    /// A campaign of so many `units`: as `variable` says, else `few`. `ISOCHROME_SEED` tells one story alone.
    pub fn new(units: &'static str, variable: &str, few: u64) -> Self {
        let seed = number("ISOCHROME_SEED");
        let progress = env::var_os("ISOCHROME_PROGRESS").map(PathBuf::from).filter(|_| seed.is_none());
        let done = progress.as_ref().map_or(0, |path| noted(&fs::read_to_string(path).unwrap_or_default()));
        let wanted = number(variable).unwrap_or(few);
        if done > 0 {
            let path = progress.as_deref().unwrap_or(std::path::Path::new("")).display();
            eprintln!("{done} of {wanted} {units} are done; to begin anew remove {path}");
        }
        Self { units, wanted, done, seed, progress, started: Instant::now(), done_before: done }
    }

    /// The next story, of at most `most` units; `None` when enough was told.
    pub fn next(&self, most: u64) -> Option<Story> {
        let left = self.wanted.checked_sub(self.done).filter(|left| *left > 0)?;
        let story = Story { seed: self.seed.unwrap_or_else(|| fastrand::u64(..)), units: left.min(most) };
        eprintln!("ISOCHROME_SEED={}", story.seed);
        Some(story)
    }

    /// A story went well; `what` are its figures in short.
    pub fn done(&mut self, story: Story, what: &str) {
        self.done += story.units;
        if self.seed.is_some() {
            self.done = self.wanted;
        }
        if let Some(path) = &self.progress {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let line = format!("{} {} {what}\n", story.units, story.seed);
            file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the progress is noted");
        }
        let (done, wanted, units) = (self.done, self.wanted, self.units);
        let each = self.started.elapsed() / u32::try_from(done - self.done_before).unwrap_or(u32::MAX).max(1);
        let left = each * u32::try_from(wanted.saturating_sub(done)).unwrap_or(u32::MAX);
        eprintln!("{done} of {wanted} {units} ({what}), about {} s to go", left.as_secs());
    }
}

/// The units in the lines of a progress file. A line that a kill cut short counts for nothing.
pub fn noted(text: &str) -> u64 {
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.filter_map(|line| line.split(' ').next()?.parse::<u64>().ok()).sum()
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().and_then(|text| text.parse().ok())
}
