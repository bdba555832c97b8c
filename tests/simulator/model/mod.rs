//! A model of one Chroma 1.5.9 server: its real semantics, as far as replication can meet them,
//! without I/O, clock or randomness of its own. `tests/model_vs_real.rs` holds it against a real server.

mod collection;
mod generate;
mod instance;
mod request;

pub(crate) use collection::Record;
pub(crate) use generate::Generator;
pub(crate) use instance::Instance;
pub(crate) use request::{Description, Filter, Kind, Metadata, Part, RealId, Request, Response, Value};
