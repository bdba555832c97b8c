//! The query string of lists.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::error::ApiError;

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most so many; `None` for all.
    pub limit: Option<u32>,
    /// Leave out so many first.
    pub offset: u32,
}

impl Page {
    /// The page of `items`.
    #[must_use]
    pub fn of<'a, T>(&self, items: &'a [T]) -> &'a [T] {
        let start = items.len().min(self.offset as usize);
        let end = self.limit.map_or(items.len(), |limit| items.len().min(start + limit as usize));
        &items[start..end]
    }
}

/// Reads `limit` and `offset` as Chroma does; other parameters are ignored.
///
/// # Errors
/// Chroma's own 400 for a value that is no u32, or one that is given twice.
pub fn parse(query: &str) -> Result<Page, ApiError> {
    let (mut limit, mut offset) = (None, None);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match &*decode(name) {
            "limit" => set(&mut limit, "limit", value)?,
            "offset" => set(&mut offset, "offset", value)?,
            _ => {}
        }
    }
    Ok(Page { limit, offset: offset.unwrap_or(0) })
}

fn set(slot: &mut Option<u32>, name: &str, value: &str) -> Result<(), ApiError> {
    if slot.is_some() {
        return Err(refuse(format_args!("duplicate field `{name}`")));
    }
    let number = decode(value).parse::<u32>().map_err(|error| refuse(format_args!("{name}: {error}")))?;
    *slot = Some(number);
    Ok(())
}

fn refuse(what: std::fmt::Arguments<'_>) -> ApiError {
    ApiError::invalid(format!("Failed to deserialize query string: {what}"))
}

/// Decodes a part of a form-encoded query.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_and_offset_are_found_among_other_parameters() {
        assert_eq!(parse("").unwrap(), Page::default());
        assert_eq!(parse("x=1&offset=2&limit=%33").unwrap(), Page { limit: Some(3), offset: 2 });
    }

    #[test]
    fn a_page_never_reaches_over_the_end() {
        let items = [1, 2, 3];
        assert_eq!(Page { limit: Some(2), offset: 1 }.of(&items), [2, 3]);
        assert_eq!(Page { limit: Some(9), offset: 2 }.of(&items), [3]);
        assert_eq!(Page { limit: None, offset: 7 }.of(&items), [0; 0]);
    }
}
