//! The model of a Chroma server, on which the simulator stands, gets the same random requests as a
//! real server; after each of them both must answer and hold the same.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test stops at the first surprise"
)]
#![allow(clippy::disallowed_methods, reason = "a test blocks its own thread")]

mod server;
mod wire;

#[path = "../simulator/model/mod.rs"]
mod model;

use model::{Generator, Instance, Kind, RealId, Request, Response};
use server::Server;
use wire::Wire;

const DATABASES: [&str; 2] = ["default_database", "second"];
const DIMENSION: usize = 3;

/// The seed of this run: `ISOCHROME_SEED`, else a fresh one; printed where a failure shows it.
fn seed() -> u64 {
    let given = std::env::var("ISOCHROME_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("to run this again: ISOCHROME_SEED={seed}");
    seed
}

/// A request of any kind; collections are named by their id in the model, sometimes by one that is gone.
fn any_request(generator: &mut Generator, model: &Instance, gone: &[RealId]) -> Request {
    let database = DATABASES[usize::from(generator.chance(20))].to_owned();
    let name = format!("name{}", generator.random.u8(..5));
    let living: Vec<RealId> = model.collections().map(|found| found.id).collect();
    let known = if generator.chance(3) { gone } else { &living };
    let collection = generator.random.choice(known).copied();
    match (generator.random.u8(..100), collection) {
        (0..5, Some(collection)) => Request::ModifyCollection {
            collection,
            new_name: generator.chance(70).then_some(name),
            new_metadata: generator.chance(40).then(|| generator.collection_metadata()),
        },
        (5..7, _) => Request::DropCollection { database, name },
        (7..9, _) => Request::Describe { database, name },
        (9..11, _) => Request::List { database },
        (11, _) => Request::CreateDatabase { database },
        (12, _) if generator.chance(20) => Request::DropDatabase { database: DATABASES[1].to_owned() },
        (13..15, Some(collection)) => Request::DescribeById { database: of(model, collection), collection },
        (15..30, Some(collection)) => generator.get(collection),
        (30..33, Some(collection)) => Request::Count { collection },
        (33..90, Some(collection)) => {
            let dimension = if generator.chance(2) { 2 } else { DIMENSION };
            generator.record_write(collection, dimension)
        }
        _ => Request::CreateCollection {
            database,
            name,
            metadata: generator.chance(30).then(|| generator.collection_metadata()),
            get_or_create: generator.chance(30),
        },
    }
}

fn of(model: &Instance, collection: RealId) -> String {
    let found = model.collection(collection);
    found.map_or(DATABASES[0].to_owned(), |found| found.database.clone())
}

/// Everything that reads can tell of one collection.
fn whole(database: String, collection: RealId) -> [Request; 3] {
    let get = Request::Get { collection, ids: None, filter: None, limit: None, offset: 0, embeddings: true };
    [Request::DescribeById { database, collection }, Request::Count { collection }, get]
}

fn assert_same(wire: &mut Wire, model: &mut Instance, request: &Request) {
    let expected = model.execute(request);
    let found = wire.execute(request, &expected);
    wire::assert_same(request, &expected, &found);
}

#[test]
fn the_model_answers_and_holds_what_a_real_server_does() {
    let server = Server::start();
    let mut generator = Generator::new(seed());
    let mut model = Instance::new(1);
    let mut wire = Wire::new(server.port());
    let mut gone = vec![RealId::MAX];
    for step in 0..800 {
        let request = any_request(&mut generator, &model, &gone);
        println!("{step}: {request:?}");
        let before: Vec<RealId> = model.collections().map(|found| found.id).collect();
        assert_same(&mut wire, &mut model, &request);
        gone.extend(before.into_iter().filter(|id| model.collection(*id).is_none()));
        let touched = request.queue().filter(|id| model.collection(*id).is_some());
        let checked: Vec<RealId> = if step % 50 == 49 {
            model.collections().map(|found| found.id).collect()
        } else {
            touched.into_iter().collect()
        };
        for collection in checked {
            for read in whole(of(&model, collection), collection) {
                assert_same(&mut wire, &mut model, &read);
            }
        }
    }
}

/// A write whose connection is lost was not executed, or got as far as the dimension, or is logged
/// and shows with the next write: nothing else, and never a part of it.
#[test]
fn a_lost_connection_leaves_one_of_the_states_that_the_model_knows() {
    let server = Server::start();
    let mut generator = Generator::new(seed());
    generator.flawed_percent = 0;
    let mut model = Instance::new(1);
    let mut wire = Wire::new(server.port());
    let mut outcomes = [0_usize; 3];
    for round in 0..60 {
        let create = Request::CreateCollection {
            database: DATABASES[0].to_owned(),
            name: format!("round{round}"),
            metadata: None,
            get_or_create: false,
        };
        let expected = model.execute(&create);
        let Response::Collection(created) = wire.execute(&create, &expected) else {
            panic!("the create failed");
        };
        let mut lost = generator.write(created.id, Kind::Upsert, DIMENSION);
        if let Request::Write { parts, .. } = &mut lost {
            let more = std::iter::repeat_with(|| generator.write(created.id, Kind::Upsert, DIMENSION));
            for other in more.take(40) {
                let Request::Write { parts: other, .. } = other else {
                    continue;
                };
                parts.extend(other);
            }
        }
        println!("{round}: {lost:?}");
        wire.send_and_close(&lost, generator.random.u64(..9));
        let mut states = [model.clone(), model.clone(), model.clone()];
        states[1].abandon(&lost);
        states[2].log(&lost);
        let next = generator.write(created.id, Kind::Update, DIMENSION);
        let answers = states.each_mut().map(|state| state.execute(&next));
        let found = wire.execute(&next, &answers[0]);
        wire::assert_same(&next, &answers[0], &found);
        let holds = |state: &mut Instance, wire: &mut Wire| {
            whole(DATABASES[0].to_owned(), created.id).iter().all(|read| {
                let expected = state.execute(read);
                wire.execute(read, &expected) == expected
            })
        };
        let which = states.iter_mut().position(|state| holds(state, &mut wire));
        let which = which.expect("the server holds what no state of the model does");
        outcomes[which] += 1;
        model = states[which].clone();
    }
    println!("not executed {}, dimension only {}, logged {}", outcomes[0], outcomes[1], outcomes[2]);
}
