//! Writes of records.

use serde_json::json;

use super::{Story, create, filled, get, in_a_database, look, post};
use crate::request::Step;

const BODY_KINDS: [&str; 6] = [
    "text/plain",
    "application/xml",
    "application/json; charset=utf-8",
    "application/x+json",
    "multipart/form-data",
    "x",
];

pub fn stories() -> Vec<Story> {
    vec![
        wrong_bodies("add", WRONG_ADDS),
        wrong_bodies("upsert", WRONG_ADDS),
        wrong_bodies("update", WRONG_UPDATES),
        wrong_bodies("delete", WRONG_DELETES),
        adds(),
        merges(),
        deletes(),
        metadata(),
        odd_ids(),
        encodings(),
    ]
}

/// Bodies that adds and upserts refuse or take without doing much.
const WRONG_ADDS: &[&str] = &[
    "",
    "{",
    "null",
    "{}",
    r#"{"ids":["a"]}"#,
    r#"{"ids":["a"],"embeddings":null}"#,
    r#"{"ids":["a"],"embeddings":[null]}"#,
    r#"{"ids":"a","embeddings":[[1]]}"#,
    r#"{"ids":[1],"embeddings":[[1]]}"#,
    r#"{"ids":[null],"embeddings":[[1]]}"#,
    r#"{"ids":null,"embeddings":[[1]]}"#,
    r#"{"embeddings":[[1,2,3]]}"#,
    r#"{"ids":["a"],"embeddings":[["1","2","3"]]}"#,
    r#"{"ids":["a"],"embeddings":[[true,1,2]]}"#,
    r#"{"ids":["a"],"embeddings":[1,2,3]}"#,
    r#"{"ids":["a"],"embeddings":{}}"#,
    r#"{"ids":["a"],"embeddings":[[]]}"#,
    r#"{"ids":["a"],"embeddings":[[1,2,NaN]]}"#,
    r#"{"ids":["a"],"embeddings":[[1,2,1e400]]}"#,
    r#"{"ids":["a"],"embeddings":[[1,2,1e39]]}"#,
    r#"{"ids":["a"],"embeddings":[[1,2]]}"#,
    r#"{"ids":["x","y"],"embeddings":[[1,2,3],[1,2]]}"#,
    r#"{"ids":["x","y"],"embeddings":[[1,2,3],"AACAPwAAAEAAAEBA"]}"#,
    r#"{"ids":["x"],"embeddings":["!!"]}"#,
    r#"{"ids":["x"],"embeddings":["AAAA"]}"#,
    r#"{"ids":["x"],"embeddings":[""]}"#,
    r#"{"ids":["x"],"embeddings":["AACAPwAAAEAAAEB"]}"#,
    r#"{"ids":["x"],"embeddings":["AAAgfwAAgH8AAMB/"]}"#,
    r#"{"ids":["x"],"embeddings":[[1,2,3]],"documents":"d"}"#,
    r#"{"ids":["x"],"embeddings":[[1,2,3]],"documents":[5]}"#,
    r#"{"ids":["x"],"embeddings":[[1,2,3]],"uris":[5]}"#,
    r#"{"ids":["x"],"embeddings":[[1,2,3]],"metadatas":{}}"#,
    r#"{"ids":["x"],"embeddings":[[1,2,3]],"metadatas":["x"]}"#,
    r#"{"ids":["x"],"embeddings":[[1,2,3]],"metadatas":[{"a":{"b":1}}]}"#,
    r#"{"ids":["x"],"embeddings":[[1,2,3]],"metadatas":[{"":1}]}"#,
    r#"{"ids":["x"],"embeddings":[[1,2,3]],"metadatas":[{"$a":1}]}"#,
    r##"{"ids":["x"],"embeddings":[[1,2,3]],"metadatas":[{"#a":1}]}"##,
    r#"{"ids":["x"],"embeddings":[[1,2,3]],"metadatas":[{"a":["x",1]}]}"#,
    r#"{"ids":["x"],"embeddings":[[1,2,3]],"metadatas":[{"a":[null]}]}"#,
    r#"{"ids":["x"],"embeddings":[[1,2,3]],"metadatas":[{"a":[[1]]}]}"#,
    r#"{"ids":["a"],"ids":["b"],"embeddings":[[1,2,3]]}"#,
    r#"{"ids":["x"],"embeddings":[[1,2,3]]} trailing"#,
    r#"{"ids":["x\ud800"],"embeddings":[[1,2,3]]}"#,
    r#"{"ids":[],"embeddings":[]}"#,
    r#"{"ids":[],"embeddings":[],"documents":[],"metadatas":[],"uris":[]}"#,
    r#"{"ids":["a","b"],"embeddings":[[1,2,3]]}"#,
    r#"{"ids":["x"],"embeddings":[[1,2,3]],"documents":[]}"#,
    r#"{"ids":["x"],"embeddings":[[1,2,3]],"metadatas":[null,null]}"#,
    r#"{"ids":[""],"embeddings":[[1,2,3]]}"#,
    r##"{"ids":["x"],"embeddings":[[1,2,3]],"metadatas":[{"sv":{"#type":"sparse_vector","indices":[1],"values":[0.5]}}]}"##,
    r#"{"ids":["x"],"embeddings":[[1,2,3]],"metadatas":[{"sv":{"indices":[2,1],"values":[0.5,1]}}]}"#,
];

