//! Order of the layers, every kind of error, and secrets that stay secret.

mod identity;
mod trust;

use std::collections::BTreeSet;
use std::error::Error;
use std::io;

use super::*;

type TestResult = Result<(), Box<dyn Error>>;

/// Loads from a command line, `NAME=value` pairs and the text of a settings file.
fn load_from(arguments: &str, environment: &[&str], file: Option<&str>) -> Result<Wanted, SettingsError> {
    let arguments = arguments.split_whitespace().map(OsString::from);
    let environment = environment.iter().filter_map(|pair| pair.split_once('='));
    let environment: Vec<_> =
        environment.map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
    let variables = aws_variables(&environment);
    let read = |_: &Path| file.map(str::to_owned).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
    wanted(merge(arguments, environment, read)?, variables)
}

fn settings(arguments: &str, environment: &[&str], file: Option<&str>) -> Result<Settings, Box<dyn Error>> {
    match load_from(arguments, environment, file)? {
        Wanted::Serve(settings) => Ok(*settings),
        other => Err(format!("{other:?}").into()),
    }
}

fn refusal(arguments: &str, environment: &[&str], file: Option<&str>) -> String {
    load_from(arguments, environment, file)
        .map_or_else(|error| error.to_string(), |wanted| format!("{wanted:?}"))
}

#[test]
fn with_nothing_set_the_defaults_hold() -> TestResult {
    let settings = settings("", &["PATH=/bin"], None)?;
    assert_eq!(settings.listen, Listen { host: "localhost".to_owned(), port: 8080 });
    assert_eq!(settings.storage, Storage::Local);
    assert_eq!(settings.data_dir, Path::new("./opentaco-data"));
    assert_eq!(settings.tls, Tls::Development);
    assert_eq!(settings.max_state_bytes, 512 * 1024 * 1024);
    assert_eq!(settings.drain_timeout, Duration::from_secs(25));
    assert_eq!(settings.terraform_token_ttl, None);
    assert!(!settings.auth_dev_skip_verify && settings.oauth_state_key.is_empty());
    Ok(())
}

#[test]
fn flag_beats_environment_beats_file_beats_default() -> TestResult {
    let file = Some("drain_timeout = '3s'\nmax_state_bytes = 3\nlog_level = 'error'\n");
    let environment = ["OPENTACO_CONFIG=x.toml", "OPENTACO_DRAIN_TIMEOUT=2s", "OPENTACO_MAX_STATE_BYTES=2"];
    let settings = settings("-drain-timeout 1s", &environment, file)?;
    assert_eq!(settings.drain_timeout, Duration::from_secs(1));
    assert_eq!(settings.max_state_bytes, 2);
    assert_eq!(settings.log_level, "error");
    assert_eq!(settings.log_format, LogFormat::Text);
    Ok(())
}

#[test]
fn flags_take_one_dash_or_two() -> TestResult {
    for arguments in ["-storage memory", "--storage memory", "-storage=memory", "--storage=memory"] {
        assert_eq!(settings(arguments, &[], None)?.storage, Storage::Memory, "{arguments}");
    }
    assert_eq!(load_from("-version", &[], None)?, Wanted::Version);
    assert_eq!(load_from("--version", &[], None)?, Wanted::Version);
    for arguments in ["-help", "--help", "-h"] {
        let Wanted::Help(help) = load_from(arguments, &[], None)? else { return Err(arguments.into()) };
        for row in TABLE {
            assert!(help.contains(&format!("--{}", row.flag)) && help.contains(row.env), "{}", row.key);
        }
    }
    Ok(())
}

#[test]
fn a_port_changes_the_port_alone() -> TestResult {
    let listen = |arguments, environment: &[&str]| {
        settings(arguments, environment, None).map(|it| it.listen.to_string())
    };
    assert_eq!(listen("-port 9000", &[])?, "localhost:9000");
    assert_eq!(listen("", &["OPENTACO_LISTEN=0.0.0.0:8080", "OPENTACO_PORT=9000"])?, "0.0.0.0:9000");
    assert_eq!(listen("-listen [::1]:81", &["OPENTACO_PORT=9000"])?, "[::1]:81");
    Ok(())
}

