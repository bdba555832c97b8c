//! The `embeddings` of a record write: how many, how long, how spelled.

use memchr::{memchr, memchr2};

use super::{base64, number, text};
use crate::wal::record::Encoding;

/// What is known of all embeddings of a request.
pub(super) struct Embeddings {
    pub(super) count: usize,
    pub(super) encoding: Encoding,
    /// Where there is one and all agree.
    pub(super) dimension: Option<u32>,
    /// Nothing but the dimension can make Chroma refuse them.
    pub(super) sound: bool,
}

/// Reads `json`, which is valid JSON. `None` where Chroma would not take its type; `nulls` are taken by
/// updates only.
pub(super) fn scan(json: &str, nulls: bool) -> Option<Embeddings> {
    let bytes = json.as_bytes();
    let mut all = Embeddings { count: 0, encoding: Encoding::None, dimension: None, sound: true };
    let mut position = 1;
    if bytes.first() != Some(&b'[') {
        return None;
    }
    loop {
        match *bytes.get(position)? {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => position += 1,
            b']' => return Some(all),
            b'n' if nulls => {
                position += "null".len();
                all.count += 1;
            }
            b'[' => {
                let end = position + memchr(b']', &bytes[position..])?;
                let numbers = number::scan_list(&bytes[position + 1..end])?;
                position = end + 1;
                let dimension = Some(numbers.count).filter(|&count| count > 0);
                all.add(Encoding::Lists, dimension, numbers.sound)?;
            }
            b'"' => {
                let end = string_end(&bytes[position..])?;
                let text = text(&json[position..position + end])?;
                position += end;
                let vector = base64::scan(text.as_bytes());
                all.add(Encoding::Base64, vector.dimension, vector.sound)?;
            }
            _ => return None,
        }
    }
}

impl Embeddings {
    /// Takes in one more; `None` where its encoding differs from the others'.
    fn add(&mut self, encoding: Encoding, dimension: Option<u32>, sound: bool) -> Option<()> {
        if self.encoding == Encoding::None {
            self.dimension = dimension;
        } else if self.encoding != encoding {
            return None;
        }
        self.sound &= sound && dimension.is_some() && self.dimension == dimension;
        if self.dimension != dimension {
            self.dimension = None;
        }
        self.encoding = encoding;
        self.count += 1;
        Some(())
    }
}

/// Length of the string at the start of `bytes`, both quotes included.
fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut position = 1;
    loop {
        position += memchr2(b'"', b'\\', bytes.get(position..)?)?;
        if bytes[position] == b'"' {
            return Some(position + 1);
        }
        position += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(json: &str) -> Option<(usize, Option<u32>, bool)> {
        scan(json, true).map(|e| (e.count, e.dimension, e.sound))
    }

    #[test]
    fn lists_are_counted_without_reading_their_numbers() {
        assert_eq!(lists("[]"), Some((0, None, true)));
        assert_eq!(lists("[ [1, 2.5e-7] , null,[ 3 ,4 ] ]"), Some((3, Some(2), true)));
        assert_eq!(lists("[[1],[1,2],[1]]"), Some((3, None, false)));
        assert_eq!(lists("[[]]"), Some((1, None, false)));
        assert_eq!(lists("[[1e39]]"), Some((1, Some(1), false)));
    }

    #[test]
    fn a_wrong_type_is_told() {
        for json in
            ["{}", "null", "[1]", "[[true]]", "[[[1]]]", "[[null]]", "[[\"1\"]]", "[[1],\"AACAPw==\"]"]
        {
            assert_eq!(lists(json), None, "{json}");
        }
        assert!(scan("[null]", false).is_none());
    }

    #[test]
    fn escapes_in_base64_count_as_what_they_stand_for() {
        assert_eq!(lists(r#"["\u0041ACAPw==",null]"#), Some((2, Some(1), true)));
        assert_eq!(lists(r#"["\ud800ACAPw=="]"#), None);
    }
}
