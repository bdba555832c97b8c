//! A data directory for servers that hold data already, or that belonged to a cluster whose data directory is lost: what
//! they have in common is found, compared, and becomes the catalog. Done before the first start, while nobody writes.
//!
//! | room | job |
//! | --- | --- |
//! | `find` | which tenants, databases and collections the servers hold |
//! | `compare` | whether a collection is the same on two of them |
//! | `known` | what the instances keep of a catalog whose log is gone |
//! | `plan` | what the catalog will be, and what is copied again; carrying it out |
//!
//! Nothing on a server is altered but our own database, and databases that it lacks. Collections are copied by the
//! rebuild, after the first start.

mod compare;
mod find;
mod known;
mod plan;

pub use plan::{NotAdopted, Plan, Wish};
