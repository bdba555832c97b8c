//! A write as its sender sees it: its id, and that the same request is executed once.

pub(super) mod id;
pub(super) mod once;
pub mod outcome;
pub(super) mod prefer;
