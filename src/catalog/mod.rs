//! Collections, databases and tenants: their names, public ids, and real ids on each instance.
//! Pure; the same type serves the core, the gateway's view and the store's checkpoint.

pub mod change;
