//! Collections.

use serde_json::json;

use super::databases::{NAMED, PAGES};
use super::{EVERYTHING, Story, create, delete, filled, get, in_a_database, look, post, put};
use crate::request::{NOBODY, Step};

pub fn stories() -> Vec<Story> {
    vec![
        life(),
        names(),
        creates(),
        again(),
        modifies(),
        renames(),
        lists(),
        missing(),
        by_name_or_id(),
        dimensions(),
    ]
}

fn life() -> Story {
    let steps = [
        get("$C"),
        get("$D/collections_count"),
        create("red"),
        create("red"),
        get("$C/red"),
        get("$C/by-id/<<red>>"),
        Step::new("HEAD", "$C/red"),
        Step::new("HEAD", "$C"),
        Step::new("HEAD", "$D/collections_count"),
        get("$D/collections_count"),
        get("$C"),
        delete("$C/red"),
        delete("$C/red"),
        get("$C/red"),
        get("$C/by-id/<<red>>"),
        get("$C/<<red>>/count"),
        post("$C/<<red>>/add").json(&json!({ "ids": ["a"], "embeddings": [[1]] })),
        put("$C/<<red>>").json(&json!({ "new_name": "other" })),
        create("red"),
        get("$C/red"),
        get("$D/collections_count"),
    ];
    in_a_database("the life of a collection", steps)
}

fn names() -> Story {
    let long = ["n".repeat(512), "n".repeat(513)];
    let names = [
        "ab",
        "abc",
        "a.b",
        "a..b",
        "_ab",
        "ab_",
        "a b",
        "1.2.3.4",
        "Abc",
        "abc",
        "add",
        "get",
        "by-id",
        "a/b",
        "",
        NOBODY,
        "zoë",
        "a%41b",
        "collections",
    ];
    let all = names.into_iter().chain(long.iter().map(String::as_str));
    let steps = all.flat_map(|name| {
        let path = name.replace('/', "%2F").replace(' ', "%20").replace('%', "%25").replace('ë', "%C3%AB");
        let mut steps =
            vec![post("$C").json(&json!({ "name": name })).bind("named"), get("$C/<<named>>/count")];
        if !path.is_empty() {
            steps.push(get(&format!("$C/{path}")));
            steps.push(delete(&format!("$C/{path}")));
        }
        steps
    });
    in_a_database("names of collections", steps)
}

