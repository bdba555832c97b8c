//! The I/O around the core: its owner task, couriers to the instances, and the handle that others use.

pub mod handle;
