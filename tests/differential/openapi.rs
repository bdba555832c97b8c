//! The operations that Chroma's own description lists.

use std::collections::BTreeMap;

use crate::support::http::Http;

/// Operations, as `GET /api/v2/…/{collection_id}/count`, and what each was seen to answer.
#[derive(Debug, Default)]
pub struct Operations {
    pub seen: BTreeMap<String, Seen>,
}

/// Answers seen of an operation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub successes: u32,
    pub errors: u32,
}

impl Operations {
    /// As a running server describes them.
    pub async fn of(base: &str) -> Self {
        let described = Http::default().get(&format!("{base}/openapi.json")).await.expect(200).json();
        let mut operations = Self::default();
        for (path, methods) in described["paths"].as_object().expect("paths") {
            for method in methods.as_object().expect("methods").keys() {
                operations.seen.insert(format!("{} {path}", method.to_uppercase()), Seen::default());
            }
        }
        assert_eq!(described["paths"].as_object().map(serde_json::Map::len), Some(29));
        assert_eq!(operations.seen.len(), 35);
        operations
    }

    /// Takes note of an answer.
    pub fn answered(&mut self, method: &str, path: &str, status: u16) {
        let matching = self.seen.iter_mut().filter(|(operation, _)| is(operation, method, path));
        // A fixed segment goes before a name.
        let Some((_, seen)) = matching.min_by_key(|(operation, _)| operation.matches('{').count()) else {
            return;
        };
        if (200..300).contains(&status) { seen.successes += 1 } else { seen.errors += 1 }
    }
}

fn is(operation: &str, method: &str, path: &str) -> bool {
    let (its_method, template) = operation.split_once(' ').expect("a method and a path");
    let path = path.split('?').next().unwrap_or(path);
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let fits =
        |(wanted, got): (&&str, &&str)| if wanted.starts_with('{') { !got.is_empty() } else { wanted == got };
    its_method == method && template.len() == path.len() && template.iter().zip(&path).all(fits)
}
