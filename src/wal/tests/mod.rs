//! Stories of the log.

mod books;
mod crash;
mod engine;
mod faults;
mod formats;
mod grouping;
mod life;
mod recovery;
mod roster;
mod space;
mod spare;
mod support;
