//! The log of the process: to standard error, for a terminal or the journal.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Changes what is logged; the error says why not.
pub type SetLevel = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Starts logging what a filter such as `info` lets through.
pub fn start(level: &str) -> SetLevel {
    let subscriber = tracing_subscriber::fmt()
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::new(level))
        .with_filter_reloading();
    let handle = subscriber.reload_handle();
    subscriber.init();
    Box::new(move |level| handle.reload(EnvFilter::new(level)).map_err(|error| error.to_string()))
}
