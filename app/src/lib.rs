//! The server as a program: settings, logging, the data dir, and the wiring of every adapter.

pub mod admin;
pub mod compose;
pub mod data_dir;
pub mod env;
pub mod identity;
pub mod keys;
pub mod logging;
pub mod readiness;
pub mod settings;
pub mod start_message;
pub mod tls;

use std::ffi::OsString;
use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use crate::settings::Wanted;

/// Exit code for settings that are refused.
const REFUSED: u8 = 2;

/// Runs the server until it is told to stop; `arguments` come without the program's name.
///
/// Exits with 0 after a drain, 1 when the server cannot run, 2 when the settings are refused.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let settings = match settings::load(arguments, environment) {
        Ok(Wanted::Serve(settings)) => settings,
        Ok(Wanted::Token(settings, subject)) => return done(admin::token(&settings, subject)),
        Ok(Wanted::Grant(settings, who)) => return done(admin::grant(&settings, &who)),
        Ok(Wanted::Open(settings)) => return done(admin::open(&settings)),
        Ok(Wanted::Help(help)) => return say(&help),
        Ok(Wanted::Version) => return say(&format!("opentacosvc {}\n", env!("CARGO_PKG_VERSION"))),
        Err(error) => return fail(&error, ExitCode::from(REFUSED)),
    };
    compose::start(*settings).unwrap_or_else(|error| {
        let refused = error.downcast_ref::<Refused>().is_some();
        fail(&format!("{error:#}"), if refused { ExitCode::from(REFUSED) } else { ExitCode::FAILURE })
    })
}

/// Settings that cannot be judged without looking into the storage, and are refused.
#[derive(Debug)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

fn done(said: anyhow::Result<String>) -> ExitCode {
    said.map_or_else(|error| fail(&format!("{error:#}"), ExitCode::FAILURE), |said| say(&said))
}

/// A reader that has gone away is no failure.
fn say(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn fail(message: &impl std::fmt::Display, code: ExitCode) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "opentacosvc: {message}");
    code
}