/// What stands next to the name in a create.
pub const DETAILS: &[&str] = &[
    r#""metadata":null"#,
    r#""metadata":{}"#,
    r#""metadata":{"a":1,"b":1.5,"c":"x","d":true}"#,
    r#""metadata":{"a":null}"#,
    r#""metadata":{"":1}"#,
    r##""metadata":{"#a":1}"##,
    r#""metadata":{"$a":1}"#,
    r#""metadata":{"chroma:x":1}"#,
    r#""metadata":{"hnsw:space":"ip"}"#,
    r#""metadata":{"hnsw:space":"wrong"}"#,
    r#""metadata":{"hnsw:M":5,"hnsw:search_ef":7}"#,
    r#""metadata":[]"#,
    r#""metadata":"x""#,
    r#""metadata":{"big":9223372036854775807,"bigger":9223372036854775808}"#,
    r#""configuration":null"#,
    r#""configuration":{}"#,
    r#""configuration":{"hnsw":{"space":"cosine","ef_construction":50,"max_neighbors":8,"ef_search":20}}"#,
    r#""configuration":{"hnsw":{"space":"wrong"}}"#,
    r#""configuration":{"hnsw":{"space":"ip","other":1}}"#,
    r#""configuration":{"hnsw":null,"spann":null,"embedding_function":null}"#,
    r#""configuration":{"hnsw":{},"spann":{}}"#,
    r#""configuration":{"spann":{"space":"cosine"}}"#,
    r#""configuration":{"hnsw":{"ef_search":-1}}"#,
    r#""configuration":{"hnsw":{"ef_search":0}}"#,
    r#""configuration":{"hnsw":{"batch_size":0}}"#,
    r#""configuration":{"hnsw":{"sync_threshold":1}}"#,
    r#""configuration":{"hnsw":{"resize_factor":0.5}}"#,
    r#""configuration":{"embedding_function":{"type":"legacy"}}"#,
    r#""configuration":{"embedding_function":{"type":"known","name":"default","config":{}}}"#,
    r#""configuration":{"embedding_function":{"type":"unknown"}}"#,
    r#""configuration":{"embedding_function":{"type":"strange"}}"#,
    r#""configuration":{"other":1}"#,
    r#""configuration":5"#,
    r#""configuration":{"hnsw":{"space":"ip"}},"metadata":{"hnsw:space":"l2"}"#,
    r#""schema":null"#,
    r#""schema":{}"#,
    r#""schema":{"defaults":{},"keys":{}}"#,
    r#""schema":{"defaults":{"string":{"fts_index":{"enabled":false,"config":{}}}},"keys":{}}"#,
    r##""schema":{"defaults":{},"keys":{"#document":{"string":{"fts_index":{"enabled":true,"config":{}}}}}}"##,
    r##""schema":{"defaults":{},"keys":{"#embedding":{"float_list":{"vector_index":{"enabled":true,"config":{"space":"ip"}}}}}}"##,
    r#""schema":{"defaults":{},"keys":{}},"configuration":{"hnsw":{"space":"ip"}}"#,
    r#""schema":5"#,
    r#""get_or_create":null"#,
    r#""get_or_create":1"#,
    r#""get_or_create":true"#,
    r#""get_or_create":false"#,
    r#""id":"00000000-0000-4000-8000-00000000abcd""#,
    r#""name":"twice""#,
];

