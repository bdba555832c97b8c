//! The paths of the requests that we send ourselves.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

/// What may stand in a path segment as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Room for most paths.
const USUAL_BYTES: usize = 192;

/// A text as one segment of a path.
#[must_use]
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// `/api/v2/tenants/{tenant}/databases`
#[must_use]
pub fn databases(tenant: &str) -> String {
    let mut path = String::with_capacity(USUAL_BYTES);
    path.push_str("/api/v2/tenants/");
    path.extend(utf8_percent_encode(tenant, SEGMENT));
    path.push_str("/databases");
    path
}

/// `/api/v2/tenants/{tenant}/databases/{database}`
#[must_use]
pub fn database(tenant: &str, database: &str) -> String {
    under(databases(tenant), utf8_percent_encode(database, SEGMENT))
}

/// `{database}/collections`
#[must_use]
pub fn collections(tenant: &str, database_name: &str) -> String {
    under(database(tenant, database_name), ["collections"])
}

/// `{database}/collections/{name}`: get and delete
#[must_use]
pub fn collection_by_name(tenant: &str, database: &str, name: &str) -> String {
    under(collections(tenant, database), utf8_percent_encode(name, SEGMENT))
}

/// `{database}/collections/{id}`: modify, and with `/{operation}` all else
#[must_use]
pub fn collection(tenant: &str, database: &str, id: Uuid) -> String {
    let mut text = Uuid::encode_buffer();
    under(collections(tenant, database), [&*id.hyphenated().encode_lower(&mut text)])
}

/// The path and one segment more, as it is.
#[must_use]
pub fn under<'a>(mut path: String, segment: impl IntoIterator<Item = &'a str>) -> String {
    path.push('/');
    path.extend(segment);
    path
}

#[cfg(test)]
mod tests {
    use super::super::route::{self, Route};
    use super::*;

    #[test]
    fn any_name_comes_back_from_its_path() {
        for name in ["plain", "a b/c", "50%", "zoë", "..", "{x}?#&+"] {
            let route = route::parse("GET", &collection_by_name(name, name, name));
            let expected = Route::GetCollection {
                tenant: name.to_owned(),
                database: name.to_owned(),
                collection: name.to_owned(),
            };
            assert_eq!(route, expected);
        }
    }
}
