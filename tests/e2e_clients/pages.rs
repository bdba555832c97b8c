//! Lists of collections, tenants and databases.

use serde_json::{Value, json};

use crate::cluster::{Cluster, join_all};
use crate::support::api::{Api, id_of};

async fn list(api: &Api, query: &str) -> Vec<Value> {
    let answer = api.http.get(&api.collections(query)).await.expect(200).json();
    answer.as_array().expect("a list").clone()
}

fn ids(list: &[Value]) -> Vec<&str> {
    list.iter().map(|one| one["id"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn lists_come_in_the_order_of_public_ids_in_pages_and_counted() {
    let cluster = Cluster::shared();
    let api = cluster.space("pages").await;
    assert_eq!(list(&api, "").await, [Value::Null; 0]);
    let mut known = Vec::new();
    for number in 0..25 {
        known.push(api.new_collection(&format!("page-{number}")).await);
    }
    known.sort();
    let all = list(&api, "").await;
    assert_eq!(ids(&all), known);
    for one in &all {
        let described = api.describe(one["name"].as_str().expect("a name")).await.expect(200);
        assert_eq!(id_of(&described), one["id"].as_str().expect("an id"));
        assert_eq!(&described.json(), one, "a list shows what a look at one shows");
    }
    for (limit, offset) in [(10, 0), (10, 10), (10, 20), (1, 24), (5, 25), (0, 0), (100, 3)] {
        let page = list(&api, &format!("?limit={limit}&offset={offset}")).await;
        let expected: Vec<_> = known.iter().skip(offset).take(limit).collect();
        assert_eq!(ids(&page), expected, "limit {limit}, offset {offset}");
    }
    assert_eq!(ids(&list(&api, "?offset=23").await), known[23..]);
    let count = api.http.get(&api.collections("_count")).await.expect(200).json();
    assert_eq!(count, 25);
    for wrong in ["?limit=-1", "?limit=x", "?offset=4294967296"] {
        let error = api.http.get(&api.collections(wrong)).await.expect(400).json();
        assert_eq!(error["error"], "InvalidArgumentError", "{error}");
    }
    let nowhere = Api { database: "nowhere".to_owned(), ..api.clone() };
    assert_eq!(list(&nowhere, "").await, [Value::Null; 0]);
    assert_eq!(nowhere.http.get(&nowhere.collections("_count")).await.expect(200).json(), 0);
}

#[tokio::test]
async fn databases_are_listed_and_come_and_go_with_their_collections() {
    let cluster = Cluster::shared();
    let api = cluster.space("databases").await;
    let databases = format!("{}/api/v2/tenants/databases/databases", api.base);
    for name in ["second", "first"] {
        api.http.post(&databases, &json!({ "name": name })).await.expect(200);
    }
    let names = async |query: &str| {
        let list = api.http.get(&format!("{databases}{query}")).await.expect(200).json();
        let names = list.as_array().expect("a list").iter();
        names.map(|one| one["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["first", "second", "things"]);
    assert_eq!(names("?limit=1&offset=1").await, ["second"]);
    api.http.post(&databases, &json!({ "name": "first" })).await.expect(409);
    let inside = Api { database: "first".to_owned(), ..api.clone() };
    let id = inside.new_collection("inside").await;
    api.http.delete(&format!("{databases}/first")).await.expect(200);
    inside.post(&id, "get", &json!({})).await.expect(404);
    api.http.get(&format!("{databases}/first")).await.expect(404);
    let error = inside.create(&json!({ "name": "orphan" })).await.expect(400).json();
    assert_eq!(error["message"], "Database [first] does not exist");
    assert_eq!(names("").await, ["second", "things"]);
    cluster.await_identical(&api).await;
}

#[tokio::test]
async fn a_list_shows_every_collection_that_was_answered_before() {
    let cluster = Cluster::shared();
    // Lists of one database come from one server; six of them, in all likelihood, from both.
    let create_and_look = |worker: usize| async move {
        let api = cluster.space(&format!("fresh-{worker}")).await;
        for number in 1..=15 {
            let id = api.new_collection(&format!("fresh-{number}")).await;
            for _ in 0..3 {
                let all = list(&api, "").await;
                assert!(ids(&all).contains(&id.as_str()) && all.len() == number, "{id}");
            }
        }
    };
    join_all((0..6).map(create_and_look)).await;
}
