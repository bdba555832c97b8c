//! A model of one Chroma 1.5.9 server: its real semantics, as far as replication can meet them,
//! without I/O, clock or randomness of its own. `tests/model_vs_real.rs` holds it against a real server.

mod collection;
mod generate;
mod instance;
mod request;

pub use collection::Record;
pub use generate::Generator;
pub use instance::Instance;
pub use request::{Description, Filter, Kind, Metadata, Part, RealId, Request, Response, Value};
