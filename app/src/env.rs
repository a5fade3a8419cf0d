//! The process's environment and arguments: the only place that reads them.

use std::ffi::OsString;

/// Every variable of the environment.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn variables() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

/// The arguments without the program's name.
pub fn arguments() -> Vec<OsString> {
    std::env::args_os().skip(1).collect()
}
