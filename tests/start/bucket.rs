//! A bucket that cannot be used ends the start with 1, never with another storage, and says what to do.

use opentaco_tests::port::Held;
use opentaco_tests::seaweed::{Identity, Seaweed, variables};

use crate::program::Program;

const SECRET: &str = "hunter2-of-the-cloud";

/// `admin token`, which opens a bucket as a start does, with these variables.
fn opened(bucket: &str, variables: &[(String, String)]) -> Program {
    let args = ["admin", "token", "dev:ci", "-storage", "s3", "-s3-bucket", bucket, "-log-level", "trace"];
    variables.iter().fold(Program::new(&args), |program, (name, value)| program.env(name, value))
}

#[track_caller]
fn refused(program: &Program, words: &[&str]) {
    let ended = program.run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stdout, "", "no token");
    let last = ended.stderr.lines().last().unwrap();
    for word in words {
        assert!(last.contains(word), "{word:?} is not in {last}");
    }
    assert!(!ended.stderr.contains(SECRET), "{}", ended.stderr);
    assert!(!program.folder.path().join("opentaco-data").exists(), "nothing was made");
}

#[test]
fn a_bucket_that_nobody_answers_for_cannot_be_reached() {
    let held = Held::any();
    refused(&opened("states", &variables(held.port(), Identity::Admin)), &["states", "cannot be reached"]);
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let Some(seaweed) = Seaweed::find() else { return };
    refused(
        &opened("no-such-bucket", &seaweed.variables(Identity::Admin)),
        &["no-such-bucket", "does not exist"],
    );
}

#[test]
fn wrong_credentials_are_told_from_everything_else_and_never_shown() {
    let Some(seaweed) = Seaweed::find() else { return };
    let bucket = seaweed.bucket();
    let mut wrong = seaweed.variables(Identity::Admin);
    for (_, value) in wrong.iter_mut().filter(|(name, _)| name == "AWS_SECRET_ACCESS_KEY") {
        SECRET.clone_into(value);
    }
    refused(&opened(&bucket, &wrong), &[&bucket, "credentials", "AWS_SECRET_ACCESS_KEY"]);
}

#[test]
fn a_token_made_on_a_bucket_touches_nothing_here() {
    let Some(seaweed) = Seaweed::find() else { return };
    let program = opened(&seaweed.bucket(), &seaweed.variables(Identity::Admin));
    let ended = program.run();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("otc_tfe_"), "{ended:?}");
    assert!(!program.folder.path().join("opentaco-data").exists(), "nothing was made");
}
