//! Errors in Chroma's shape and words. Clients choose their exception by the `error` string, so
//! our own refusals use its strings too.

use std::fmt;

use serde::Serialize;

/// `error` strings that the official clients know.
pub const INVALID_ARGUMENT: &str = "InvalidArgumentError";
pub const FORBIDDEN: &str = "AuthorizationError";
pub const NOT_FOUND: &str = "NotFoundError";
pub const INTERNAL: &str = "InternalError";
pub const CHROMA: &str = "ChromaError";

/// The plain text that all operations but deletes and gets answer, with 413, to a body over the limit.
pub const PAYLOAD_TOO_LARGE: &str = "Payload too large";

/// The largest body that Chroma takes by default.
pub const MAX_BODY_BYTES: usize = 41_943_040;

/// An error answer: `{"error": .., "message": ..}`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {error}: {message}")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// What kind of error it is, in Chroma's vocabulary.
    pub error: &'static str,
    /// For the person who reads it.
    pub message: String,
}

impl ApiError {
    /// Any error.
    #[must_use]
    pub fn new(status: u16, error: &'static str, message: impl Into<String>) -> Self {
        Self { status, error, message: message.into() }
    }

    /// 400 with Chroma's string for what is wrong with a request.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, INVALID_ARGUMENT, message)
    }

    /// The JSON body.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Shape<'a> {
            error: &'a str,
            message: &'a str,
        }
        serde_json::to_vec(&Shape { error: self.error, message: &self.message }).unwrap_or_default()
    }

    /// A collection that was addressed by its id; `id` is shown as the client should see it.
    #[must_use]
    pub fn collection_id_not_found(id: impl fmt::Display) -> Self {
        Self::new(404, NOT_FOUND, format!("Collection [{id}] does not exist."))
    }

    /// A collection that was addressed by name, or through `collections/by-id/`.
    #[must_use]
    pub fn collection_not_found(name: impl fmt::Display) -> Self {
        Self::new(404, NOT_FOUND, format!("Collection [{name}] does not exist"))
    }

    /// Create of a collection whose name is taken.
    #[must_use]
    pub fn collection_exists(name: &str) -> Self {
        Self::new(409, CHROMA, format!("Collection [{name}] already exists"))
    }

    /// Rename of a collection to a name that is taken.
    #[must_use]
    pub fn rename_taken() -> Self {
        Self::new(
            500,
            INTERNAL,
            "Database error: error returned from database: (code: 2067) UNIQUE constraint failed: \
             collections.name, collections.database_id",
        )
    }

    /// A collection id that is none, where only an id is taken.
    #[must_use]
    pub fn malformed_collection_id() -> Self {
        Self::invalid("Collection ID is not a valid UUIDv4")
    }

    /// The same in `collections/by-id/`.
    #[must_use]
    pub fn malformed_by_id() -> Self {
        Self::invalid("Validation error: collection_id: Invalid collection ID format, expected UUID")
    }

    /// Create of a tenant that exists.
    #[must_use]
    pub fn tenant_exists(tenant: &str) -> Self {
        Self::new(409, CHROMA, format!("Tenant [{tenant}] already exists"))
    }

    /// Get of a tenant that does not exist.
    #[must_use]
    pub fn tenant_not_found(tenant: &str) -> Self {
        Self::new(404, NOT_FOUND, format!("Tenant [{tenant}] not found"))
    }

    /// Create of a database that exists.
    #[must_use]
    pub fn database_exists(database: &str) -> Self {
        Self::new(409, CHROMA, format!("Database [{database}] already exists"))
    }

    /// Get of a database that does not exist.
    #[must_use]
    pub fn database_not_found(database: &str) -> Self {
        Self::new(404, NOT_FOUND, format!("Database [{database}] not found. Are you sure it exists?"))
    }

    /// Delete of a database that does not exist.
    #[must_use]
    pub fn database_to_delete_not_found(database: &str) -> Self {
        Self::new(404, NOT_FOUND, format!("Database [{database}] not found"))
    }

    /// Create of a collection in a database that does not exist.
    #[must_use]
    pub fn database_of_create_not_found(database: &str) -> Self {
        Self::invalid(format!("Database [{database}] does not exist"))
    }

    /// A database of fewer than three characters in a path; not said by its delete.
    #[must_use]
    pub fn database_name_short() -> Self {
        Self::invalid("database name must be at least 3 characters")
    }

    /// Reset where it is not allowed.
    #[must_use]
    pub fn reset_disabled() -> Self {
        Self::new(403, CHROMA, "Reset is disabled by config")
    }

    /// Anything under `/api/v1/`.
    #[must_use]
    pub fn v1_gone() -> Self {
        Self::new(410, "Unimplemented", "The v1 API is deprecated. Please use /v2 apis")
    }

    /// A body over the limit, as deletes and gets say it; see [`PAYLOAD_TOO_LARGE`] for the rest.
    #[must_use]
    pub fn payload_too_large() -> Self {
        Self::new(413, CHROMA, "Failed to buffer the request body: length limit exceeded")
    }

    /// A body that is not announced as JSON.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        Self::new(415, CHROMA, "Expected request with `Content-Type: application/json`")
    }

    /// Whether Chroma takes a body with this `Content-Type`; without the header it does.
    ///
    /// # Errors
    /// Chroma's 415.
    pub fn check_content_type(value: Option<&str>) -> Result<(), Self> {
        let essence = value.map(|value| value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase());
        match essence.as_deref() {
            None | Some("application/json") => Ok(()),
            Some(essence) if essence.starts_with("application/") && essence.ends_with("+json") => Ok(()),
            Some(_) => Err(Self::unsupported_media_type()),
        }
    }

    /// A body whose object is spelled as a list of its members' values. Chroma reads some of
    /// those by position; nobody sends them, and we do not tell them apart.
    #[must_use]
    pub fn positional_body() -> Self {
        Self::new(
            422,
            CHROMA,
            "Failed to deserialize the JSON body into the target type: invalid type: sequence, \
             expected an object at line 1 column 0",
        )
    }

    /// A path segment whose percent-encoding is not UTF-8.
    #[must_use]
    pub fn path_not_utf8(parameter: &str) -> Self {
        Self::invalid(format!("Invalid URL: Invalid UTF-8 in `{parameter}`"))
    }

    /// A record with an empty id.
    #[must_use]
    pub fn empty_id() -> Self {
        Self::invalid("Empty ID, ID must have at least one character")
    }

    /// Lists of different lengths in a record write.
    #[must_use]
    pub fn unequal_lengths() -> Self {
        Self::invalid("Inconsistent number of IDs, embeddings, documents, URIs and metadatas")
    }

    /// A sparse vector in a record's metadata.
    #[must_use]
    pub fn sparse_vector(key: &str) -> Self {
        Self::new(
            501,
            CHROMA,
            format!("Unimplemented: Sparse vector is not supported for local chroma: {key}"),
        )
    }

    /// Look-up by a collection resource name: Chroma's own words for a malformed one; a well-formed one
    /// would only close the connection there.
    #[must_use]
    pub fn crn(crn: &str) -> Self {
        let parts: Vec<&str> = crn.split(':').collect();
        if parts.len() == 3 && parts.iter().all(|part| !part.is_empty()) {
            return Self::invalid(
                "Collections cannot be looked up by resource name on a single-node Chroma server",
            );
        }
        Self::invalid(
            "Validation error: crn: CRN must be in the format \
             <tenant_resource_name>:<database_name>:<collection_name> with non-empty parts",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_chromas_shape_and_escapes_what_it_quotes() {
        let error = ApiError::collection_exists("a\"b");
        let body = String::from_utf8(error.body()).unwrap();
        assert_eq!(body, r#"{"error":"ChromaError","message":"Collection [a\"b] already exists"}"#);
    }
}
