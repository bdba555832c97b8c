//! Which start of Isochrome may write: epochs, those that we took, and what a foreign one means. Pure.
//!
//! Each start takes the next number. Two starts over copies of one data directory take the same one or different ones,
//! but never with the same owner, so each can tell the other's from its own.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Epochs of ours that are remembered. An instance that shows one of ours was down for fewer starts than that, or is
/// believed.
const REMEMBERED: usize = 64;

/// An epoch as an instance shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    pub number: u64,
    /// Drawn by the start that took it.
    pub owner: Uuid,
}

/// An epoch that we took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub epoch: Epoch,
    /// The last entry of the log at that moment.
    pub at_lsn: u64,
}

/// What the data directory knows of epochs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Ours, the last ones, ascending.
    taken: Vec<Claim>,
    /// An operator chose this log over whatever epochs up to this one have written.
    accepted: u64,
}

/// A trace of somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// An epoch that we never took.
    Took(Epoch),
    /// A log that is ahead of ours.
    Logged { epoch: u64, lsn: u64, ours: u64 },
}

impl Claims {
    /// Those of a new directory for servers on which others took epochs up to this one.
    #[must_use]
    pub fn after(accepted: u64) -> Self {
        Self { taken: Vec::new(), accepted }
    }

    /// The number of the epoch that we took last; 0 before the first.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.taken.last().map_or(0, |claim| claim.epoch.number)
    }

    /// The epoch that we took last.
    #[must_use]
    pub fn current(&self) -> Option<Epoch> {
        self.taken.last().map(|claim| claim.epoch)
    }

    /// Takes the next epoch, higher than `seen`. What instances show of epochs up to `accepted` is ours from now on.
    pub fn take(&mut self, seen: u64, accepted: u64, owner: Uuid, at_lsn: u64) {
        self.accepted = self.accepted.max(accepted);
        let number = self.number().max(seen).max(self.accepted) + 1;
        self.taken.push(Claim { epoch: Epoch { number, owner }, at_lsn });
        let forgotten = self.taken.len().saturating_sub(REMEMBERED);
        self.taken.drain(..forgotten);
    }

    /// Looks for an epoch that is not ours among those that an instance shows.
    ///
    /// # Errors
    /// The [`Stranger`].
    pub fn judge(&self, shown: &[Epoch]) -> Result<(), Stranger> {
        let is_forgotten = |number| {
            self.taken.len() == REMEMBERED
                && self.taken.first().is_some_and(|oldest| number < oldest.epoch.number)
        };
        let is_ours = |epoch: &Epoch| {
            epoch.number <= self.accepted
                || is_forgotten(epoch.number)
                || self.taken.iter().any(|claim| claim.epoch == *epoch)
        };
        let strange = shown.iter().filter(|epoch| !is_ours(epoch)).max_by_key(|epoch| epoch.number);
        strange.map_or(Ok(()), |epoch| Err(Stranger::Took(*epoch)))
    }

    /// Judges a marker that was written in `epoch` when the writer's log reached to `lsn`; `durable` is the end of ours.
    /// What an earlier epoch wrote must have been in our log when we took the next.
    ///
    /// # Errors
    /// The [`Stranger`].
    pub fn judge_marker(&self, epoch: u64, lsn: u64, durable: u64) -> Result<(), Stranger> {
        if epoch <= self.accepted && self.accepted > 0 {
            return Ok(());
        }
        let next = self.taken.iter().find(|claim| claim.epoch.number > epoch);
        let ours = next.map_or(durable, |claim| claim.at_lsn);
        if lsn > ours { Err(Stranger::Logged { epoch, lsn, ours }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The claims of a directory that was started this often, with its owners' ids counted from `owner`.
    fn started(times: u64, owner: u128) -> Claims {
        let mut claims = Claims::default();
        (0..times).for_each(|n| claims.take(0, 0, Uuid::from_u128(owner + u128::from(n)), n * 100));
        claims
    }

    fn shown(claims: &Claims) -> Vec<Epoch> {
        claims.current().into_iter().collect()
    }

    #[test]
    fn a_start_after_a_start_takes_the_next_number_and_knows_its_own() {
        let mut claims = started(3, 1);
        let before = shown(&claims);
        claims.take(0, 0, Uuid::from_u128(99), 300);
        assert_eq!(claims.number(), 4);
        // An instance was down meanwhile, another was not.
        assert_eq!(claims.judge(&before), Ok(()));
        assert_eq!(claims.judge(&shown(&claims)), Ok(()));
        assert_eq!(Claims::default().judge(&[]), Ok(()));
    }

    #[test]
    fn of_two_copies_each_sees_that_the_other_started() {
        let (mut older, mut newer) = (started(5, 1), started(5, 1));
        newer.take(0, 0, Uuid::from_u128(50), 500);
        let took = newer.current().unwrap();
        assert_eq!(older.judge(&shown(&newer)), Err(Stranger::Took(took)), "higher");
        older.take(0, 0, Uuid::from_u128(60), 500);
        assert_eq!(older.judge(&shown(&newer)), Err(Stranger::Took(took)), "the same number");
        assert!(newer.judge(&shown(&older)).is_err());
        older.take(0, 0, Uuid::from_u128(61), 500);
        assert_eq!(older.judge(&shown(&newer)), Err(Stranger::Took(took)), "lower, and never ours");
    }

    #[test]
    fn a_log_that_ends_before_what_an_instance_was_told_is_old() {
        let claims = started(3, 1);
        assert_eq!(claims.judge_marker(3, 700, 700), Ok(()));
        let ahead = Err(Stranger::Logged { epoch: 3, lsn: 701, ours: 700 });
        assert_eq!(claims.judge_marker(3, 701, 700), ahead);
        // Whoever had the epoch before went on after we took ours, though our log is longer by now.
        assert_eq!(claims.judge_marker(2, 200, 700), Ok(()));
        assert_eq!(claims.judge_marker(2, 201, 700), Err(Stranger::Logged { epoch: 2, lsn: 201, ours: 200 }));
        // That stays so after more starts.
        assert_eq!(claims.judge_marker(1, 100, 700), Ok(()));
        assert_eq!(claims.judge_marker(1, 101, 700), Err(Stranger::Logged { epoch: 1, lsn: 101, ours: 100 }));
        assert_eq!(Claims::default().judge_marker(0, 0, 0), Ok(()), "of a version without epochs");
    }

    #[test]
    fn what_an_operator_chose_against_is_no_stranger_any_more() {
        let (mut older, mut newer) = (started(5, 1), started(5, 1));
        newer.take(0, 0, Uuid::from_u128(50), 500);
        older.take(6, 6, Uuid::from_u128(60), 400);
        assert_eq!(older.number(), 7);
        assert_eq!(older.judge(&shown(&newer)), Ok(()));
        assert_eq!(older.judge_marker(6, 9_000, 400), Ok(()));
        assert!(newer.judge(&shown(&older)).is_err());
        assert!(older.judge_marker(7, 401, 400).is_err());
    }

    #[test]
    fn the_list_of_epochs_is_bounded_and_older_ones_are_believed() {
        let first = shown(&started(1, 1));
        let claims = started(1_000, 1);
        assert_eq!(claims.taken.len(), REMEMBERED);
        assert_eq!(claims.judge(&first), Ok(()));
    }
}