#[test]
fn tls_auto_is_decided_by_who_can_connect() -> TestResult {
    let tls = |arguments| settings(arguments, &[], None).map(|settings| settings.tls);
    assert_eq!(tls("-listen 127.0.0.1:1")?, Tls::Development);
    assert_eq!(tls("-listen 0.0.0.0:1")?, Tls::Off);
    assert_eq!(tls("-public-base-url https://taco.example.com")?, Tls::Off);
    assert_eq!(tls("-tls dev -listen 0.0.0.0:1")?, Tls::Development);
    assert_eq!(tls("-tls off")?, Tls::Off);
    assert!(matches!(tls("-tls files -tls-cert-path a -tls-key-path b")?, Tls::Files { .. }));
    assert!(refusal("-tls files -tls-key-path b", &[], None).contains("OPENTACO_TLS_CERT_PATH"));
    assert!(refusal("-tls-key-path b", &[], None).contains("OPENTACO_TLS=files"));
    Ok(())
}

/// Everything that a server on a bucket needs.
const S3: [&str; 4] = [
    "OPENTACO_STORAGE=s3",
    "OPENTACO_S3_BUCKET=states",
    "OPENTACO_TOKENS_PRIVATE_KEY_PEM_PATH=key.pem",
    "OPENTACO_OAUTH_STATE_KEY=0123456789abcdef0123456789abcdef",
];

