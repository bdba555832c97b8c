//! Random stories. What would harm a server, and what Chroma does not answer the same way twice, is not among them.

mod predicates;
mod records;
mod safe;
mod schema;
mod spoil;
mod values;

use fastrand::Rng;

use crate::request::Step;
use crate::stories::new_database;

/// Placeholders of the collections that a story uses.
const COLLECTIONS: [&str; 3] = ["c0", "c1", "c2"];

/// What a story is about.
#[derive(Clone, Copy, Debug)]
pub struct Taste {
    /// Records may have lists in their metadata. Then nothing is deleted: Chroma shows the lists of deleted records
    /// again, in records that depend on everything else that a server holds.
    lists: bool,
    /// Collections get their dimension at once. Otherwise nothing is sent that fixes it at Chroma only.
    fixed: bool,
    /// How many of a hundred requests are spoiled.
    spoiled: u8,
}

/// The story of a seed.
pub fn story(seed: u64) -> Vec<Step> {
    let mut rng = Rng::with_seed(seed);
    let taste = Taste { lists: rng.u8(..3) == 0, fixed: rng.bool(), spoiled: pick(&mut rng, &[0, 10, 40]) };
    let mut steps = new_database().to_vec();
    for name in &COLLECTIONS[..rng.usize(1..=2)] {
        steps.extend(schema::create(&mut rng, taste, name));
    }
    for _ in 0..rng.usize(10..=28) {
        let next =
            if rng.u8(..100) < 14 { schema::any(&mut rng, taste) } else { records::any(&mut rng, taste) };
        steps.extend(next.into_iter().filter(|step| safe::is_safe(step, taste.fixed)));
    }
    steps.extend(COLLECTIONS.iter().flat_map(|name| records::look_at(name)));
    steps.push(Step::new("GET", "$C"));
    steps
}

fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}

fn chance(rng: &mut Rng, percent: u8) -> bool {
    rng.u8(..100) < percent
}

fn collection(rng: &mut Rng) -> &'static str {
    // One is more in use than the others, so that it comes to hold something.
    pick(rng, &["c0", "c0", "c0", "c1", "c2"])
}

#[test]
fn a_seed_is_a_story() {
    let lines = |seed| story(seed).iter().map(Step::line).collect::<Vec<_>>();
    assert_eq!(lines(7), lines(7));
    assert_ne!(lines(7), lines(8));
}