const WRONG_UPDATES: &[&str] = &[
    "",
    "{",
    "{}",
    r#"{"ids":["a"]}"#,
    r#"{"ids":[]}"#,
    r#"{"ids":["none"],"documents":["x"]}"#,
    r#"{"ids":["a"],"embeddings":[null]}"#,
    r#"{"ids":["a"],"embeddings":null,"documents":null,"metadatas":null,"uris":null}"#,
    r#"{"ids":["a"],"documents":[null],"metadatas":[null],"uris":[null]}"#,
    r#"{"ids":["a"],"metadatas":[{}]}"#,
    r#"{"ids":["a"],"embeddings":[[1,2]]}"#,
    r#"{"ids":["a"],"embeddings":[["x"]]}"#,
    r#"{"ids":["a"],"embeddings":[[1,2,1e39]]}"#,
    r#"{"ids":["a","b"],"documents":["x"]}"#,
    r#"{"ids":["a"],"embeddings":[]}"#,
    r#"{"ids":[""],"documents":["x"]}"#,
    r#"{"ids":["a"],"metadatas":[{"a":{"b":1}}]}"#,
    r#"{"ids":["a","b"],"embeddings":[null,"AACAPwAAAEAAAEBA"]}"#,
    r#"{"ids":["a","b"],"embeddings":[[1,2,3],"AACAPwAAAEAAAEBA"]}"#,
];

const WRONG_DELETES: &[&str] = &[
    "",
    "{",
    "{}",
    "null",
    r#"{"ids":null}"#,
    r#"{"ids":null,"where":null,"where_document":null,"limit":null}"#,
    r#"{"ids":[]}"#,
    r#"{"ids":[""]}"#,
    r#"{"ids":"a"}"#,
    r#"{"ids":[1]}"#,
    r#"{"where":{}}"#,
    r#"{"where":5}"#,
    r#"{"where":[]}"#,
    r#"{"where":{"a":1,"b":2}}"#,
    r#"{"where":{"a":{"$in":[]}}}"#,
    r#"{"where":{"a":{"$what":1}}}"#,
    r#"{"where_document":{}}"#,
    r#"{"where_document":{"$regex":"("}}"#,
    r#"{"ids":["a"],"limit":1}"#,
    r#"{"limit":1}"#,
    r#"{"limit":-1}"#,
    r#"{"where":{"n":1},"limit":-1}"#,
    r#"{"where":{"n":1},"limit":0}"#,
    r#"{"where":{"n":1},"limit":1.5}"#,
    r#"{"where":{"n":12345}}"#,
    r#"{"ids":[],"where":{"n":1}}"#,
    r#"{"ids":["none"],"where":{"n":1}}"#,
];

