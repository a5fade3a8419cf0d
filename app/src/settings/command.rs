//! What the words of the command line ask for.

use opentaco_domain::actor::Subject;
use opentaco_domain::principal::Principal;

use super::error::SettingsError;

/// The words, as `-help` explains them.
pub(super) const HELP: &str = "\
nothing to serve, or one of:
admin token SUBJECT: make an API token; SUBJECT is local:owner, dev:NAME or oidc:SUB
admin grant SUBJECT: switch access control on with an administrator, who may also be a verified e-mail address
admin open: switch access control off";

/// What the words of the command line ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// No words: serve.
    Serve,
    /// Make an API token for somebody.
    Token(Subject),
    /// Make somebody administrator.
    Grant(Principal),
    /// Switch access control off.
    Open,
}

impl Command {
    pub(super) fn read(words: &[String]) -> Result<Self, SettingsError> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            [] => Ok(Self::Serve),
            ["admin", "token", subject] => subject
                .parse()
                .ok()
                .filter(|subject: &Subject| !subject.is_workload())
                .map(Self::Token)
                .ok_or_else(|| {
                    usage("a subject is local:owner, dev:NAME or oidc:SUB: opentacosvc admin token SUBJECT")
                }),
            ["admin", "grant", subject] => principal(subject).map(Self::Grant),
            ["admin", "open"] => Ok(Self::Open),
            ["admin", ..] => Err(usage(
                "the commands are: opentacosvc admin token SUBJECT, opentacosvc admin grant SUBJECT and opentacosvc admin open",
            )),
            [word, ..] => Err(usage(format!("there is no command or argument {word:?}"))),
        }
    }
}

fn principal(text: &str) -> Result<Principal, SettingsError> {
    if text.starts_with("ci:") {
        return Err(usage(format!(
            "{text:?} is a workload, which has the rights that its [[trust]] rule gives and cannot be an administrator"
        )));
    }
    text.parse().map_err(|bad| usage(format!("{text:?} is nobody; {bad}: opentacosvc admin grant SUBJECT")))
}

fn usage(message: impl Into<String>) -> SettingsError {
    SettingsError::Usage(message.into())
}
