//! `docs/compatibility.md` and this test list the same differences, and each can be seen.

use serde_json::{Value, json};

use crate::allowed::{
    ALLOWED, BEFORE_LOG, COMPRESSED, HARMFUL, HARMFUL_METADATA, HIDDEN_KEYS, ID_FOR_NAME, LISTS, NAME_FOR_ID,
    OPERATORS, OWNED, RESERVED, RESOURCE_NAMES,
};
use crate::openapi::Operations;
use crate::pair::Pair;
use crate::play::play;
use crate::request::{Names, Step};
use crate::stories::new_database;
use crate::support::places;

/// What other suites show, because it takes time or settings: `e2e_protocol`.
const ELSEWHERE: [&str; 2] = ["Late bodies", "Browsers"];

/// A difference as it can be seen.
struct Shown {
    heading: &'static str,
    /// What both sides answer alike.
    before: Vec<Step>,
    request: Step,
    /// What we answer.
    status: u16,
    /// False for what would harm a server.
    sent_to_chroma: bool,
}

fn shown(heading: &'static str, before: &[Step], request: Step, status: u16) -> Shown {
    let before = new_database().into_iter().chain(before.iter().cloned()).collect();
    Shown { heading, before, request, status, sent_to_chroma: true }
}

fn never_sent(heading: &'static str, request: Step, status: u16) -> Shown {
    Shown { sent_to_chroma: false, ..shown(heading, &[create()], request, status) }
}

fn create() -> Step {
    Step::new("POST", "$C").json(&json!({ "name": "box" })).bind("box")
}

fn post(path: &str, body: &Value) -> Step {
    Step::new("POST", path).json(body)
}

fn add(metadata: &Value) -> Step {
    post("$C/<<box>>/add", &json!({ "ids": ["a"], "embeddings": [[1, 2]], "metadatas": [metadata] }))
}

fn all() -> Vec<Shown> {
    let rename = json!({ "new_name": "renamed" });
    let empty_id = post("$C/<<box>>/add", &json!({ "ids": [""], "embeddings": [[1, 2]] }));
    let reserved_id =
        post("$C/<<box>>/add", &json!({ "ids": ["\u{0}isochrome:dimension"], "embeddings": [[1]] }));
    let list = json!([["a"], [[1, 2]], null, null, null]);
    let keys: serde_json::Map<_, _> = (0..5_462).map(|n| (format!("k{n}"), json!(n))).collect();
    let elements: Vec<u32> = (0..8_191).collect();
    let get = |path: &str| Step::new("GET", path);
    vec![
        shown(NAME_FOR_ID, &[create()], get("$C/box/count"), 200),
        shown(NAME_FOR_ID, &[create()], Step::new("PUT", "$C/box").json(&rename), 200),
        shown(NAME_FOR_ID, &[], get("$C/none/count"), 404),
        shown(ID_FOR_NAME, &[create()], Step::new("DELETE", "$C/<<box>>"), 200),
        shown(OWNED, &[create()], get("$T/databases/another/collections/<<box>>/count"), 404),
        shown(LISTS, &[create()], post("$C/<<box>>/add", &list), 422),
        // Both refuse it, but Chroma fixes the dimension.
        shown(BEFORE_LOG, &[create(), empty_id], get("$C/box"), 200),
        never_sent(HARMFUL, add(&json!({ "chroma:document": 5 })), 400),
        never_sent(HARMFUL, add(&Value::Object(keys)), 400),
        never_sent(HARMFUL, add(&json!({ "list": elements })), 400),
        never_sent(HARMFUL_METADATA, post("$C", &json!({ "name": "lists", "metadata": { "l": [1] } })), 400),
        never_sent(RESOURCE_NAMES, get("/api/v2/collections/a:b:c"), 400),
        shown(HIDDEN_KEYS, &[create()], add(&json!({ "chroma:foo": "x" })), 400),
        shown(RESERVED, &[], post("/api/v2/tenants", &json!({ "name": "isochrome_system" })), 400),
        shown(RESERVED, &[create()], reserved_id, 400),
        shown(COMPRESSED, &[create()], add(&json!({ "n": 1 })).header("content-encoding", "br"), 415),
        shown(OPERATORS, &[], get("/health"), 200),
        shown(OPERATORS, &[], get("/status"), 200),
    ]
}

#[tokio::test]
async fn every_listed_difference_can_be_seen() {
    let pair = Pair::start(&[], &[]);
    for Shown { heading, before, request, status, sent_to_chroma } in all() {
        let mut operations = Operations::default();
        let mut steps = before;
        if sent_to_chroma {
            steps.push(request.clone());
            let last = steps.len() - 1;
            let played = play(&pair, "shown", &steps, &mut operations).await;
            let differs = |place: usize| played.differences.iter().any(|(other, _)| *other == place);
            assert_eq!(played.met.len() + usize::from(differs(last)), 1, "{heading}: {}", request.line());
            assert!(!(0..last).any(differs), "{heading}: {:?}", played.differences);
            assert_eq!(played.last_status, status, "{heading}: {}", request.line());
            continue;
        }
        let mut names = Names::new(&pair.new_run("never"));
        for step in steps {
            let answer =
                pair.http.send(step.to_request(&pair.bases()[0], &names)).await.expect("an answer").success();
            if let Some(name) = &step.bind {
                names.ids.insert(name.clone(), answer.json()["id"].as_str().expect("an id").to_owned());
            }
        }
        let answer = pair.http.send(request.to_request(&pair.bases()[0], &names)).await.expect("an answer");
        assert_eq!(answer.expect(status).json()["error"], "InvalidArgumentError", "{heading}");
    }
}

#[test]
fn the_page_and_the_test_list_the_same() {
    let page = std::fs::read_to_string(places::repository().join("docs/compatibility.md")).expect("the page");
    let (_, differences) = page.split_once("\n## What differs\n").expect("the part about differences");
    let differences = differences.split("\n## ").next().unwrap_or_default();
    let mut on_page: Vec<&str> = differences.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let shown = all();
    let here = shown.iter().map(|one| one.heading).chain(ALLOWED.iter().map(|allowed| allowed.heading));
    let mut tested: Vec<&str> = here.chain(ELSEWHERE).collect();
    on_page.sort_unstable();
    tested.sort_unstable();
    tested.dedup();
    assert_eq!(on_page, tested);
}
