//! Reads of records.

use super::{Story, create, filled, get, in_a_database, post};
use crate::request::Step;

pub fn stories() -> Vec<Story> {
    vec![gets(), queries(), predicates(), counts()]
}

const GETS: &[&str] = &[
    "",
    "{",
    "{}",
    "null",
    "5",
    r#"{"ids":null}"#,
    r#"{"ids":[]}"#,
    r#"{"ids":["c","a","c","none"]}"#,
    r#"{"ids":[""]}"#,
    r#"{"ids":"a"}"#,
    r#"{"ids":[1]}"#,
    r#"{"limit":2}"#,
    r#"{"limit":2,"offset":1}"#,
    r#"{"offset":3}"#,
    r#"{"offset":99}"#,
    r#"{"limit":0}"#,
    r#"{"limit":-1}"#,
    r#"{"limit":1.0}"#,
    r#"{"limit":"1"}"#,
    r#"{"limit":4294967295}"#,
    r#"{"limit":4294967296}"#,
    r#"{"limit":null,"offset":null}"#,
    r#"{"include":[]}"#,
    r#"{"include":["documents"]}"#,
    r#"{"include":["embeddings","uris","metadatas","documents"]}"#,
    r#"{"include":["distances"]}"#,
    r#"{"include":["documents","documents"]}"#,
    r#"{"include":["what"]}"#,
    r#"{"include":null}"#,
    r#"{"include":"documents"}"#,
    r#"{"ids":["a","b"],"where":{"n":1}}"#,
    r#"{"ids":["a"],"limit":1,"offset":1}"#,
    r#"{"where":{"n":{"$gte":1}},"limit":2,"offset":1}"#,
    r#"{"more":1,"ids":["a"]}"#,
    r#"{"ids":["a"],"ids":["b"]}"#,
    r#"{"ids":["\u0061"]}"#,
    r"[null,null,null,null]",
];

