//! The server.

use std::process::ExitCode;

use opentaco::env;

fn main() -> ExitCode {
    opentaco::run(env::arguments(), env::variables())
}
