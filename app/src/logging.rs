//! Log lines on standard error.

use std::io::IsTerminal as _;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::settings::LogFormat;

/// Starts logging with a level or a tracing filter; a second call changes nothing. What is returned writes the last lines
/// when it is dropped.
///
/// Lines are written by a thread of their own: when nobody reads standard error, they are lost, and the server goes on.
///
/// # Errors
/// When the filter cannot be parsed; settings have checked it before.
pub fn start(level: &str, format: LogFormat) -> Result<WorkerGuard, ParseError> {
    let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(level)?)
        .with_writer(writer)
        // It would go to standard error, too.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    // An error means that somebody logs already: a test, or a program that embeds this one.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(guard)
}
