//! What an instance's answer means.

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A read of an existing collection's records or description.
    Read,
    /// add, upsert, update or delete of records.
    Records,
    CreateCollection,
    ModifyCollection,
    DropCollection,
    CreateDatabase,
    DropDatabase,
    CreateTenant,
}

/// What the answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Done.
    Success,
    /// Refused as every instance of equal state would refuse it.
    Rejected,
    /// What the catalog says lives there does not exist there. (For a drop that was in doubt: it is done.)
    StateLost,
    /// Not executed; to be sent again later.
    NotExecuted,
    /// The server logged the write and takes no more until it is restarted.
    DeadWriter,
    /// The vector index of the collection does not load. Until the collection is made again on that server every read of
    /// its records is refused, and writes are logged and never applied; other collections are well.
    BrokenIndex,
    /// Done or not, now or later.
    Doubt,
}

/// Reads an answer to a request whose target exists according to the catalog.
#[must_use]
pub fn classify(asked: Asked, status: u16, body: &[u8]) -> Meaning {
    match status {
        200..=299 if asked == Asked::Read => Meaning::Success,
        200 | 201 if is_object(body) => Meaning::Success,
        400 if asked == Asked::CreateCollection && names_missing_database(body) => Meaning::StateLost,
        404 if says_missing(body) => Meaning::StateLost,
        404 if asked == Asked::Read && contains(body, b"\"NotFoundError\"") => Meaning::Rejected,
        400 | 409 | 413 | 415 | 422 | 501 => Meaning::Rejected,
        429 => Meaning::NotExecuted,
        500 => classify_500(asked, body),
        _ => Meaning::Doubt,
    }
}

/// What Chroma answers to every write that it has done. Anything else with a 2xx comes from something in between.
fn is_object(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).is_ok()
}

fn classify_500(asked: Asked, body: &[u8]) -> Meaning {
    if contains(body, b"Error sending message to compactor") {
        return Meaning::DeadWriter;
    }
    if is_broken_index(body) {
        return Meaning::BrokenIndex;
    }
    let taken = contains(body, b"UNIQUE constraint failed: collections.name");
    let too_many = contains(body, b"too many SQL variables");
    let same_everywhere = match asked {
        Asked::ModifyCollection => taken,
        Asked::Read | Asked::Records => too_many,
        _ => false,
    };
    if same_everywhere { Meaning::Rejected } else { Meaning::Doubt }
}

/// What Chroma says when files of an index are missing or can't be read. "Nothing found on disk", which begins with the
/// same words, comes from a collection whose index was never written.
fn is_broken_index(body: &[u8]) -> bool {
    contains(body, b"Error creating hnsw segment reader: Error loading hnsw index")
        || contains(body, b"Error creating hnsw segment reader: Error deserializing pickle file")
}

/// `Database [x] does not exist`, the answer to a create of a collection.
fn names_missing_database(body: &[u8]) -> bool {
    contains(body, b"\"message\":\"Database [") && contains(body, b"] does not exist\"")
}

/// A 404 that Chroma gives for a collection, database or tenant, and not for something in it.
fn says_missing(body: &[u8]) -> bool {
    contains(body, b"\"NotFoundError\"")
        && [b"Collection [".as_slice(), b"Database [", b"Tenant ["].iter().any(|what| contains(body, what))
}

fn contains(body: &[u8], words: &[u8]) -> bool {
    // Error bodies are short; a long one is not Chroma's.
    body[..body.len().min(65_536)].windows(words.len()).any(|window| window == words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_what_any_equal_instance_would_say() {
        for status in [400, 409, 413, 415, 422, 501] {
            assert_eq!(classify(Asked::Records, status, b""), Meaning::Rejected, "{status}");
        }
        let taken = br#"{"error":"InternalError","message":"(code: 2067) UNIQUE constraint failed: collections.name, x"}"#;
        assert_eq!(classify(Asked::ModifyCollection, 500, taken), Meaning::Rejected);
        assert_eq!(classify(Asked::Records, 500, taken), Meaning::Doubt);
        let many = br#"{"error":"InternalError","message":"(code: 1) too many SQL variables"}"#;
        assert_eq!(classify(Asked::Read, 500, many), Meaning::Rejected);
    }

    #[test]
    fn a_missing_target_is_lost_state() {
        let collection = br#"{"error":"NotFoundError","message":"Collection [x] does not exist."}"#;
        assert_eq!(classify(Asked::Records, 404, collection), Meaning::StateLost);
        let database = br#"{"error":"InvalidArgumentError","message":"Database [x] does not exist"}"#;
        assert_eq!(classify(Asked::CreateCollection, 400, database), Meaning::StateLost);
        let function = br#"{"error":"NotFoundError","message":"Attached function not found"}"#;
        assert_eq!(classify(Asked::Read, 404, function), Meaning::Rejected);
        assert_eq!(classify(Asked::Records, 404, function), Meaning::Doubt, "no answer to a write");
        assert_eq!(classify(Asked::Read, 404, b""), Meaning::Doubt, "no answer of Chroma's");
    }

    #[test]
    fn only_chromas_own_success_says_that_a_write_is_done() {
        assert_eq!(classify(Asked::Records, 201, b"{}"), Meaning::Success);
        assert_eq!(classify(Asked::Records, 200, br#"{"deleted":3}"#), Meaning::Success);
        for body in [b"".as_slice(), b"<html>", b"null", b"[]", b"{"] {
            assert_eq!(classify(Asked::Records, 200, body), Meaning::Doubt, "{body:?}");
        }
        assert_eq!(classify(Asked::DropCollection, 202, b"{}"), Meaning::Doubt);
        assert_eq!(classify(Asked::Read, 204, b""), Meaning::Success);
    }

    #[test]
    fn an_index_that_does_not_load_is_no_trouble_of_the_server() {
        for words in [
            "Error executing plan: Error sending backfill request to compactor: Error constructing hnsw segment \
             reader: Error creating hnsw segment reader: Error loading hnsw index",
            "Error in compaction: Error constructing hnsw segment reader: Error creating hnsw segment reader: \
             Error deserializing pickle file: eval error at offset 16956: EOF while parsing",
        ] {
            let body = format!(r#"{{"error":"InternalError","message":"{words}"}}"#);
            for asked in [Asked::Read, Asked::Records] {
                assert_eq!(classify(asked, 500, body.as_bytes()), Meaning::BrokenIndex, "{words}");
            }
        }
        let unwritten = b"Error executing plan: Error creating hnsw segment reader: Nothing found on disk";
        assert_eq!(classify(Asked::Read, 500, unwritten), Meaning::Doubt);
    }

    #[test]
    fn trouble_of_the_server_decides_nothing() {
        let dead = br#"{"error":"InternalError","message":"Error sending message to compactor"}"#;
        assert_eq!(classify(Asked::Records, 500, dead), Meaning::DeadWriter);
        let full = br#"{"error":"InternalError","message":"Error in compaction: Failed to apply logs"}"#;
        assert_eq!(classify(Asked::Records, 500, full), Meaning::Doubt);
        assert_eq!(classify(Asked::Records, 429, b"You have been rate limited."), Meaning::NotExecuted);
        assert_eq!(classify(Asked::Records, 502, b""), Meaning::Doubt);
    }
}
