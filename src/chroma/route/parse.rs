//! Finding a [`Route`].

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::super::error::ApiError;
use super::{RecordOp, Route};

/// Room for every path but those to nowhere.
const USUAL_SEGMENTS: usize = 9;

const GET: &str = "GET,HEAD";
const POST: &str = "POST";

/// Finds the operation. `path` is the path as sent, without the query; HEAD counts as GET.
#[must_use]
pub fn parse(method: &str, path: &str) -> Route {
    let method = if method == "HEAD" { "GET" } else { method };
    if let Some(route) = outside_v2(method, path) {
        return route;
    }
    let Some(rest) = path.strip_prefix("/api/v2") else {
        return Route::NotFound;
    };
    if rest.is_empty() {
        return only(method, "GET", GET, Route::Heartbeat);
    }
    let Some(rest) = rest.strip_prefix('/') else {
        return Route::NotFound;
    };
    let mut segments = Vec::with_capacity(USUAL_SEGMENTS);
    segments.extend(rest.split('/'));
    // In the middle of a path nothing at all is a name too.
    if segments.last().is_some_and(|segment| segment.is_empty()) {
        return Route::NotFound;
    }
    let mut names = Names { malformed: None };
    match (in_v2(method, &segments, &mut names), names.malformed) {
        (route @ (Route::NotFound | Route::MethodNotAllowed { .. }), _) | (route, None) => route,
        (_, Some(error)) => Route::Malformed(error),
    }
}

/// Decodes names; the first that is none is told, but only where the path and the method are right.
struct Names {
    malformed: Option<ApiError>,
}

impl Names {
    fn name(&mut self, segment: &str, parameter: &str) -> String {
        if !segment.contains('%') {
            return segment.to_owned();
        }
        let decoded = percent_decode_str(segment).decode_utf8();
        let name = decoded.map(Cow::into_owned);
        name.unwrap_or_else(|_| {
            self.malformed.get_or_insert_with(|| ApiError::path_not_utf8(parameter));
            String::new()
        })
    }
}

fn outside_v2(method: &str, path: &str) -> Option<Route> {
    if path.strip_prefix("/api/v1/").is_some_and(|rest| !rest.is_empty()) {
        let known = matches!(method, "GET" | "PUT" | "PATCH" | "DELETE" | "OPTIONS");
        let allow = "GET,HEAD,PUT,PATCH,DELETE,OPTIONS";
        return Some(if known { Route::V1 } else { Route::MethodNotAllowed { allow } });
    }
    let docs = path == "/docs" || path.starts_with("/docs/") || path == "/openapi.json";
    docs.then(|| only(method, "GET", GET, Route::Docs))
}

fn in_v2(method: &str, segments: &[&str], names: &mut Names) -> Route {
    match segments {
        ["heartbeat"] => only(method, "GET", GET, Route::Heartbeat),
        ["healthcheck"] => only(method, "GET", GET, Route::Healthcheck),
        ["version"] => only(method, "GET", GET, Route::Version),
        ["pre-flight-checks"] => only(method, "GET", GET, Route::PreFlightChecks),
        ["auth", "identity"] => only(method, "GET", GET, Route::Identity),
        ["reset"] => only(method, "POST", POST, Route::Reset),
        ["collections", crn] => only(method, "GET", GET, Route::Crn { crn: names.name(crn, "crn") }),
        ["tenants"] => only(method, "POST", POST, Route::CreateTenant),
        ["tenants", tenant] => {
            let tenant = names.name(tenant, "tenant_name");
            match method {
                "GET" => Route::GetTenant { tenant },
                "PATCH" => Route::ModifyTenant { tenant },
                _ => Route::MethodNotAllowed { allow: "GET,HEAD,PATCH" },
            }
        }
        ["tenants", tenant, "databases"] => {
            let tenant = names.name(tenant, "tenant");
            match method {
                "GET" => Route::ListDatabases { tenant },
                "POST" => Route::CreateDatabase { tenant },
                _ => Route::MethodNotAllowed { allow: "GET,HEAD,POST" },
            }
        }
        ["tenants", tenant, "databases", database, rest @ ..] => {
            let (tenant, database) = (names.name(tenant, "tenant"), names.name(database, "database"));
            in_database(method, tenant, database, rest, names)
        }
        _ => Route::NotFound,
    }
}

