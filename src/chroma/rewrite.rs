//! Answers in the words of Chroma.

/// The answer to a delete of `count` ids.
#[must_use]
pub fn deleted_body(count: u64) -> Vec<u8> {
    format!("{{\"deleted\":{count}}}").into_bytes()
}
