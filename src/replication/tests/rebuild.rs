//! A collection that is not trusted on an instance is copied there again.

use super::bench::{A, B, Bench, ID};
use crate::replication::event::{Chunk, Delivery, DeliveryOutcome, Errand, Event, What};

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
            Errand::Fetch { after } => {
                let left = u64::from(after.is_none());
                bench.end(&delivery, DeliveryOutcome::Chunk(Chunk { place: 0, records: left, left }));
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
    let copied = [
        Errand::Fetch { after: None },
        Errand::Put { place: 0, records: 1 },
        Errand::Fetch { after: Some(0) },
        Errand::Name,
    ];
    assert_eq!(done[..3], [Errand::PutAway, Errand::List, Errand::Create]);
    assert_eq!(done[3..7], copied);
    assert_eq!(done[7..], [Errand::Compare, Errand::Compare, Errand::Bury]);
    assert_eq!((divergent(&bench), bench.read()), (1, vec![A]), "until its end is durable");
    bench.save();
    assert_eq!((divergent(&bench), bench.read().len()), (0, 2));
}

/// A bench on which the first of several chunks is being put, and the next is being read.
fn reading_ahead() -> (Bench, Delivery, Delivery) {
    let mut bench = distrusted();
    for _ in 0..3 {
        let delivery = bench.deliveries.pop_front().expect("an errand");
        match errand(&delivery) {
            Errand::List => {
                bench.end(&delivery, DeliveryOutcome::Listed { name: "name".to_owned(), ids: 9 });
            }
            _ => bench.succeed(&delivery, 200),
        }
        bench.save();
    }
    let fetch = bench.take(A);
    read(&mut bench, &fetch, 0);
    let (put, ahead) = (bench.take(B), bench.take(A));
    assert_eq!(errand(&ahead), Errand::Fetch { after: Some(0) });
    (bench, put, ahead)
}

fn read(bench: &mut Bench, fetch: &Delivery, place: u64) {
    bench.end(fetch, DeliveryOutcome::Chunk(Chunk { place, records: 1, left: 9 - place }));
}

#[test]
fn the_next_chunk_is_read_while_one_is_put_and_they_are_put_in_order() {
    for ahead_is_first in [true, false] {
        let (mut bench, put, ahead) = reading_ahead();
        if ahead_is_first {
            read(&mut bench, &ahead, 1);
            assert!(bench.deliveries.is_empty(), "no third one is read");
            bench.succeed(&put, 200);
        } else {
            bench.succeed(&put, 200);
            assert!(bench.deliveries.is_empty(), "it is being read");
            read(&mut bench, &ahead, 1);
        }
        assert_eq!(errand(&bench.take(B)), Errand::Put { place: 1, records: 1 });
        assert_eq!(errand(&bench.take(A)), Errand::Fetch { after: Some(1) });
    }
}

#[test]
fn where_one_can_not_be_put_it_is_read_again_and_what_was_read_ahead_counts_no_more() {
    for ahead_is_first in [true, false] {
        let (mut bench, put, ahead) = reading_ahead();
        let detail = "the chunk is to be read again".to_owned();
        let failed = DeliveryOutcome::NotExecuted { detail, refused: false };
        if ahead_is_first {
            read(&mut bench, &ahead, 1);
            bench.end(&put, failed);
        } else {
            bench.end(&put, failed);
            read(&mut bench, &ahead, 1);
        }
        bench.tick_at(60_000);
        let again = bench.take(A);
        assert_eq!(errand(&again), Errand::Fetch { after: None });
        read(&mut bench, &again, 0);
        assert_eq!(errand(&bench.take(B)), Errand::Put { place: 0, records: 1 });
        assert_eq!(errand(&bench.take(A)), Errand::Fetch { after: Some(0) });
    }
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
