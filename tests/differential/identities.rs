//! Which id of one side is which of the other: learned as pairs appear, and one to one.

use std::collections::HashMap;

/// Pairs of ids: ours and Chroma's.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    theirs_of: HashMap<String, String>,
    ours_of: HashMap<String, String>,
}

impl Identities {
    /// True where the two ids are, or from now on count as, the same thing's.
    pub fn pair(&mut self, ours: &str, theirs: &str) -> bool {
        let known = (self.theirs_of.get(ours), self.ours_of.get(theirs));
        match known {
            (None, None) => {
                self.theirs_of.insert(ours.to_owned(), theirs.to_owned());
                self.ours_of.insert(theirs.to_owned(), ours.to_owned());
                true
            }
            (Some(known_theirs), Some(known_ours)) => known_theirs == theirs && known_ours == ours,
            _ => false,
        }
    }

    /// True where two texts are the same but for ids that belong together.
    pub fn same_text(&mut self, ours: &str, theirs: &str) -> bool {
        let (our_text, our_ids) = without_ids(ours);
        let (their_text, their_ids) = without_ids(theirs);
        our_text == their_text
            && our_ids.len() == their_ids.len()
            && our_ids.iter().zip(&their_ids).all(|(ours, theirs)| self.pair(ours, theirs))
    }
}

/// The text with a mark in the place of each id, and the ids.
fn without_ids(text: &str) -> (String, Vec<&str>) {
    let (mut rest, mut ids) = (String::new(), Vec::new());
    let mut start = 0;
    let mut at = 0;
    while at + 36 <= text.len() {
        if let Some(id) = text.get(at..at + 36).filter(|id| is_id(id)) {
            rest.push_str(&text[start..at]);
            rest.push('\u{1}');
            ids.push(id);
            at += 36;
            start = at;
        } else {
            at += 1;
        }
    }
    rest.push_str(&text[start..]);
    (rest, ids)
}

fn is_id(text: &str) -> bool {
    text.bytes().enumerate().all(|(place, byte)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

#[test]
fn ids_are_paired_one_to_one() {
    let [a, b, c] = ['a', 'b', 'c'].map(uuid_of);
    let mut identities = Identities::default();
    assert!(identities.same_text(&format!("x [{a}] é"), &format!("x [{b}] é")));
    assert!(identities.same_text(&a, &b), "again");
    assert!(!identities.same_text(&a, &c), "another for the same of ours");
    assert!(!identities.same_text(&c, &b), "another for the same of theirs");
    assert!(!identities.same_text("x", "y"));
    assert!(identities.same_text(&c, &c));
}

#[cfg(test)]
fn uuid_of(digit: char) -> String {
    let digits = |count: usize| digit.to_string().repeat(count);
    [8, 4, 4, 4, 12].map(digits).join("-")
}
