//! A collection that is not trusted on an instance is copied there again.

use super::bench::{A, B, Bench, ID};
use crate::replication::event::{Delivery, DeliveryOutcome, Errand, Event, What};

/// A bench on which B's collection is about to be copied from A.
fn distrusted() -> Bench {
    let mut bench = Bench::new();
    bench.core.settings.rebuild = true;
    bench.make_collection();
    distrust(&mut bench);
    bench.save();
    bench
}

fn distrust(bench: &mut Bench) {
    let reason = "its index does not load".to_owned();
    bench.feed(Event::Distrust { instance: B, collection: ID, copy: None, reason });
}

fn errand(delivery: &Delivery) -> Errand {
    match delivery.what {
        What::Rebuild { errand, .. } => errand,
        ref other => panic!("{other:?} is no errand"),
    }
}

/// Does what the rebuild asks for, as long as it asks; the end is not durable yet.
fn copy(bench: &mut Bench) -> Vec<Errand> {
    let mut done = Vec::new();
    while let Some(delivery) = bench.deliveries.pop_front() {
        let errand = errand(&delivery);
        done.push(errand);
        match errand {
            Errand::List => {
                bench.end(&delivery, DeliveryOutcome::Listed { name: "name".to_owned(), ids: 1 });
            }
            Errand::Fetch => {
                let left = u64::from(!done.contains(&Errand::Put { records: 1 }));
                bench.end(&delivery, DeliveryOutcome::Chunk { records: left, left });
            }
            Errand::Compare => bench.end(&delivery, DeliveryOutcome::Digest(5)),
            _ => bench.succeed(&delivery, 200),
        }
        if errand != Errand::Bury {
            bench.save();
        }
    }
    done
}

fn divergent(bench: &Bench) -> usize {
    bench.core.view().instances[B.index()].divergent.len()
}

#[test]
fn it_is_put_away_listed_copied_named_compared_and_only_then_served() {
    let mut bench = distrusted();
    let done = copy(&mut bench);
    let copied = [Errand::Fetch, Errand::Put { records: 1 }, Errand::Fetch, Errand::Name];
    assert_eq!(done[..3], [Errand::PutAway, Errand::List, Errand::Create]);
    assert_eq!(done[3..7], copied);
    assert_eq!(done[7..], [Errand::Compare, Errand::Compare, Errand::Bury]);
    assert_eq!((divergent(&bench), bench.read()), (1, vec![A]), "until its end is durable");
    bench.save();
    assert_eq!((divergent(&bench), bench.read().len()), (0, 2));
}

#[test]
fn one_that_is_given_up_again_while_its_end_becomes_durable_stays_given_up() {
    let mut bench = distrusted();
    copy(&mut bench);
    distrust(&mut bench);
    bench.save();
    assert_eq!((divergent(&bench), bench.read()), (1, vec![A]));
    assert_eq!(copy(&mut bench)[0], Errand::PutAway, "and is copied from the beginning");
    bench.save();
    assert_eq!(divergent(&bench), 0);
}
