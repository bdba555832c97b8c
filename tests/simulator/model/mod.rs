//! A model of one Chroma 1.5.9 server: its real semantics, as far as replication can meet them,
//! without I/O, clock or randomness of its own. `tests/model_vs_real.rs` holds it against a real server.

#![allow(
    dead_code,
    unused_imports,
    reason = "each of the two tests that stand on the model uses a part of it"
)]

mod collection;
mod generate;
mod instance;
mod request;

pub(crate) use collection::{Collection, Record};
pub(crate) use generate::Generator;
pub(crate) use instance::{BROKEN_INDEX, DEFAULT_DATABASE, Instance};
pub(crate) use request::{Description, Filter, Kind, Metadata, Part, RealId, Request, Response, Value};
