//! Which of the instances that may answer a read is asked.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::chroma::ids::InstanceId;
use crate::delivery::handle::ReadPermit;
use crate::instances::load::Offer;

/// An instance is overloaded where this many reads are under way: one that is merely slow keeps its queries ...
const OVERLOADED_READS: u32 = 8;
/// ... and where an answer is expected later than this many times the best other one ...
const OVERLOADED_FACTOR: f64 = 3.0;
/// ... and this much: small differences are not worth a change of the instance.
const OVERLOADED_US: f64 = 20_000.0;

/// Chooses an instance that was not tried; `None` where all were.
///
/// The same key gets the same instance as long as that one may answer and is not overloaded (weighted rendezvous
/// hashing; the key is asked for where there is a choice): two instances give different neighbours for the same query. One that came back lately gets its share of
/// the keys by and by. One whose reads fail is asked only where there is no other.
pub(super) fn choose(
    permit: &ReadPermit,
    key: impl Fn() -> u64,
    tried: &[InstanceId],
    offer: impl Fn(InstanceId) -> Offer,
) -> Option<InstanceId> {
    let offers = |instances: &[InstanceId]| -> Vec<(InstanceId, Offer)> {
        let untried = instances.iter().filter(|instance| !tried.contains(instance));
        untried.map(|instance| (*instance, offer(*instance))).collect()
    };
    let (quiet, busy) = (offers(&permit.quiet), offers(&permit.busy));
    let among = |admits: bool, offers: &[(InstanceId, Offer)]| {
        best(&key, offers.iter().filter(|(_, offer)| offer.admits == admits))
    };
    among(true, &quiet)
        .or_else(|| among(true, &busy))
        .or_else(|| among(false, &quiet))
        .or_else(|| among(false, &busy))
}

/// The one with the highest score, unless it is overloaded and another one is not.
fn best<'a>(
    key: impl Fn() -> u64,
    mut offers: impl Iterator<Item = &'a (InstanceId, Offer)> + Clone,
) -> Option<InstanceId> {
    let all = offers.clone();
    let first = offers.next()?;
    if offers.next().is_none() {
        return Some(first.0);
    }
    let key = key();
    let by_score = |one: &&(InstanceId, Offer), other: &&(InstanceId, Offer)| {
        score(key, one.0, one.1.share).total_cmp(&score(key, other.0, other.1.share))
    };
    let by_time = |one: &&(InstanceId, Offer), other: &&(InstanceId, Offer)| {
        one.1.expected_us.total_cmp(&other.1.expected_us)
    };
    let preferred = all.clone().max_by(by_score)?;
    let quickest = all.min_by(by_time)?;
    let bearable_us = OVERLOADED_US + OVERLOADED_FACTOR * quickest.1.expected_us;
    let overloaded = preferred.1.in_flight >= OVERLOADED_READS && preferred.1.expected_us > bearable_us;
    let chosen = if overloaded { quickest } else { preferred };
    Some(chosen.0)
}

/// Weighted rendezvous hashing: an instance has the highest score for its share of all keys, and a change of one
/// share moves keys only from or to that instance. (Schindelhauer and Schomaker, "Weighted Distributed Hash Tables",
/// SPAA 2005: the logarithmic method.)
fn score(key: u64, instance: InstanceId, share: f64) -> f64 {
    let hash = xxh3_64_with_seed(&[instance.0], key);
    // In (0, 1): never 0, whose logarithm is none, and never 1.
    let uniform = ((hash >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    -share / uniform.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Offer = Offer { admits: true, share: 1.0, in_flight: 0, expected_us: 1_000.0 };
    const BUSY: Offer = Offer { in_flight: OVERLOADED_READS, ..FINE };

    fn permit(quiet: &[u8], busy: &[u8]) -> ReadPermit {
        let ids = |numbers: &[u8]| numbers.iter().copied().map(InstanceId).collect();
        ReadPermit { quiet: ids(quiet), busy: ids(busy), stamp: None }
    }

    fn calm(permit: &ReadPermit, key: u64, tried: &[InstanceId]) -> Option<InstanceId> {
        choose(permit, || key, tried, |_| FINE)
    }

    /// Of 1,000 keys, those that the first instance gets where this is what it offers.
    fn of_the_first(first: Offer) -> Vec<u64> {
        let both = permit(&[0, 1], &[]);
        let offer = |instance| if instance == InstanceId(0) { first } else { FINE };
        (0..1_000).filter(|key| choose(&both, || *key, &[], offer) == Some(InstanceId(0))).collect()
    }

    #[test]
    fn the_same_query_goes_to_the_same_instance_and_different_ones_spread() {
        let both = permit(&[0, 1], &[]);
        let chosen: Vec<_> = (0..1_000).map(|key| calm(&both, key, &[])).collect();
        let again: Vec<_> = (0..1_000).map(|key| calm(&permit(&[1, 0], &[]), key, &[])).collect();
        assert_eq!(chosen, again, "the order of the permit does not matter");
        let first = chosen.iter().filter(|instance| **instance == Some(InstanceId(0))).count();
        assert!((400..600).contains(&first), "{first} of 1000");
    }

    #[test]
    fn five_instances_share_alike() {
        let all = permit(&[0, 1, 2, 3, 4], &[]);
        let mut counts = [0; 5];
        (0..5_000).filter_map(|key| calm(&all, key, &[])).for_each(|chosen| counts[chosen.index()] += 1);
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }

    #[test]
    fn one_that_goes_moves_only_its_own_queries() {
        for key in 0..100 {
            let before = calm(&permit(&[0, 1, 2], &[]), key, &[]);
            let after = calm(&permit(&[0, 1], &[]), key, &[]);
            assert!(before == after || before == Some(InstanceId(2)), "{key}");
        }
    }

    #[test]
    fn quiet_ones_come_first_and_tried_ones_not_again() {
        let permit = permit(&[1], &[0]);
        assert_eq!(calm(&permit, 3, &[]), Some(InstanceId(1)));
        assert_eq!(calm(&permit, 3, &[InstanceId(1)]), Some(InstanceId(0)));
        assert_eq!(calm(&permit, 3, &[InstanceId(1), InstanceId(0)]), None);
    }

    #[test]
    fn one_that_came_back_gets_a_small_share_and_takes_only_from_the_others() {
        let full = of_the_first(FINE);
        let small = of_the_first(Offer { share: 0.1, ..FINE });
        assert!((50..150).contains(&small.len()), "{} of 1000", small.len());
        assert!(small.iter().all(|key| full.contains(key)));
    }

    #[test]
    fn an_overloaded_one_gives_its_queries_away() {
        assert!(of_the_first(Offer { expected_us: 30_000.0, ..BUSY }).is_empty());
        let little = Offer { expected_us: 15_000.0, ..BUSY };
        assert_eq!(of_the_first(little), of_the_first(FINE), "not for little");
        let slow = Offer { expected_us: 900_000.0, ..FINE };
        assert_eq!(of_the_first(slow), of_the_first(FINE), "slow alone is no overload");
    }

    #[test]
    fn one_whose_reads_fail_is_asked_only_where_there_is_no_other() {
        assert!(of_the_first(Offer { admits: false, ..FINE }).is_empty());
        let alone = permit(&[], &[0]);
        let failing = Offer { admits: false, ..FINE };
        assert_eq!(choose(&alone, || 1, &[], |_| failing), Some(InstanceId(0)));
        let other_is_busy = permit(&[0], &[1]);
        let offer = |instance| if instance == InstanceId(0) { failing } else { FINE };
        assert_eq!(choose(&other_is_busy, || 1, &[], offer), Some(InstanceId(1)));
    }
}
