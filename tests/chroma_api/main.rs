//! What `src/chroma` claims of Chroma, asked of a real server: the words of every refusal that we give in
//! its place, that what we call provable is never refused, that what we let through never harms it,
//! and that a spliced request does what its members would have done.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test stops at the first surprise"
)]
#![allow(clippy::disallowed_methods, reason = "a test blocks its own thread")]

mod bodies;
mod client;
mod collections;
mod deletes;
mod routes;
mod splicing;
mod words;
mod writes;

#[path = "../model_vs_real/server.rs"]
mod server;

/// The seed of a random test: `ISOCHROME_SEED`, else a fresh one; printed where a failure shows it.
fn random() -> fastrand::Rng {
    let given = std::env::var("ISOCHROME_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    println!("to run this again: ISOCHROME_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}
