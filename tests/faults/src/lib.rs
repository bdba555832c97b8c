//! I/O that fails when it is told to: a layer over SQLite's own file system, the gate that decides, and what would be left
//! on the disk without power.
//!
//! The layer becomes SQLite's default and passes everything on, except below a directory that a [`Gate`] watches.

mod gate;
mod images;
mod layer;

pub use gate::{Call, Fault, Gate, Way};
