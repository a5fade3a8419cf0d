//! Tokens that who holds the storage makes for others.

use opentaco_tests::client::Api;
use opentaco_tests::provider::{Provider, Reserved, variables};
use opentaco_tests::server::{Options, Server, free_port};
use reqwest::StatusCode;
use tempfile::TempDir;

use crate::program::{Ended, Program};

/// Runs `admin token` beside a server.
fn token(server: &Server, subject: &str) -> Ended {
    let data_dir = server.data_dir();
    Program::new(&["admin", "token", subject, "-data-dir", data_dir.to_str().expect("text")]).run()
}

/// The token that was printed, which must be all that was.
fn printed(ended: &Ended) -> &str {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let token = ended.stdout.strip_suffix('\n').expect("a line");
    assert!(token.starts_with("otc_tfe_") && !token.contains(char::is_whitespace), "{ended:?}");
    let secret = token.rsplit('_').next().expect("a secret");
    assert!(!ended.stderr.contains(secret), "it is shown once, on standard output");
    token
}

#[tokio::test]
async fn a_token_made_beside_a_running_server_acts_as_its_subject_at_once() {
    let server = Server::start(Options::local());
    let mut tokens = Vec::new();
    for (subject, name) in [("local:owner", "owner"), ("dev:ci", "ci"), ("oidc:auth0|17", "auth0|17")] {
        let ended = token(&server, subject);
        let api = Api::new(&server, printed(&ended));
        let caller = api.get("/account/details").await.expect(StatusCode::OK).json();
        assert_eq!(caller["data"]["attributes"]["username"], name);
        // Clients of this API take no colon in an id.
        let id = caller["data"]["id"].as_str().unwrap();
        assert!(
            id.starts_with("user-") && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
            "{id}"
        );
        tokens.push(printed(&ended).to_owned());
    }
    let again = token(&server, "dev:ci");
    assert!(!tokens.contains(&printed(&again).to_owned()), "each is another one");
}

#[tokio::test]
async fn a_token_can_be_made_before_the_first_start() {
    let program = Program::new(&["admin", "token", "dev:first"]);
    printed(&program.run());
    let made = program.folder.path().join("opentaco-data");
    for (file, why) in [("keys", "it signs nothing"), ("tls", "it serves nobody")] {
        assert!(!made.join(file).exists(), "{file}: {why}");
    }
}

#[test]
fn what_is_no_command_or_no_subject_is_refused_and_makes_nothing() {
    for (args, words) in [
        (&["admin"][..], "admin token SUBJECT"),
        (&["admin", "token"], "admin token SUBJECT"),
        (&["admin", "tokens", "dev:a"], "admin token SUBJECT"),
        (&["admin", "token", "alice"], "dev:NAME"),
        (&["admin", "token", "alice@example.com"], "dev:NAME"),
        (&["admin", "token", "dev:a b"], "dev:NAME"),
        (&["admin", "token", "dev:a", "-storage", "memory"], "gone at once"),
        (&["nonsense"], "nonsense"),
    ] {
        Program::new(args).refused(&[words]);
    }
    let help = Program::new(&["-help"]).run().stdout;
    assert!(help.contains("admin token SUBJECT"), "{help}");
}

#[test]
fn a_server_on_a_bucket_does_not_start_without_shared_keys_or_with_unchecked_logins() {
    let bucket = ["-storage", "s3", "-s3-bucket", "states"];
    let secrets = |program: Program| {
        program.env("AWS_ACCESS_KEY_ID", "id-of-the-key").env("AWS_SECRET_ACCESS_KEY", "hunter2")
    };
    let said = secrets(Program::new(&bucket)).refused(&[
        "OPENTACO_TOKENS_PRIVATE_KEY_PEM_PATH",
        "openssl genpkey -algorithm ed25519",
        "OPENTACO_OAUTH_STATE_KEY",
        "openssl rand -base64 32",
    ]);
    assert!(!said.contains("hunter2") && !said.contains("id-of-the-key"), "{said}");
    secrets(Program::new(&bucket))
        .env("OPENTACO_AUTH_DEV_SKIP_VERIFY", "true")
        .refused(&["OPENTACO_AUTH_DEV_SKIP_VERIFY", "s3"]);
    Program::new(&bucket[..2]).refused(&["OPENTACO_S3_BUCKET"]);
    Program::new(&bucket[2..]).refused(&["-s3-bucket", "OPENTACO_STORAGE=s3"]);
}

