//! What clients asked for and how it was answered.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::answer::Code;
use super::headers::ERROR_CODE;
use crate::chroma::route::{RecordOp, Route};
use crate::metrics::{Counter, Histogram, HistogramView};

/// Statuses that are told apart; any other counts as the last.
pub const STATUSES: [u16; 20] =
    [200, 201, 202, 204, 400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 429, 500, 501, 503, 507, 0];

/// Figures of all requests.
#[derive(Debug)]
pub struct Measures {
    operations: [Operation; Class::NAMES.len()],
    /// Our own errors, by code; those that are no code of the list count as the last.
    refusals: [Counter; Code::ALL.len() + 1],
}

#[derive(Debug)]
struct Operation {
    answered: [Counter; STATUSES.len()],
    durations: Histogram,
}

/// The figures of one class of requests.
#[derive(Clone, Debug)]
pub struct OperationView {
    pub name: &'static str,
    /// Answers by status; 0 stands for any that is not told apart. Without those that never came.
    pub answered: Vec<(u16, u64)>,
    /// From the request's head to the head of its answer, in microseconds.
    pub durations: HistogramView,
}

impl Default for Measures {
    fn default() -> Self {
        let operation = || Operation { answered: Default::default(), durations: Histogram::of_durations() };
        Self { operations: std::array::from_fn(|_| operation()), refusals: Default::default() }
    }
}

impl Measures {
    /// A request was answered.
    pub(super) fn answered(&self, class: Class, status: StatusCode, headers: &HeaderMap, took: Duration) {
        let operation = &self.operations[class as usize];
        operation.durations.record_duration(took);
        let status = status.as_u16();
        let place = STATUSES.iter().position(|one| *one == status).unwrap_or(STATUSES.len() - 1);
        operation.answered[place].add();
        if status >= 400
            && let Some(code) = headers.get(ERROR_CODE)
        {
            let place = Code::ALL.iter().position(|one| one.word().as_bytes() == code.as_bytes());
            self.refusals[place.unwrap_or(Code::ALL.len())].add();
        }
    }

    /// Every class of requests that came.
    #[must_use]
    pub fn operations(&self) -> Vec<OperationView> {
        let view = |(name, operation): (&&'static str, &Operation)| OperationView {
            name,
            answered: STATUSES
                .into_iter()
                .zip(operation.answered.iter().map(Counter::get))
                .filter(|(_, count)| *count > 0)
                .collect(),
            durations: operation.durations.view(),
        };
        let all = Class::NAMES.iter().zip(&self.operations).map(view);
        all.filter(|operation| !operation.answered.is_empty()).collect()
    }

    /// Our own errors by code.
    #[must_use]
    pub fn refusals(&self) -> Vec<(&'static str, u64)> {
        let words = Code::ALL.iter().map(|code| code.word()).chain(["OTHER"]);
        words.zip(self.refusals.iter().map(Counter::get)).collect()
    }
}

/// The class of a request; as many as a page of figures can bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    System,
    Reset,
    Tenant,
    Database,
    ListCollections,
    CountCollections,
    CreateCollection,
    GetCollection,
    ModifyCollection,
    DropCollection,
    Add,
    Upsert,
    Update,
    Delete,
    Count,
    Get,
    Query,
    Docs,
    V1,
    Unavailable,
    Unknown,
}

impl Class {
    /// The names that operators see, in the order above.
    const NAMES: [&'static str; Self::Unknown as usize + 1] = [
        "system",
        "reset",
        "tenant",
        "database",
        "list_collections",
        "count_collections",
        "create_collection",
        "get_collection",
        "modify_collection",
        "drop_collection",
        "add",
        "upsert",
        "update",
        "delete",
        "count",
        "get",
        "query",
        "docs",
        "v1",
        "unavailable",
        "unknown",
    ];

    /// Of a route.
    pub(super) fn of(route: &Route) -> Self {
        match route {
            Route::Heartbeat
            | Route::Healthcheck
            | Route::Version
            | Route::PreFlightChecks
            | Route::Identity => Self::System,
            Route::Reset => Self::Reset,
            Route::CreateTenant | Route::GetTenant { .. } | Route::ModifyTenant { .. } => Self::Tenant,
            Route::ListDatabases { .. }
            | Route::CreateDatabase { .. }
            | Route::GetDatabase { .. }
            | Route::DropDatabase { .. } => Self::Database,
            Route::ListCollections { .. } => Self::ListCollections,
            Route::CountCollections { .. } => Self::CountCollections,
            Route::CreateCollection { .. } => Self::CreateCollection,
            Route::GetCollection { .. } | Route::GetCollectionById { .. } => Self::GetCollection,
            Route::ModifyCollection { .. } => Self::ModifyCollection,
            Route::DropCollection { .. } => Self::DropCollection,
            Route::Records { op, .. } => Self::of_records(*op),
            Route::Docs => Self::Docs,
            Route::V1 => Self::V1,
            Route::Unavailable { .. } | Route::Crn { .. } => Self::Unavailable,
            Route::NotFound | Route::MethodNotAllowed { .. } | Route::Malformed(_) => Self::Unknown,
        }
    }

    fn of_records(op: RecordOp) -> Self {
        match op {
            RecordOp::Add => Self::Add,
            RecordOp::Upsert => Self::Upsert,
            RecordOp::Update => Self::Update,
            RecordOp::Delete => Self::Delete,
            RecordOp::Count => Self::Count,
            RecordOp::Get => Self::Get,
            RecordOp::Query => Self::Query,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chroma::route::parse;

    #[test]
    fn a_class_has_the_name_of_its_routes() {
        let records = "/api/v2/tenants/t/databases/d/collections/c";
        for (method, path, name) in [
            ("GET", "/api/v2/heartbeat", "system"),
            ("GET", "/api/v2/tenants/t", "tenant"),
            ("GET", records, "get_collection"),
            ("DELETE", records, "drop_collection"),
            ("POST", &format!("{records}/add"), "add"),
            ("POST", &format!("{records}/query"), "query"),
            ("GET", "/api/v1/heartbeat", "v1"),
            ("GET", "/nowhere", "unknown"),
        ] {
            assert_eq!(Class::NAMES[Class::of(&parse(method, path)) as usize], name, "{method} {path}");
        }
    }

    #[test]
    fn answers_are_counted_by_class_status_and_code() {
        let measures = Measures::default();
        let answer = |class, status: u16, headers: &HeaderMap| {
            let status = StatusCode::from_u16(status).unwrap();
            measures.answered(class, status, headers, Duration::from_millis(1));
        };
        let none = HeaderMap::new();
        answer(Class::Add, 201, &none);
        answer(Class::Add, 201, &none);
        answer(Class::Add, 418, &none);
        for code in [Code::Overloaded.word(), "SOMETHING_ELSE"] {
            let headers = HeaderMap::from_iter([(ERROR_CODE, code.parse().unwrap())]);
            answer(Class::Get, 503, &headers);
        }
        let operations = measures.operations();
        let told: Vec<_> = operations.iter().map(|one| (one.name, &one.answered[..])).collect();
        assert_eq!(told, [("add", &[(201, 2), (0, 1)][..]), ("get", &[(503, 2)][..])]);
        assert_eq!(operations[0].durations.count(), 3);
        let refusals = measures.refusals().into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>();
        assert_eq!(refusals, [("OVERLOADED", 1), ("OTHER", 1)]);
    }
}