/// Wrong bodies to a collection that has records, and to one that has none and no dimension.
fn wrong_bodies(verb: &'static str, bodies: &'static [&'static str]) -> Story {
    let to = |name: &str, body: &str| post(&format!("$C/<<{name}>>/{verb}")).text(body);
    let all = bodies.iter().flat_map(|body| [to("box", body), to("empty", body), get("$C/empty")]);
    let kinds = BODY_KINDS
        .iter()
        .map(|kind| post(&format!("$C/<<box>>/{verb}")).bytes(b"{}").header("content-type", kind));
    let binary: [&[u8]; 4] = [b"\xff", b"\xef\xbb\xbf{}", b"{\"ids\":[\"\xff\"]}", &[0; 40]];
    let binary = binary.map(|bytes| post(&format!("$C/<<box>>/{verb}")).bytes(bytes));
    let end = [look("box"), look("empty"), get("$C/box")];
    let steps =
        filled().into_iter().chain([create("empty")]).chain(all).chain(kinds).chain(binary).chain(end);
    let name = match verb {
        "add" => "wrong adds",
        "upsert" => "wrong upserts",
        "update" => "wrong updates",
        _ => "wrong deletes",
    };
    in_a_database(name, steps)
}

fn adds() -> Story {
    let [create, add] = filled();
    let mut again = add.clone();
    again.body = crate::request::Body::Text(
        r#"{"ids":["a","e","e"],"embeddings":[[9,9,9],[0,0,2],[5,5,5]],"documents":["no","first","second"]}"#
            .to_owned(),
    );
    let untyped = post("$C/<<box>>/add").bytes(br#"{"ids":["untyped"],"embeddings":[[1,2,3]],"more":[1]}"#);
    let steps = [
        create,
        get("$C/<<box>>/count"),
        look("box"),
        add.clone(),
        look("box"),
        add,
        again,
        untyped,
        look("box"),
        get("$C/box"),
    ];
    in_a_database("adds", steps)
}

/// What upserts and updates keep of a record, and what they replace.
fn merges() -> Story {
    let upsert = |body: &str| post("$C/<<box>>/upsert").text(body);
    let update = |body: &str| post("$C/<<box>>/update").text(body);
    let changes = [
        upsert(r#"{"ids":["b","f"],"embeddings":[[0,2,0],[3,3,3]],"metadatas":[{"k":"z","new":1},{"n":6}]}"#),
        upsert(
            r#"{"ids":["f","f","f"],"embeddings":[[1,1,1],[2,2,2],[4,4,4]],"metadatas":[{"a":1},{"a":null,"b":2},null]}"#,
        ),
        upsert(r#"{"ids":["a"],"embeddings":[[1,0,1]],"metadatas":[{"n":null,"k":null}]}"#),
        upsert(r#"{"ids":["a"],"embeddings":[[1,0,1]],"metadatas":[{}],"documents":[null],"uris":[null]}"#),
        update(
            r#"{"ids":["c","none"],"embeddings":[[0,0,3],[1,1,1]],"documents":["a yellow tree","nothing"]}"#,
        ),
        update(r#"{"ids":["c","c"],"metadatas":[{"b":null,"n":3},{"n":4.5}]}"#),
        update(r#"{"ids":["a","c"],"embeddings":[null,[7,7,7]],"uris":["u:new",null]}"#),
        update(r#"{"ids":["a"],"metadatas":[{"chroma:document":"through the metadata","chroma:uri":"u"}]}"#),
    ];
    let steps = changes.into_iter().flat_map(|change| [change, look("box")]);
    in_a_database("upserts and updates", filled().into_iter().chain(steps))
}

fn deletes() -> Story {
    let many: Vec<String> = (0..30).map(|n| format!("m{n:02}")).collect();
    let rows: Vec<_> = (0..30).map(|n| json!([n, 1, 2])).collect();
    let metadatas: Vec<_> = (0..30).map(|n| json!({ "n": n, "even": n % 2 == 0 })).collect();
    let documents: Vec<_> = (0..30).map(|n| format!("number {n}")).collect();
    let add = json!({ "ids": many, "embeddings": rows, "metadatas": metadatas, "documents": documents });
    let deletes = [
        r#"{"ids":["m00","none","m00"]}"#,
        r#"{"ids":["m00"]}"#,
        r#"{"where":{"n":{"$lt":6}},"limit":2}"#,
        r#"{"where":{"n":{"$lt":6}}}"#,
        r#"{"where":{"n":{"$lt":6}}}"#,
        r#"{"ids":["m06","m07","m29"],"where":{"even":true}}"#,
        r#"{"where_document":{"$contains":"number 2"}}"#,
        r#"{"where":{"even":false},"where_document":{"$contains":"1"},"limit":3}"#,
        r#"{"where":{"$or":[{"n":8},{"n":10}]},"where_document":null}"#,
        r#"{"where":{"n":{"$gte":0}},"limit":4294967295}"#,
        r#"{"where":{"n":{"$gte":0}}}"#,
    ];
    let steps = deletes.iter().flat_map(|body| [post("$C/<<box>>/delete").text(body), look("box")]);
    let begin = [create("box"), post("$C/<<box>>/add").json(&add)];
    let end = [post("$C/<<box>>/add").json(&add), look("box"), get("$C/<<box>>/count")];
    in_a_database("deletes", begin.into_iter().chain(steps).chain(end))
}

/// Values of every type. (Nothing with a list is deleted: see `documented`.)
const VALUES: &[&str] = &[
    "1",
    "-1",
    "0",
    "-0",
    "1.0",
    "-0.0",
    "1.5",
    "1e2",
    "5e-324",
    "0.1",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551616",
    "1e400",
    "9007199254740993",
    "true",
    "false",
    "\"\"",
    "\"x\"",
    "\"\\u0000\"",
    "\"𝄞\"",
    "\"\\ud83e\\udd8a\"",
    "null",
    "[]",
    "[1,2]",
    "[1.5]",
    "[1,1.5]",
    "[\"x\",\"y\"]",
    "[true]",
    "[true,1]",
    "{}",
    "[{}]",
];

fn metadata() -> Story {
    let steps = VALUES.iter().enumerate().flat_map(|(n, value)| {
        let body = |id: &str| {
            format!(r#"{{"ids":["{id}{n}"],"embeddings":[[1,2]],"metadatas":[{{"k":{value},"schlüssel 🗝":"w"}}]}}"#)
        };
        [
            post("$C/<<box>>/add").text(&body("add")),
            post("$C/<<box>>/upsert").text(&body("upsert")),
            post("$C/<<box>>/update").text(&body("add")),
        ]
    });
    let end = [look("box"), get("$C/box")];
    in_a_database(
        "values of metadata",
        [create("box")].into_iter().chain(steps.collect::<Vec<_>>()).chain(end),
    )
}

fn odd_ids() -> Story {
    let long = "i".repeat(100_000);
    let ids = json!([
        "𝄞🦊",
        "\u{0}",
        " ",
        "a\"b\\",
        long,
        "ünï",
        "UNÏ",
        "\u{7f}",
        "00000000-0000-4000-8000-00000000abcd"
    ]);
    let rows: Vec<_> = (0..9).map(|n| json!([n, 1])).collect();
    let steps = [
        create("box"),
        post("$C/<<box>>/add").json(&json!({ "ids": ids, "embeddings": rows })),
        look("box"),
        post("$C/<<box>>/get").json(&json!({ "ids": ids })),
        post("$C/<<box>>/get").json(&json!({ "ids": ["", "none"] })),
        post("$C/<<box>>/delete").json(&json!({ "ids": ids })),
        look("box"),
    ];
    in_a_database("odd ids of records", steps)
}

/// Lists and base64, and numbers in every spelling, in spaces of every kind.
fn encodings() -> Story {
    let steps = ["l2", "ip", "cosine"].iter().flat_map(|space| {
        let create = json!({ "name": space, "configuration": { "hnsw": { "space": space } } });
        let to = |verb: &str, body: &str| post(&format!("$C/<<{space}>>/{verb}")).text(body);
        vec![
            post("$C").json(&create).bind(space),
            to("add", r#"{"ids":["a"],"embeddings":["AACAPwAAAEAAAEBA"]}"#),
            to("add", r#"{"ids":["b"],"embeddings":[[1.50,2E0,-3.0000000000000000001]]}"#),
            to("add", r#"{"ids":["c"],"embeddings":[[0.1,16777217,33554431.0000001]]}"#),
            to("upsert", r#"{"ids":["a"],"embeddings":["\u0041ACAvwAAAEAAAEBA"]}"#),
            to("update", r#"{"ids":["b","a"],"embeddings":[null,"AACAPwAAAEAAAEBA"]}"#),
            look(space),
            to(
                "query",
                r#"{"query_embeddings":[[1,2,3]],"n_results":3,"include":["distances","embeddings"]}"#,
            ),
        ]
    });
    let exact = post("$C/<<l2>>/add").text(
        r#"{"ids":["d","e"],"embeddings":[[1e-45,-0.0,1.1754943508222875e-38],[3.4028234663852886e38,-3.4028234663852886E+38,0.1]]}"#,
    );
    let end: [Step; 2] = [exact, look("l2")];
    in_a_database("encodings of embeddings", steps.collect::<Vec<_>>().into_iter().chain(end))
}
