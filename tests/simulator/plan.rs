//! What one seed does: how many of what, how often, and which faults when.

use fastrand::Rng;
use isochrome::replication::core::Settings;
use isochrome::wal::record::duty::Duty;

/// Something that goes wrong with a server or with Isochrome.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The server's process ends, and starts again after this time.
    Crash { server: usize, for_ms: u64 },
    /// The server stops in its tracks for this time.
    Hang { server: usize, for_ms: u64 },
    /// Every write takes this much longer for a while.
    Slow { server: usize, by_ms: u64, for_ms: u64 },
    /// Every write gets a 500 until the process is started again after this time.
    DeadWriter { server: usize, for_ms: u64 },
    /// The server comes back without its data, or with older data.
    LoseState { server: usize },
    /// Something else wrote to a collection on the server.
    Spoil { server: usize },
    /// The index of a collection on the server does not load any more.
    BreakIndex { server: usize },
    /// An operator wants the server drained or left alone for this time.
    Duty { server: usize, duty: Duty, for_ms: u64 },
    /// Isochrome is killed and starts again after this time.
    Isochrome { for_ms: u64 },
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) clients: usize,
    /// Operations of all clients together.
    pub(crate) operations: usize,
    pub(crate) think_ms: u64,
    /// Longest burst of writes that a client sends without waiting in between.
    pub(crate) burst: usize,
    /// Out of a hundred operations: creates, renames, drops.
    pub(crate) schema_percent: u8,
    pub(crate) read_percent: u8,
    /// Out of a hundred reads, how many are content with less than everything.
    pub(crate) weak_percent: u8,
    /// The longest lag that a bounded read is content with.
    pub(crate) longest_lag_ms: u64,
    pub(crate) flawed_percent: u8,
    /// Out of a hundred writes, how many have a sender that does not wait.
    pub(crate) async_percent: u8,
    /// Out of a hundred writes, how many are taken back.
    pub(crate) cancel_percent: u8,
    /// Out of a hundred ticks, how many begin to hold a lane.
    pub(crate) hold_percent: u8,
    /// Out of a hundred ticks, how many find the log nearly full.
    pub(crate) full_percent: u8,
    /// Out of a hundred requests to a server.
    pub(crate) lost_percent: u8,
    /// Out of a hundred writes, how many no server survives.
    pub(crate) deadly_percent: u8,
    /// Servers give answers that tell nothing.
    pub(crate) indefinite: bool,
    /// Writes count as provable that are not.
    pub(crate) gullible: bool,
    /// Out of a hundred reads, how many look at the board and at kept answers before they ask the core.
    pub(crate) board_percent: u8,
    /// Out of a hundred reads, how many may go to a server that has something undecided under way.
    pub(crate) busy_percent: u8,
    /// Out of a hundred of those, how many are followed by the end of Isochrome.
    pub(crate) kill_percent: u8,
    pub(crate) databases: bool,
    /// Longest time that a commit takes.
    pub(crate) commit_ms: u64,
    /// Longest time that a server takes for each step of a request.
    pub(crate) step_ms: u64,
    pub(crate) faults: Vec<(u64, Fault)>,
}