fn in_database(method: &str, tenant: String, database: String, rest: &[&str], names: &mut Names) -> Route {
    match rest {
        [] => match method {
            "GET" => Route::GetDatabase { tenant, database },
            "DELETE" => Route::DropDatabase { tenant, database },
            _ => Route::MethodNotAllowed { allow: "GET,HEAD,DELETE" },
        },
        ["collections_count"] => only(method, "GET", GET, Route::CountCollections { tenant, database }),
        ["collections"] => match method {
            "GET" => Route::ListCollections { tenant, database },
            "POST" => Route::CreateCollection { tenant, database },
            _ => Route::MethodNotAllowed { allow: "POST,GET,HEAD" },
        },
        ["collections", "by-id", id] => {
            let id = names.name(id, "collection_id");
            only(method, "GET", GET, Route::GetCollectionById { tenant, database, id })
        }
        ["collections", collection] => {
            let collection = names.name(collection, "collection_id");
            match method {
                "GET" => Route::GetCollection { tenant, database, collection },
                "PUT" => Route::ModifyCollection { tenant, database, collection },
                "DELETE" => Route::DropCollection { tenant, database, collection },
                _ => Route::MethodNotAllowed { allow: "GET,HEAD,PUT,DELETE" },
            }
        }
        ["collections", collection, rest @ ..] => {
            in_collection(method, tenant, database, names.name(collection, "collection_id"), rest)
        }
        _ => Route::NotFound,
    }
}

fn in_collection(method: &str, tenant: String, database: String, collection: String, rest: &[&str]) -> Route {
    if let [segment] = rest
        && let Some(op) = RecordOp::of_segment(segment)
    {
        let route = Route::Records { tenant, database, collection, op };
        return match op {
            RecordOp::Count => only(method, "GET", GET, route),
            _ => only(method, "POST", POST, route),
        };
    }
    let unavailable = Route::Unavailable { tenant, database, collection, rest: rest.join("/") };
    match rest {
        ["search" | "fork"] | ["functions", "attach"] | ["attached_functions", _, "detach"] => {
            only(method, "POST", POST, unavailable)
        }
        ["fork_count" | "indexing_status"] | ["functions", _] => only(method, "GET", GET, unavailable),
        _ => Route::NotFound,
    }
}

fn only(method: &str, wanted: &str, allow: &'static str, route: Route) -> Route {
    if method == wanted { route } else { Route::MethodNotAllowed { allow } }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DB: &str = "/api/v2/tenants/t/databases/d";

    #[test]
    fn a_collection_called_like_an_operation_is_only_a_collection() {
        for collection in ["delete", "by-id", "collections", "add", "count"] {
            let (tenant, database) = ("t".to_owned(), "d".to_owned());
            let route = parse("DELETE", &format!("{DB}/collections/{collection}"));
            assert_eq!(route, Route::DropCollection { tenant, database, collection: collection.to_owned() });
        }
        let route = parse("POST", &format!("{DB}/collections/delete/get"));
        assert!(matches!(&route, Route::Records { op: RecordOp::Get, .. }) && !route.is_write());
    }

    #[test]
    fn a_blank_at_the_end_leads_nowhere_and_in_the_middle_is_a_name() {
        for path in ["/api/v2/", "//api/v2", "/api/v2//version", "/api/v1", "/api/v1/", "/", ""] {
            assert_eq!(parse("GET", path), Route::NotFound, "{path}");
        }
        assert_eq!(parse("GET", &format!("{DB}/collections/")), Route::NotFound);
        let (tenant, collection) = (String::new(), String::new());
        assert_eq!(parse("GET", "/api/v2/tenants//databases"), Route::ListDatabases { tenant });
        let (tenant, database) = ("t".to_owned(), "d".to_owned());
        let add = Route::Records { tenant, database, collection, op: RecordOp::Add };
        assert_eq!(parse("POST", &format!("{DB}/collections//add")), add);
    }

    #[test]
    fn a_wrong_method_is_told_before_a_name_that_is_none() {
        assert!(matches!(parse("GET", "/api/v2/tenants/%FF"), Route::Malformed(_)));
        assert!(matches!(parse("POST", "/api/v2/tenants/%FF"), Route::MethodNotAllowed { .. }));
        assert_eq!(parse("GET", "/api/v2/tenants/%FF/x"), Route::NotFound);
    }

    #[test]
    fn head_is_get_and_fixed_segments_are_not_decoded() {
        assert_eq!(parse("HEAD", "/api/v2/version"), Route::Version);
        assert_eq!(parse("GET", "/api/v2/%76ersion"), Route::NotFound);
        let tenant = "a/b c".to_owned();
        assert_eq!(parse("GET", "/api/v2/tenants/a%2Fb%20c"), Route::GetTenant { tenant });
    }

    #[test]
    fn the_writes_are_these() {
        let collection = format!("{DB}/collections/c");
        for (method, path) in [
            ("POST", "/api/v2/reset"),
            ("POST", "/api/v2/tenants"),
            ("PATCH", "/api/v2/tenants/t"),
            ("POST", "/api/v2/tenants/t/databases"),
            ("DELETE", DB),
            ("POST", &format!("{DB}/collections")),
            ("PUT", &collection),
            ("DELETE", &collection),
            ("POST", &format!("{collection}/add")),
            ("POST", &format!("{collection}/upsert")),
            ("POST", &format!("{collection}/update")),
            ("POST", &format!("{collection}/delete")),
        ] {
            assert!(parse(method, path).is_write(), "{method} {path}");
        }
        for (method, path) in [("GET", collection.clone()), ("POST", format!("{collection}/fork"))] {
            assert!(!parse(method, &path).is_write(), "{method} {path}");
        }
    }
}
