//! `kill -9`, again and again.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::support::{noise, open, open_with, quiet};
use crate::wal::record::Lsn;
use crate::wal::{Committed, WalOptions};

const CHILD_DIR: &str = "ISOCHROME_CRASH_CHILD_DIR";

fn body(ticket: u64) -> Vec<u8> {
    let len = match ticket % 50 {
        0 => 300_000,
        n => 20 + usize::try_from(n).unwrap() * 90,
    };
    noise(ticket, len)
}

/// The process that is killed: appends without end, four at a time, and says what was acknowledged. Run by
/// the test below; alone it has nothing to do.
#[test]
fn child_that_appends_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let options = WalOptions {
        segment_bytes: 1 << 20,
        spare_after_ms: 0,
        checkpoint_ms: 5,
        fold_after_ms: 20,
        ..quiet()
    };
    let log = open_with(Path::new(&dir), options, |engine| Box::new(engine));
    let mut ticket = log.recovered.next_lsn.0 * 1_000;
    let mut out = std::io::stdout();
    loop {
        let group: Vec<_> = (0..4).map(|n| super::support::entry(ticket + n, body(ticket + n))).collect();
        ticket += 4;
        log.wal.append(group).unwrap();
        let Committed::Entries(entries) = log.next() else { panic!() };
        for (lsn, _, ticket) in &entries {
            writeln!(out, "acknowledged {lsn} {ticket}").unwrap();
        }
        out.flush().unwrap();
        // Every third group is done with, so that segments go while we are killed.
        if ticket % 12 == 0 {
            for (lsn, ..) in &entries {
                log.settle(*lsn);
                writeln!(out, "settled {lsn} 0").unwrap();
            }
        }
    }
}

#[test]
fn twenty_kills_lose_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<Lsn, u64> = BTreeMap::new();
    let mut settled: Vec<Lsn> = vec![];
    for round in 0..20 {
        kill_after(dir.path(), 20 + round * 7, &mut acknowledged, &mut settled);
        let log = open(dir.path());
        let there: BTreeMap<Lsn, u64> = log
            .recovered
            .entries
            .iter()
            .flatten()
            .map(|entry| (entry.lsn, log.wal.accepted_ms(entry.lsn).unwrap() - 1_000))
            .collect();
        for (lsn, ticket) in &acknowledged {
            let known = log.wal.transaction(&format!("tx-{ticket}")).unwrap().expect("its sender can ask");
            assert_eq!(known.lsn, *lsn);
            if !settled.contains(lsn) {
                assert_eq!(there.get(lsn), Some(ticket), "round {round}: {lsn} is lost");
                assert!(log.wal.body(*lsn).unwrap() == body(*ticket), "round {round}: {lsn} differs");
            }
        }
        let last = acknowledged.keys().next_back().copied().unwrap_or_default();
        assert!(log.recovered.next_lsn > last);
        log.wal.finished(&settled);
        log.wal.checkpoint().unwrap();
        // What was logged and not acknowledged goes on as any other.
        acknowledged.extend(there.iter().filter(|(lsn, _)| !settled.contains(lsn)).map(|(l, t)| (*l, *t)));
    }
    assert!(acknowledged.len() > 1_000, "{}", acknowledged.len());
}

/// Runs the child until it has acknowledged `lines`, then kills it and takes down everything it said.
fn kill_after(dir: &Path, lines: usize, acknowledged: &mut BTreeMap<Lsn, u64>, settled: &mut Vec<Lsn>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "wal::tests::crash::child_that_appends_until_it_is_killed", "--nocapture"])
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Ok(line) = line else { break };
        let words: Vec<&str> = line.split_whitespace().collect();
        let [what, lsn, ticket] = words[..] else { continue };
        let (Ok(lsn), Ok(ticket)) = (lsn.parse(), ticket.parse()) else {
            continue;
        };
        match what {
            "acknowledged" => drop(acknowledged.insert(Lsn(lsn), ticket)),
            "settled" => settled.push(Lsn(lsn)),
            _ => continue,
        }
        seen += 1;
        if seen == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(seen >= lines, "the child ended by itself");
}