fn creates() -> Story {
    let details = DETAILS.iter().enumerate().flat_map(|(n, details)| {
        let body = format!(r#"{{"name":"n{n}-x",{details}}}"#);
        [post("$C").text(&body).bind("one"), get(&format!("$C/n{n}-x")), get("$C/by-id/<<one>>")]
    });
    let bodies = NAMED.iter().map(|body| post("$C").text(body));
    let kinds = ["text/plain", "application/json; charset=utf-8", "application/vnd.x+json"]
        .map(|kind| post("$C").bytes(br#"{"name":"kind"}"#).header("content-type", kind));
    let untyped = post("$C").bytes(br#"{"name":"untyped"}"#);
    let elsewhere = post("$T/databases/nowhere/collections").json(&json!({ "name": "abc" }));
    let short = post("$T/databases/x/collections").json(&json!({ "name": "abc" }));
    in_a_database(
        "creates of collections",
        details.chain(bodies).chain(kinds).chain([untyped, elsewhere, short, get("$C")]),
    )
}

/// `get_or_create` of a name that is taken, with everything that a create may say.
fn again() -> Story {
    let take =
        |more: &str| post("$C").text(&format!(r#"{{"name":"c","get_or_create":true{more}}}"#)).bind("c");
    let mut steps = vec![take(""), take("")];
    steps[0] = post("$C").text(r#"{"name":"cold","get_or_create":true,"metadata":{"a":1}}"#).bind("c");
    steps[1] = post("$C").text(r#"{"name":"cold","get_or_create":true,"metadata":{"a":2}}"#).bind("again");
    steps.push(get("$C/<<again>>/count"));
    steps.push(get("$C/cold"));
    for details in DETAILS.iter().filter(|details| !details.contains("get_or_create")) {
        steps.push(post("$C").text(&format!(r#"{{"name":"cold","get_or_create":true,{details}}}"#)));
    }
    steps.push(get("$C"));
    in_a_database("get or create", steps)
}

pub const CHANGES: &[&str] = &[
    "{}",
    "",
    "{",
    "null",
    r#"{"new_name":null}"#,
    r#"{"new_name":5}"#,
    r#"{"new_name":""}"#,
    r#"{"new_name":"x"}"#,
    r#"{"new_name":"a..b"}"#,
    r#"{"new_metadata":{}}"#,
    r#"{"new_metadata":null}"#,
    r#"{"new_metadata":{"only":"this"}}"#,
    r#"{"new_metadata":{"a":null}}"#,
    r#"{"new_metadata":{"hnsw:space":"ip"}}"#,
    r##"{"new_metadata":{"#a":1}}"##,
    r#"{"new_metadata":5}"#,
    r#"{"new_configuration":{}}"#,
    r#"{"new_configuration":null}"#,
    r#"{"new_configuration":{"hnsw":{"ef_search":77}}}"#,
    r#"{"new_configuration":{"hnsw":{"ef_search":78,"num_threads":1,"batch_size":100,"sync_threshold":500,"resize_factor":1.5,"max_neighbors":9}}}"#,
    r#"{"new_configuration":{"hnsw":{"space":"ip"}}}"#,
    r#"{"new_configuration":{"hnsw":{"ef_search":0}}}"#,
    r#"{"new_configuration":{"hnsw":{"batch_size":0}}}"#,
    r#"{"new_configuration":{"hnsw":{"sync_threshold":1}}}"#,
    r#"{"new_configuration":{"spann":{"search_nprobe":5}}}"#,
    r#"{"new_configuration":{"embedding_function":{"type":"legacy"}}}"#,
    r#"{"new_configuration":{"other":1}}"#,
    r#"{"new_name":"box-2","new_metadata":{"both":1},"more":1}"#,
    r#"{"new_name":"box","new_name":"box-2"}"#,
];

fn modifies() -> Story {
    let changes = CHANGES.iter().flat_map(|body| [put("$C/<<box>>").text(body), get("$C/by-id/<<box>>")]);
    let others = [
        put("$C/<<box>>").bytes(b"{}").header("content-type", "text/plain"),
        put("$C/<<box>>").bytes(b"{}"),
        put("$C/nothing").json(&json!({})),
        put(&format!("$C/{NOBODY}")).json(&json!({})),
        put(&format!("$C/{NOBODY}")).text("{"),
    ];
    in_a_database("modifications", filled().into_iter().chain(changes).chain(others).chain([look("box")]))
}

fn renames() -> Story {
    let rename = |id: &str, name: &str| put(&format!("$C/<<{id}>>")).json(&json!({ "new_name": name }));
    let steps = [
        create("one"),
        create("two"),
        rename("one", "one"),
        rename("one", "two"),
        put("$C/<<one>>").json(&json!({ "new_name": "two", "new_metadata": { "a": 1 } })),
        get("$C/by-id/<<one>>"),
        rename("one", "three"),
        get("$C/one"),
        get("$C/three"),
        rename("two", "one"),
        get("$C/one"),
        create("two"),
        get("$C"),
        delete("$C/three"),
        rename("one", "four"),
    ];
    in_a_database("renames", steps)
}

fn lists() -> Story {
    let mut steps: Vec<Step> = ["red", "green", "blue", "alpha"].map(create).into();
    steps.push(get("$C"));
    steps.extend(PAGES.iter().map(|query| get(&format!("$C?{query}"))));
    steps.push(get("$D/collections_count?limit=1"));
    steps.push(get("$T/databases/nowhere/collections"));
    steps.push(get("$T/databases/nowhere/collections_count"));
    steps.push(get("$T/databases/x/collections"));
    steps.push(get("$T/databases/x/collections_count"));
    steps.push(get("/api/v2/tenants/nobody/databases/things/collections"));
    steps.push(delete("$C/green"));
    steps.push(get("$C"));
    in_a_database("lists of collections", steps)
}

fn missing() -> Story {
    let mut steps = Vec::new();
    for place in [
        "nothing",
        NOBODY,
        "x",
        "%20",
        "00000000-0000-4000-8000-00000000ABCD",
        "00000000000040008000000000000000",
    ] {
        steps.extend([
            get(&format!("$C/{place}")),
            get(&format!("$C/by-id/{place}")),
            delete(&format!("$C/{place}")),
            put(&format!("$C/{place}")).json(&json!({})),
            get(&format!("$C/{place}/count")),
            post(&format!("$C/{place}/get")).json(&json!({})),
            post(&format!("$C/{place}/get")).text("{"),
            post(&format!("$C/{place}/query")).json(&json!({ "query_embeddings": [[1]] })),
            post(&format!("$C/{place}/delete")).json(&json!({ "ids": ["a"] })),
            post(&format!("$C/{place}/delete")).json(&json!({ "where": { "a": 1 } })),
        ]);
        for verb in ["add", "upsert", "update"] {
            let body = json!({ "ids": ["a"], "embeddings": [[1]] });
            steps.push(post(&format!("$C/{place}/{verb}")).json(&body));
            steps.push(post(&format!("$C/{place}/{verb}")).text("{"));
        }
    }
    in_a_database("collections that are not there", steps)
}

/// Ids in every spelling, names where ids are wanted, other databases in the path.
fn by_name_or_id() -> Story {
    let [create, add] = filled();
    let steps = [
        create,
        add,
        get("$C/by-id/<<box>>"),
        get("$C/by-id/box"),
        get("$C/by-id/urn:uuid:<<box>>"),
        get("$C/%7B<<box>>%7D/count"),
        get("$C/urn:uuid:<<box>>/count"),
        get("$C/box"),
        get("$C/<<box>>"),
        get("$C/box/count"),
        post("$C/box/get").text(EVERYTHING),
        get("$T/databases/x/collections/<<box>>/count"),
        get("$T/databases/x/collections/by-id/<<box>>"),
        get("$T/databases/another/collections/<<box>>/count"),
        get("$T/databases/another/collections/by-id/<<box>>"),
        get("/api/v2/tenants/another/databases/things/collections/<<box>>/count"),
        get("$C/by-id/<<box>>?limit=x"),
    ];
    in_a_database("names and ids", steps)
}

/// The dimension is fixed by the first embedding, also of some writes that are refused or change nothing.
fn dimensions() -> Story {
    let add = |id: &str, body: &str| post(&format!("$C/<<{id}>>/add")).text(body);
    let steps = [
        create("one"),
        add("one", r#"{"ids":[],"embeddings":[]}"#),
        get("$C/one"),
        add("one", r#"{"ids":["a","b"],"embeddings":[[1,2],[1]]}"#),
        get("$C/one"),
        add("one", r#"{"ids":["a"],"embeddings":[[]]}"#),
        add("one", r#"{"ids":["a"],"embeddings":[[1e39,1]]}"#),
        get("$C/one"),
        add("one", r#"{"ids":["a"],"embeddings":[[1,2]],"metadatas":[{"$a":1}]}"#),
        get("$C/one"),
        post("$C/<<one>>/query").json(&json!({ "query_embeddings": [[1, 2, 3]] })),
        post("$C/<<one>>/update").json(&json!({ "ids": ["none"], "documents": ["x"] })),
        get("$C/one"),
        post("$C/<<one>>/update").json(&json!({ "ids": ["none"], "embeddings": [[1, 2, 3]] })),
        get("$C/one"),
        add("one", r#"{"ids":["a"],"embeddings":[[1,2]]}"#),
        add("one", r#"{"ids":["a"],"embeddings":[[1,2,3]]}"#),
        post("$C/<<one>>/upsert").json(&json!({ "ids": ["a"], "embeddings": [[1]] })),
        post("$C/<<one>>/update").json(&json!({ "ids": ["a"], "embeddings": [[1]] })),
        post("$C/<<one>>/query").json(&json!({ "query_embeddings": [[1, 2]] })),
        look("one"),
        get("$C/one"),
    ];
    in_a_database("dimensions", steps)
}