fn gets() -> Story {
    let verb = |body: &&str| post("$C/<<box>>/get").text(body);
    let kinds = ["text/plain", "application/json; charset=utf-8", "x"]
        .map(|kind| post("$C/<<box>>/get").bytes(b"{}").header("content-type", kind));
    let empty = [
        create("empty"),
        post("$C/<<empty>>/get").text("{}"),
        post("$C/<<empty>>/get").text(r#"{"ids":["a"]}"#),
    ];
    let steps = GETS.iter().map(verb).chain(kinds).chain([post("$C/<<box>>/get").bytes(b"{}")]).chain(empty);
    in_a_database("gets", filled().into_iter().chain(steps))
}

const QUERIES: &[&str] = &[
    "",
    "{",
    "{}",
    r#"{"query_embeddings":null}"#,
    r#"{"query_embeddings":[]}"#,
    r#"{"query_embeddings":[[]]}"#,
    r#"{"query_embeddings":[[1,0,0]]}"#,
    r#"{"query_embeddings":[[1,0,0],[0,0,1]],"n_results":2}"#,
    r#"{"query_embeddings":[[1,0,0]],"n_results":0}"#,
    r#"{"query_embeddings":[[1,0,0]],"n_results":99}"#,
    r#"{"query_embeddings":[[1,0,0]],"n_results":-1}"#,
    r#"{"query_embeddings":[[1,0,0]],"n_results":4294967296}"#,
    r#"{"query_embeddings":[[1,0,0]],"n_results":null}"#,
    r#"{"query_embeddings":[[1,0,0]],"n_results":"1"}"#,
    r#"{"query_embeddings":[[1,0]],"n_results":1}"#,
    r#"{"query_embeddings":[[1,0,0],[1,0]]}"#,
    r#"{"query_embeddings":["AACAPwAAAEAAAEBA"]}"#,
    r#"{"query_embeddings":[1,0,0]}"#,
    r#"{"query_embeddings":[["1",0,0]]}"#,
    r#"{"query_embeddings":[[null,0,0]]}"#,
    r#"{"query_embeddings":[[1e39,0,0]]}"#,
    r#"{"query_embeddings":[[1e400,0,0]]}"#,
    r#"{"query_embeddings":[[3e38,3e38,-3e38]]}"#,
    r#"{"query_embeddings":[[1,0,0]],"include":[]}"#,
    r#"{"query_embeddings":[[1,0,0]],"include":["distances","embeddings","uris","metadatas","documents"]}"#,
    r#"{"query_embeddings":[[1,0,0]],"include":["what"]}"#,
    r#"{"query_embeddings":[[1,0,0]],"ids":["a","d"],"n_results":1}"#,
    r#"{"query_embeddings":[[1,0,0]],"ids":[]}"#,
    r#"{"query_embeddings":[[1,0,0]],"ids":["none"]}"#,
    r#"{"query_embeddings":[[1,0,0]],"ids":[1]}"#,
    r#"{"query_embeddings":[[1,0,0]],"where":{"n":{"$lt":3}}}"#,
    r#"{"query_embeddings":[[1,0,0]],"where":{"n":99}}"#,
    r#"{"query_embeddings":[[1,0,0]],"where":{}}"#,
    r#"{"query_embeddings":[[1,0,0]],"where_document":{"$contains":"the"},"where":{"k":"x"}}"#,
    r#"{"query_embeddings":[[1,0,0]],"limit":1,"more":[]}"#,
    r#"{"query_embeddings":[[1,0,0]],"query_embeddings":[[1,0,0]]}"#,
];

fn queries() -> Story {
    let asked = QUERIES
        .iter()
        .flat_map(|body| ["box", "empty"].map(|name| post(&format!("$C/<<{name}>>/query")).text(body)));
    let kinds = ["text/plain", "application/json; charset=utf-8"].map(|kind| {
        post("$C/<<box>>/query").bytes(br#"{"query_embeddings":[[1,0,0]]}"#).header("content-type", kind)
    });
    in_a_database(
        "queries",
        filled().into_iter().chain([create("empty")]).chain(asked.collect::<Vec<_>>()).chain(kinds),
    )
}

/// Predicates over metadata, right and wrong.
const WHERE: &[&str] = &[
    "{}",
    "[]",
    "5",
    "\"x\"",
    "true",
    r#"{"n":1}"#,
    r#"{"n":1.0}"#,
    r#"{"n":"1"}"#,
    r#"{"b":true}"#,
    r#"{"k":"x"}"#,
    r#"{"none":1}"#,
    r#"{"n":null}"#,
    r#"{"n":[1]}"#,
    r#"{"n":{}}"#,
    r#"{"n":{"$eq":1}}"#,
    r#"{"n":{"$ne":1}}"#,
    r#"{"n":{"$gt":1}}"#,
    r#"{"n":{"$gte":2}}"#,
    r#"{"n":{"$lt":2}}"#,
    r#"{"n":{"$lte":1.5}}"#,
    r#"{"n":{"$gt":"x"}}"#,
    r#"{"k":{"$gt":"a"}}"#,
    r#"{"b":{"$gt":false}}"#,
    r#"{"n":{"$in":[1,2]}}"#,
    r#"{"n":{"$nin":[1,2]}}"#,
    r#"{"k":{"$in":["x","q"]}}"#,
    r#"{"k":{"$nin":["x"]}}"#,
    r#"{"n":{"$in":[]}}"#,
    r#"{"n":{"$in":1}}"#,
    r#"{"n":{"$in":[1,"x"]}}"#,
    r#"{"n":{"$in":[null]}}"#,
    r#"{"k":{"$contains":"x"}}"#,
    r#"{"k":{"$not_contains":"x"}}"#,
    r#"{"k":{"$contains":1}}"#,
    r#"{"k":{"$regex":"x"}}"#,
    r#"{"n":{"$what":1}}"#,
    r#"{"n":{"$gt":1,"$lt":3}}"#,
    r#"{"n":1,"k":"x"}"#,
    r#"{"$and":[{"n":1},{"k":"x"}]}"#,
    r#"{"$or":[{"n":1},{"k":"y"}]}"#,
    r#"{"$and":[{"n":1}]}"#,
    r#"{"$and":[]}"#,
    r#"{"$or":{}}"#,
    r#"{"$and":[{"$or":[{"n":1},{"n":2}]},{"k":{"$ne":"y"}}]}"#,
    r#"{"$not":[{"n":1}]}"#,
    r#"{"$and":[{"n":1},{}]}"#,
    r#"{"$and":[{"n":1},5]}"#,
    r#"{"$and":[{"n":1},{"k":"x"}],"n":1}"#,
    r##"{"#document":{"$contains":"red"}}"##,
    r##"{"#id":"a"}"##,
    r##"{"#id":{"$in":["a","b"]}}"##,
    r##"{"#what":1}"##,
    r#"{"chroma:document":"the red fox"}"#,
    r#"{"":1}"#,
    r#"{"$eq":1}"#,
    r#"{"n":9007199254740993}"#,
    r#"{"n":9223372036854775808}"#,
    r#"{"n":1e400}"#,
    r#"{"f":1}"#,
    r#"{"f":{"$gte":1}}"#,
];

const WHERE_DOCUMENT: &[&str] = &[
    "{}",
    "[]",
    "5",
    "null",
    r#"{"$contains":"red"}"#,
    r#"{"$not_contains":"red"}"#,
    r#"{"$contains":""}"#,
    r#"{"$contains":5}"#,
    r#"{"$contains":"🦊"}"#,
    r#"{"$contains":"ün"}"#,
    r#"{"$contains":"%"}"#,
    r#"{"$contains":"_"}"#,
    r#"{"$contains":"'"}"#,
    r#"{"$contains":"\""}"#,
    r#"{"$regex":"^the .*x$"}"#,
    r#"{"$not_regex":"^the"}"#,
    r#"{"$regex":"("}"#,
    r#"{"$regex":""}"#,
    r#"{"$regex":"\\p{L}+"}"#,
    r#"{"$and":[{"$contains":"the"},{"$contains":"fox"}]}"#,
    r#"{"$or":[{"$contains":"sea"},{"$contains":"fox"}]}"#,
    r#"{"$and":[{"$contains":"the"}]}"#,
    r#"{"$and":[]}"#,
    r#"{"$what":"x"}"#,
    r#"{"$contains":"a","$not_contains":"b"}"#,
    r#"{"n":1}"#,
];

fn predicates() -> Story {
    let ask = |member: &str, value: &str| -> [Step; 2] {
        [
            post("$C/<<box>>/get").text(&format!(r#"{{"{member}":{value}}}"#)),
            post("$C/<<box>>/query").text(&format!(r#"{{"query_embeddings":[[1,0,0]],"{member}":{value}}}"#)),
        ]
    };
    let by_metadata = WHERE.iter().flat_map(|value| ask("where", value));
    let by_document = WHERE_DOCUMENT.iter().flat_map(|value| ask("where_document", value));
    in_a_database("predicates", filled().into_iter().chain(by_metadata).chain(by_document))
}

fn counts() -> Story {
    let levels = ["index_and_wal", "index_only", "index_and_bounded_wal", "wrong", "INDEX_ONLY", "5"];
    let counts = levels.iter().map(|level| get(&format!("$C/<<box>>/count?read_level={level}")));
    let others =
        [get("$C/<<box>>/count"), get("$C/<<box>>/count?limit=1"), get("$C/<<box>>/count").text("{")];
    in_a_database("counts", filled().into_iter().chain(others).chain(counts))
}
