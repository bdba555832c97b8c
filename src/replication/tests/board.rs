//! What readers see of the core without asking it.

use super::bench::{A, B, Bench, ID, add};
use crate::chroma::ids::InstanceId;
use crate::replication::board::{Board, Stamp, Standing};
use crate::replication::event::{DownReason, Event, ReadScope};
use crate::replication::results::{Results, Weight};
use crate::wal::record::Op;

const WHOLE: ReadScope = ReadScope::Collection { id: ID, ids: None };

fn standing(bench: &Bench) -> Standing {
    bench.core.board().standing(ID).expect("the collection is on the board")
}

fn permitted(board: &Board) -> (Vec<InstanceId>, Option<Stamp>) {
    let (instances, stamp) = board.permit(&WHOLE);
    (instances.iter().collect(), stamp)
}

#[test]
fn a_collection_at_rest_is_read_anywhere_without_the_core() {
    let bench = Bench::with_collection();
    let board = bench.core.board();
    let (instances, stamp) = permitted(&board);
    assert_eq!(instances, [A, B]);
    assert!(board.confirms(ID, stamp.unwrap(), A), "nothing came meanwhile");
    let database = ReadScope::Database { tenant: String::new(), database: String::new() };
    assert!(board.permit(&database).0.is_empty(), "a list is about many lanes");
}

#[test]
fn a_write_is_on_the_board_before_it_is_sent_and_until_everyone_has_it() {
    let mut bench = Bench::with_collection();
    let board = bench.core.board();
    let (_, stamp) = permitted(&board);
    bench.log(add(&[2]));
    assert!(permitted(&board).0.is_empty(), "it is undecided");
    assert!(!board.confirms(ID, stamp.unwrap(), A), "what began before it may show it");
    let leader = bench.take(A);
    bench.succeed(&leader, 201);
    assert!(permitted(&board).0.is_empty(), "its verdict is not on disk");
    bench.save();
    assert_eq!(permitted(&board).0, [A]);
    let follower = bench.take(B);
    bench.succeed(&follower, 201);
    assert_eq!(permitted(&board).0, [A, B]);
    bench.save();
    assert_eq!(permitted(&board).0, [A, B], "also when the lane is out of memory");
    assert_ne!(permitted(&board).1, stamp, "and the state is another one for good");
}

#[test]
fn a_schema_entry_makes_another_state() {
    let mut bench = Bench::with_collection();
    let before = standing(&bench).stamp;
    bench.log(Op::ModifyCollection { new_name: None });
    bench.finish_all(200);
    assert_ne!(standing(&bench).stamp, before);
    bench.log(Op::DropCollection);
    bench.finish_all(200);
    assert_eq!(bench.core.board().standing(ID), None, "nobody asks for it again");
}

#[test]
fn one_that_is_down_is_not_read_and_one_that_lost_its_state_is_not_believed() {
    let mut bench = Bench::with_collection();
    let board = bench.core.board();
    let before = standing(&bench).stamp;
    bench.feed(Event::InstanceDown { instance: B, reason: DownReason::Hung });
    assert_eq!(permitted(&board), (vec![A], Some(before)));
    assert!(board.confirms(ID, before, B), "what it said before it hung is so");
    bench.feed(Event::InstanceDown { instance: B, reason: DownReason::LostState });
    assert!(!board.confirms(ID, before, B));
    assert_ne!(standing(&bench).stamp, before, "nor is what it said before");
}

impl Weight for &str {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }
}

#[test]
fn a_kept_answer_is_found_under_its_state_and_question_alone() {
    let mut bench = Bench::with_collection();
    let results = Results::<&str, &str>::new(1 << 20);
    let first = standing(&bench).stamp;
    results.keep(ID, "count", first, "0");
    assert_eq!(results.find(ID, &"count", first), Some("0"));
    assert_eq!(results.find(ID, &"get", first), None);
    assert_eq!(results.find(crate::chroma::ids::CollectionId(99), &"count", first), None);
    bench.log(add(&[2]));
    let second = standing(&bench).stamp;
    assert_eq!(results.find(ID, &"count", second), None);
    results.keep(ID, "count", second, "1");
    assert_eq!(
        (results.find(ID, &"count", second), results.count()),
        (Some("1"), 1),
        "in place of the old one"
    );
}

#[test]
fn kept_answers_have_a_limit_and_large_ones_are_not_kept() {
    let bench = Bench::with_collection();
    let stamp = standing(&bench).stamp;
    let results = Results::<String, String>::new(64 << 10);
    for number in 0..1_000 {
        results.keep(ID, number.to_string(), stamp, "x".repeat(1_000));
    }
    assert!((1..=64 << 10).contains(&results.bytes()), "{} bytes", results.bytes());
    results.keep(ID, "large".to_owned(), stamp, "x".repeat(5_000));
    assert_eq!(results.find(ID, &"large".to_owned(), stamp), None);
    let off = Results::<String, String>::new(0);
    off.keep(ID, "0".to_owned(), stamp, String::new());
    assert!(!off.is_on() && off.find(ID, &"0".to_owned(), stamp).is_none());
}

impl Weight for String {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }
}