impl Plan {
    pub(crate) fn new(random: &mut Rng) -> Self {
        let instances = random.usize(2..=3);
        let operations = random.usize(10..=90);
        let span_ms = 200 + operations as u64 * 40;
        let mut of = |choices: &[u64]| choices[random.usize(..choices.len())];
        let mut plan = Self {
            settings: Settings {
                instances,
                acknowledge_all: of(&[0, 0, 1]) == 1,
                write_wait_ms: of(&[500, 5_000]),
                write_timeout_ms: of(&[3_000, 30_000]),
                read_wait_ms: of(&[200, 5_000]),
                max_in_flight: of(&[1, 2, 4, 8]) as usize,
                run_records: of(&[1, 8, 500]) as u32,
                run_bytes: of(&[300, 1 << 20]),
                run_ms: of(&[5, 250]),
                min_stay_ms: of(&[0, 200, 5_000]),
                overdue_ms: of(&[500, 10_000]),
                cluster: 7,
                rebuild: of(&[1, 1, 1, 1, 1, 0]) == 1,
                rebuild_lanes: of(&[1, 2, 8]) as usize,
                max_lag_ms: of(&[0, 100, 2_000]),
            },
            clients: of(&[1, 3, 6]) as usize,
            operations,
            think_ms: of(&[1, 20, 150]),
            burst: of(&[1, 4, 12]) as usize,
            schema_percent: of(&[2, 8, 25]) as u8,
            read_percent: of(&[20, 50]) as u8,
            weak_percent: of(&[0, 30, 70]) as u8,
            longest_lag_ms: of(&[30, 500, 5_000]),
            flawed_percent: of(&[0, 2, 10]) as u8,
            async_percent: of(&[0, 0, 40]) as u8,
            cancel_percent: of(&[0, 0, 10, 50]) as u8,
            hold_percent: of(&[0, 0, 20, 60]) as u8,
            full_percent: of(&[0, 0, 0, 5]) as u8,
            lost_percent: of(&[0, 0, 2, 8]) as u8,
            deadly_percent: of(&[0, 0, 0, 2, 8]) as u8,
            indefinite: of(&[0, 1]) == 1,
            gullible: of(&[0, 0, 0, 1]) == 1,
            board_percent: of(&[0, 50, 100]) as u8,
            busy_percent: of(&[10, 60]) as u8,
            kill_percent: of(&[0, 0, 0, 15]) as u8,
            databases: of(&[0, 0, 0, 1]) == 1,
            commit_ms: of(&[1, 5, 60]),
            step_ms: of(&[1, 5, 30]),
            faults: Vec::new(),
        };
        if std::env::var_os("ISOCHROME_DEADLY").is_some() {
            plan.deadly_percent = plan.deadly_percent.max(3);
        }
        plan.strike(random, instances, span_ms);
        plan.keep_sources();
        plan
    }

    /// What goes wrong, and when.
    fn strike(&mut self, random: &mut Rng, instances: usize, span_ms: u64) {
        let count = random.usize(..6);
        self.faults = (0..count).map(|_| (random.u64(..span_ms), fault(random, instances))).collect();
        if self.settings.rebuild && random.u8(..3) > 0 {
            for _ in 0..random.usize(1..4) {
                let server = random.usize(..instances);
                let fault = match random.u8(..3) {
                    0 => Fault::LoseState { server },
                    1 => Fault::Spoil { server },
                    _ => Fault::BreakIndex { server },
                };
                self.faults.push((random.u64(..span_ms), fault));
            }
        }
        if random.u8(..4) == 0 {
            for _ in 0..random.usize(1..4) {
                let (server, for_ms) = (random.usize(..instances), 1 + random.u64(..4_000));
                let duty = if random.bool() { Duty::Drain } else { Duty::Maintenance };
                self.faults.push((random.u64(..span_ms), Fault::Duty { server, duty, for_ms }));
            }
        }
    }

    /// Some troubles together leave nobody with a collection, or copies that nobody rebuilds.
    fn keep_sources(&mut self) {
        if self.faults.iter().any(|(_, fault)| matches!(fault, Fault::LoseState { .. })) {
            // The last source of a collection may be the one that loses its state, which is nobody's fault.
            self.faults.retain(|(_, fault)| !matches!(fault, Fault::DeadWriter { .. }));
            (self.indefinite, self.deadly_percent) = (false, 0);
        }
        if self.faults.iter().any(|(_, fault)| matches!(fault, Fault::BreakIndex { .. })) {
            // Nobody knows of the index until it is asked: its copy may be left as the last by a write that is withdrawn.
            self.faults.retain(|(_, fault)| !matches!(fault, Fault::DeadWriter { .. } | Fault::Crash { .. }));
            (self.indefinite, self.deadly_percent) = (false, 0);
        }
        let kills =
            |(_, fault): &(u64, Fault)| matches!(fault, Fault::Crash { .. } | Fault::DeadWriter { .. });
        if self.indefinite || self.deadly_percent > 0 || self.faults.iter().any(kills) {
            // What may be withdrawn makes copies divergent, which would stay so.
            self.settings.rebuild = true;
        }
    }
}

fn fault(random: &mut Rng, instances: usize) -> Fault {
    let server = random.usize(..instances);
    let for_ms = [10, 100, 1_000, 8_000][random.usize(..4)];
    let for_ms = 1 + random.u64(..for_ms);
    let dead_writers = std::env::var_os("ISOCHROME_DEADLY").is_some() && random.bool();
    match random.u8(..12) {
        _ if dead_writers => Fault::DeadWriter { server, for_ms },
        0..3 => Fault::Crash { server, for_ms },
        3..6 => Fault::Hang { server, for_ms },
        6 => Fault::Slow { server, by_ms: random.u64(100..4_000), for_ms },
        7 => Fault::DeadWriter { server, for_ms },
        _ => Fault::Isochrome { for_ms },
    }
}