#[test]
fn a_bucket_is_named_and_its_credentials_are_passed_on_unseen() -> TestResult {
    let aws = ["AWS_ACCESS_KEY_ID=id-of-the-key", "AWS_SECRET_ACCESS_KEY=hunter2", "HOME=/x"];
    let settings = settings("-s3-prefix team/a -s3-region eu-west-1", &[&S3[..], &aws].concat(), None)?;
    let Storage::S3(s3) = &settings.storage else { return Err("no bucket".into()) };
    assert_eq!((s3.bucket.as_str(), s3.region.as_deref()), ("states", Some("eu-west-1")));
    assert_eq!(settings.storage.to_string(), "s3://states/team/a");
    let names: Vec<&str> = s3.variables.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
    let shown = format!("{settings:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("id-of-the-key"), "{shown}");
    Ok(())
}

#[test]
fn a_bucket_goes_with_s3_alone_and_s3_with_a_bucket() {
    assert!(refusal("-storage s3", &[], None).starts_with("OPENTACO_S3_BUCKET: must be set"));
    for arguments in ["-s3-bucket x", "-s3-prefix x", "-s3-region x -storage memory"] {
        assert!(refusal(arguments, &[], None).contains("OPENTACO_STORAGE=s3"), "{arguments}");
    }
    for (arguments, named) in [
        ("-s3-bucket a/b", "-s3-bucket"),
        ("-s3-prefix /a", "-s3-prefix"),
        ("-s3-prefix a/../b", "-s3-prefix"),
        ("-s3-prefix a//b", "-s3-prefix"),
        ("-s3-region eu/west", "-s3-region"),
    ] {
        assert!(refusal(arguments, &S3, None).starts_with(named), "{arguments}");
    }
}

#[test]
fn servers_on_a_bucket_share_their_keys_and_are_for_nobody_who_is_not_checked() {
    let both = refusal("-storage s3 -s3-bucket states", &[], None);
    for part in ["OPENTACO_TOKENS_PRIVATE_KEY_PEM_PATH", "openssl genpkey -algorithm ed25519"] {
        assert!(both.contains(part), "{part} is not in {both}");
    }
    for part in ["OPENTACO_OAUTH_STATE_KEY", "openssl rand -base64 32", "s3://states"] {
        assert!(both.contains(part), "{part} is not in {both}");
    }
    let one = refusal("", &S3[..3], None);
    assert!(one.starts_with("OPENTACO_OAUTH_STATE_KEY: "), "{one}");
    assert!(refusal("-auth-dev-skip-verify true", &S3, None).contains("not accepted with storage s3"));
}

#[test]
fn a_token_can_be_asked_for_with_the_same_settings() -> TestResult {
    for arguments in ["admin token dev:ci -data-dir x", "-data-dir x admin token dev:ci"] {
        match load_from(arguments, &[], None)? {
            Wanted::Token(settings, subject) => {
                assert_eq!((settings.data_dir, subject.as_str()), (PathBuf::from("x"), "dev:ci"));
            }
            other => return Err(format!("{other:?}").into()),
        }
    }
    // It signs nothing, so it needs no keys.
    assert!(matches!(load_from("admin token local:owner", &S3[..2], None)?, Wanted::Token(..)));
    for (arguments, words) in [
        ("admin", "opentacosvc admin token SUBJECT"),
        ("admin token", "opentacosvc admin token SUBJECT"),
        ("admin token a b", "opentacosvc admin token SUBJECT"),
        ("admin revoke x", "opentacosvc admin token SUBJECT"),
        ("admin token alice@example.com", "local:owner, dev:NAME or oidc:SUB"),
        ("admin token dev:", "local:owner, dev:NAME or oidc:SUB"),
        ("admin token dev:ci -storage memory", "gone at once"),
        ("serve", "there is no command or argument \"serve\""),
    ] {
        let refused = refusal(arguments, &[], None);
        assert!(refused.contains(words), "{arguments}: {refused}");
    }
    Ok(())
}

#[test]
fn access_control_can_be_switched_beside_the_servers() -> TestResult {
    for (subject, is_email) in [("alice@example.com", true), ("oidc:alice", false), ("dev:alice", false)] {
        let Wanted::Grant(settings, principal) =
            load_from(&format!("admin grant {subject} -data-dir x"), &[], None)?
        else {
            return Err(subject.into());
        };
        assert_eq!((settings.data_dir, principal.to_string()), (PathBuf::from("x"), subject.to_owned()));
        assert_eq!(matches!(principal, Principal::Email(_)), is_email);
    }
    // They sign nothing, so they need no keys.
    assert!(matches!(load_from("admin grant local:owner", &S3[..2], None)?, Wanted::Grant(..)));
    assert!(matches!(load_from("admin open", &S3[..2], None)?, Wanted::Open(_)));
    let commands = "the commands are: opentacosvc admin token SUBJECT, opentacosvc admin grant SUBJECT and opentacosvc admin open; opentacosvc -help lists every setting";
    for arguments in ["admin", "admin grant", "admin grant a b", "admin open x", "admin close"] {
        assert_eq!(refusal(arguments, &[], None), commands, "{arguments}");
    }
    for (arguments, message) in [
        (
            "admin grant ci:github:repo",
            "\"ci:github:repo\" is a workload, which has the rights that its [[trust]] rule gives and cannot be an administrator",
        ),
        ("admin grant alice", "\"alice\" is nobody; name a verified e-mail address"),
        ("admin grant ldap:alice@example.com", "\"ldap:alice@example.com\" is nobody"),
        ("admin grant oidc:x -storage memory", "with -storage memory the grant would be gone at once"),
        ("admin open -storage memory", "with -storage memory the change would be gone at once"),
    ] {
        let refused = refusal(arguments, &[], None);
        assert!(refused.starts_with(message), "{arguments}: {refused}");
    }
    let Wanted::Help(help) = load_from("-help", &[], None)? else { return Err("no help".into()) };
    for part in ["admin token SUBJECT", "admin grant SUBJECT", "admin open", "[[trust]]"] {
        assert!(help.contains(part), "{part} is not in {help}");
    }
    Ok(())
}

#[test]
fn a_value_that_is_not_accepted_is_named_with_what_is() {
    let storage = refusal("-storage gcs", &[], None);
    for part in ["-storage", "from the command line", "\"gcs\"", "memory, local or s3", "does not have gcs"] {
        assert!(storage.contains(part), "{part} is not in: {storage}");
    }
    assert!(
        refusal("", &["OPENTACO_STORAGE=gcs"], None)
            .contains("OPENTACO_STORAGE (from the environment) is \"gcs\"")
    );
    let file = refusal("-config x.toml", &[], Some("storage = 'azure'"));
    assert!(file.contains("storage (from x.toml) is \"azure\""), "{file}");
    for (name, value) in [
        ("LISTEN", "8080"),
        ("LISTEN", "::1:8080"),
        ("PORT", "70000"),
        ("STORAGE", ""),
        ("TLS", "on"),
        ("PUBLIC_BASE_URL", "taco.example.com"),
        ("PUBLIC_BASE_URL", "https://taco.example.com/path"),
        ("PUBLIC_BASE_URL", "https://me@taco.example.com"),
        ("TOKENS_KID", "a b"),
        ("TOKENS_ACCESS_TTL", "0s"),
        ("TOKENS_REFRESH_TTL", "a while"),
        ("TERRAFORM_TOKEN_TTL", "0s"),
        ("TERRAFORM_TOKEN_TTL", "soon"),
        ("AUTH_DEV_SKIP_VERIFY", "perhaps"),
        ("MAX_STATE_BYTES", "0"),
        ("MAX_STATE_BYTES", "99999999999999GiB"),
        ("MAX_STATE_BYTES", "5 apples"),
        ("DRAIN_TIMEOUT", "25"),
        ("LOG_LEVEL", "verbose"),
        ("LOG_FORMAT", "xml"),
    ] {
        let message = refusal("", &[&format!("OPENTACO_{name}={value}")], None);
        let expected = format!("OPENTACO_{name} (from the environment) is {value:?}; accepted: ");
        assert!(message.starts_with(&expected), "{message}");
    }
    assert!(refusal("-config x.toml", &[], Some("storage = ['local']")).contains("storage (from x.toml)"));
}

#[test]
fn values_are_read_as_people_write_them() -> TestResult {
    let ttl = |text: &str| settings("", &[&format!("OPENTACO_TERRAFORM_TOKEN_TTL={text}")], None);
    for (text, seconds) in [("90s", 90), ("15m", 900), ("1h30m", 5400), ("30d", 30 * 86_400)] {
        assert_eq!(ttl(text)?.terraform_token_ttl, Some(Duration::from_secs(seconds)), "{text}");
    }
    let size = |text: &str| settings("", &[&format!("OPENTACO_MAX_STATE_BYTES={text}")], None);
    for (text, bytes) in [("1024", 1024), ("512MiB", 512 << 20), ("1 GiB", 1 << 30), ("5mb", 5_000_000)] {
        assert_eq!(size(text)?.max_state_bytes, bytes, "{text}");
    }
    let level = |text: &str| settings("", &[&format!("OPENTACO_LOG_LEVEL={text}")], None);
    for (text, level_text) in
        [("WARN", "warn"), ("Debug", "debug"), ("info,opentaco=debug", "info,opentaco=debug")]
    {
        assert_eq!(level(text)?.log_level, level_text);
    }
    assert_eq!(settings("-config x", &[], Some("port = 81\nauth_dev_skip_verify = true"))?.listen.port, 81);
    Ok(())
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest_one() {
    let message = refusal("-storag local", &[], None);
    assert_eq!(message, "unknown flag -storag; did you mean -storage?");
    let message = refusal("", &["OPENTACO_DATA_DIRECTORY=x"], None);
    assert_eq!(
        message,
        "unknown environment variable OPENTACO_DATA_DIRECTORY; did you mean OPENTACO_DATA_DIR?"
    );
    let message = refusal("-config x.toml", &[], Some("data-dir = 'x'"));
    assert_eq!(message, "unknown key in x.toml: data-dir; did you mean data_dir?");
    assert!(refusal("-xyzzyplugh 1", &[], None).contains("-help lists"));
    assert!(
        refusal("-config x.toml", &[], Some("[storage]\nkind = 'local'"))
            .starts_with("storage (from x.toml)")
    );
}

#[test]
fn variables_of_others_are_left_alone() -> TestResult {
    let environment = [
        "OPENTACO_SERVER=https://x",
        "OPENTACO_TOKEN=secret",
        "OPENTACO_SERVICE_HOST=10.0.0.1",
        "OPENTACO_SERVICE_PORT=80",
        "OPENTACO_SERVICE_PORT_HTTP=80",
        "OPENTACO_PORT=tcp://10.0.0.1:80",
        "OPENTACO_PORT_80_TCP=tcp://10.0.0.1:80",
        "OPENTACO_PORT_80_TCP_ADDR=10.0.0.1",
    ];
    assert_eq!(settings("", &environment, None)?.listen.port, 8080);
    Ok(())
}

#[test]
fn a_command_line_that_makes_no_sense_is_named() {
    for (arguments, part) in [
        ("-storage", "-storage needs a value"),
        ("-storage local -storage memory", "-storage is given more than once"),
        ("serve", "\"serve\""),
    ] {
        let message = refusal(arguments, &[], None);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_never_quoted() {
    assert!(refusal("-config gone.toml", &[], None).starts_with("the settings file gone.toml: "));
    let message = refusal("-config x.toml", &[], Some("oauth_state_key = \"hunter2hunter2"));
    assert!(message.starts_with("the settings file x.toml: ") && !message.contains("hunter2"), "{message}");
}

#[test]
fn secrets_are_never_printed() -> TestResult {
    let key = "correct-horse-battery-staple-0123456789";
    let settings = settings("", &[&format!("OPENTACO_OAUTH_STATE_KEY={key},{key}")], None)?;
    assert_eq!(settings.oauth_state_key.iter().map(Secret::expose).collect::<Vec<_>>(), [key, key]);
    assert!(!format!("{settings:?}").contains(key));
    for (arguments, environment, file) in [
        ("", vec!["OPENTACO_OAUTH_STATE_KEY=hunter2"], None),
        ("-oauth-state-key hunter2", vec![], None),
        ("-oauth-state-key=hunter2 -oauth-state-key=hunter2", vec![], None),
        ("-config x", vec![], Some("oauth_state_key = 'hunter2'")),
        ("-config x", vec![], Some("oauth_state_key = ['hunter2']")),
    ] {
        let message = refusal(arguments, &environment, file);
        assert!(message.to_lowercase().contains("state") && !message.contains("hunter2"), "{message}");
    }
    Ok(())
}

#[test]
fn what_is_for_development_stays_on_this_machine() -> TestResult {
    let sample = "OPENTACO_OAUTH_STATE_KEY=k8s3m9xP2vQ7wE1rT6yU4iO5pL0aSd8fG3hJ9nB2cV5m";
    let skip = "OPENTACO_AUTH_DEV_SKIP_VERIFY=true";
    for setting in [sample, skip] {
        settings("", &[setting], None)?;
        settings("-listen [::1]:1 -public-base-url http://localhost:1", &[setting], None)?;
        for arguments in ["-listen 0.0.0.0:8080", "-public-base-url https://taco.example.com"] {
            let message = refusal(arguments, &[setting], None);
            let name = setting.split('=').next().unwrap_or_default();
            assert!(message.starts_with(name) && !message.contains("k8s3m9xP"), "{message}");
        }
    }
    Ok(())
}

#[test]
fn every_row_has_names_of_its_own() {
    let count = |name: fn(&Row) -> &'static str| TABLE.iter().map(name).collect::<BTreeSet<_>>().len();
    assert_eq!([count(|row| row.key), count(|row| row.flag), count(|row| row.env)], [TABLE.len(); 3]);
    for row in TABLE {
        assert_eq!(row.flag, row.key.replace('_', "-"));
        assert_eq!(row.env, format!("OPENTACO_{}", row.key.to_ascii_uppercase()));
    }
}