/// An installation whose people log in at a provider, which has not been started yet.
struct Installation {
    data: TempDir,
    provider: Reserved,
}

impl Installation {
    fn new() -> Self {
        Self { data: tempfile::tempdir().unwrap(), provider: Provider::reserve() }
    }

    fn program(&self, args: &[&str], settings: &[(&str, &str)]) -> Program {
        let data = ["-storage", "local", "-data-dir", self.data.path().to_str().unwrap()];
        let told = variables(&self.provider.issuer());
        let program = Program::new(&[args, &data].concat());
        let program = told.iter().fold(program, |program, (name, value)| program.env(name, value));
        settings.iter().fold(program, |program, (name, value)| program.env(name, value))
    }

    /// Demands that it starts with these settings more.
    fn starts(&self, settings: &[(&str, &str)]) {
        let port = free_port();
        self.program(&["-port", &port.to_string()], settings).spawn().ready(port);
    }

    /// Demands that it does not start with these settings more, and that the message says what would help, and nothing
    /// that would not.
    fn is_refused(&self, settings: &[(&str, &str)], may_name_administrators: bool) {
        let ended = self.program(&["-port", "0"], settings).run();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
        for words in [
            "everybody the provider knows could do everything",
            "OPENTACO_AUTH_ALLOWED_DOMAINS=",
            "OPENTACO_AUTH_ALLOWED_GROUPS=",
            "* for all",
            "opentacosvc admin grant ",
        ] {
            assert!(ended.stderr.contains(words), "{words:?} is not in {}", ended.stderr);
        }
        let offers_admins = ended.stderr.contains("OPENTACO_ADMINS=");
        assert_eq!(offers_admins, may_name_administrators, "{}", ended.stderr);
        assert_eq!(ended.stderr.trim_end().lines().count(), 1, "one message: {}", ended.stderr);
        assert!(!ended.stderr.contains("  "), "a sentence and no gap: {}", ended.stderr);
    }

    fn admin(&self, args: &[&str]) -> String {
        let ended = self.program(&[&["admin"], args].concat(), &[]).run();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    }
}

#[test]
fn a_provider_whose_people_could_do_everything_is_refused_until_somebody_says_who_may() {
    for settings in [
        ("OPENTACO_ADMINS", "alice@example.com"),
        ("OPENTACO_AUTH_ALLOWED_DOMAINS", "example.com"),
        ("OPENTACO_AUTH_ALLOWED_DOMAINS", "*"),
        ("OPENTACO_AUTH_ALLOWED_GROUPS", "ops"),
    ] {
        let installation = Installation::new();
        installation.is_refused(&[], true);
        installation.starts(&[settings]);
    }
}

#[test]
fn an_administrator_who_was_made_beside_the_server_lets_it_start_until_it_is_opened() {
    let installation = Installation::new();
    installation.is_refused(&[], true);
    let said = installation.admin(&["grant", "Alice@Example.com"]);
    assert!(said.contains("access control is on") && said.contains("alice@example.com"), "{said}");
    installation.starts(&[]);
    let said = installation.admin(&["open"]);
    assert!(said.contains("access control is off"), "{said}");
    // Administrators in the settings count at the first start alone, so they are no way out any more.
    installation.is_refused(&[], false);
    installation.is_refused(&[("OPENTACO_ADMINS", "alice@example.com")], false);
    installation.starts(&[("OPENTACO_AUTH_ALLOWED_DOMAINS", "*")]);
    installation.admin(&["grant", "oidc:17"]);
    installation.starts(&[]);
}

#[test]
fn administrators_of_the_first_start_are_written_down() {
    let installation = Installation::new();
    installation.starts(&[("OPENTACO_ADMINS", "oidc:17")]);
    installation.starts(&[]);
}

#[test]
fn commands_of_an_administrator_take_one_subject_and_no_other_word() {
    for (args, words) in [
        (&["admin", "grant"][..], "admin grant SUBJECT"),
        (&["admin", "grant", "alice"], "alice"),
        (&["admin", "grant", "a@b", "c@d"], "admin grant SUBJECT"),
        (&["admin", "open", "alice@example.com"], "admin open"),
        (&["admin", "grant", "alice@example.com", "-storage", "memory"], "gone at once"),
        (&["admin", "open", "-storage", "memory"], "gone at once"),
    ] {
        Program::new(args).refused(&[words]);
    }
}
