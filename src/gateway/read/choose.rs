//! Which of the instances that may answer a read is asked.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::chroma::ids::InstanceId;
use crate::delivery::handle::ReadPermit;

/// Chooses an instance that was not tried; `None` where all were. The same key gets the same instance as long as that
/// one may answer (rendezvous hashing): two instances give different neighbours for the same query.
pub(super) fn choose(permit: &ReadPermit, key: u64, tried: &[InstanceId]) -> Option<InstanceId> {
    let best = |instances: &[InstanceId]| {
        let untried = instances.iter().filter(|instance| !tried.contains(instance));
        untried.max_by_key(|instance| score(key, **instance)).copied()
    };
    best(&permit.quiet).or_else(|| best(&permit.busy))
}

fn score(key: u64, instance: InstanceId) -> u64 {
    xxh3_64_with_seed(&[instance.0], key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permit(quiet: &[u8], busy: &[u8]) -> ReadPermit {
        let ids = |numbers: &[u8]| numbers.iter().copied().map(InstanceId).collect();
        ReadPermit { quiet: ids(quiet), busy: ids(busy) }
    }

    #[test]
    fn the_same_query_goes_to_the_same_instance_and_different_ones_spread() {
        let both = permit(&[0, 1], &[]);
        let chosen: Vec<_> = (0..1_000).map(|key| choose(&both, key, &[])).collect();
        let again: Vec<_> = (0..1_000).map(|key| choose(&permit(&[1, 0], &[]), key, &[])).collect();
        assert_eq!(chosen, again, "the order of the permit does not matter");
        let first = chosen.iter().filter(|instance| **instance == Some(InstanceId(0))).count();
        assert!((400..600).contains(&first), "{first} of 1000");
    }

    #[test]
    fn one_that_goes_moves_only_its_own_queries() {
        for key in 0..100 {
            let before = choose(&permit(&[0, 1, 2], &[]), key, &[]);
            let after = choose(&permit(&[0, 1], &[]), key, &[]);
            assert!(before == after || before == Some(InstanceId(2)), "{key}");
        }
    }

    #[test]
    fn quiet_ones_come_first_and_tried_ones_not_again() {
        let permit = permit(&[1], &[0]);
        assert_eq!(choose(&permit, 3, &[]), Some(InstanceId(1)));
        assert_eq!(choose(&permit, 3, &[InstanceId(1)]), Some(InstanceId(0)));
        assert_eq!(choose(&permit, 3, &[InstanceId(1), InstanceId(0)]), None);
    }
}
