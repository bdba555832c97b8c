//! Stories of the log.

mod crash;
mod faults;
mod formats;
mod life;
mod recovery;
mod space;
mod support;
