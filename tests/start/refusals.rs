//! What stops a start, and what it says then.

use std::net::{Ipv4Addr, TcpListener};

use crate::program::{Program, get};
use opentaco_tests::server::free_port;

#[test]
fn an_unknown_name_is_refused_and_the_nearest_one_offered() {
    Program::new(&["-storrage", "local"]).refused(&["-storrage", "-storage"]);
    Program::new(&["--nonsense=1"]).refused(&["-nonsense"]);
    Program::new(&["serve"]).refused(&["serve"]);
    Program::new(&[]).env("OPENTACO_STORRAGE", "local").refused(&["OPENTACO_STORRAGE", "OPENTACO_STORAGE"]);
    Program::new(&[]).file("storrage = \"local\"").refused(&["storrage", "settings.toml"]);
    Program::new(&[]).file("[listen]\nport = 1").refused(&["listen"]);
}

#[test]
fn a_bad_value_is_refused_with_its_setting_and_what_is_accepted() {
    for (flag, env, value, accepted) in [
        ("storage", "OPENTACO_STORAGE", "disk", "memory"),
        ("storage", "OPENTACO_STORAGE", "Local", "memory"),
        ("listen", "OPENTACO_LISTEN", "8080", "HOST:PORT"),
        ("listen", "OPENTACO_LISTEN", "localhost:99999", "HOST:PORT"),
        ("listen", "OPENTACO_LISTEN", "::1:8080", "HOST:PORT"),
        ("port", "OPENTACO_PORT", "-1", "65535"),
        ("port", "OPENTACO_PORT", "http", "65535"),
        ("tls", "OPENTACO_TLS", "on", "auto"),
        ("public-base-url", "OPENTACO_PUBLIC_BASE_URL", "localhost", "URL"),
        ("public-base-url", "OPENTACO_PUBLIC_BASE_URL", "https://x/path", "URL"),
        ("tokens-access-ttl", "OPENTACO_TOKENS_ACCESS_TTL", "0s", "30d"),
        ("tokens-refresh-ttl", "OPENTACO_TOKENS_REFRESH_TTL", "soon", "30d"),
        ("trusted-proxies", "OPENTACO_TRUSTED_PROXIES", "everybody", "10.0.0.0/8"),
        ("tokens-verify-pem-paths", "OPENTACO_TOKENS_VERIFY_PEM_PATHS", "v1=", "KID=PATH"),
        ("terraform-token-ttl", "OPENTACO_TERRAFORM_TOKEN_TTL", "soon", "30d"),
        ("terraform-token-ttl", "OPENTACO_TERRAFORM_TOKEN_TTL", "0s", "30d"),
        ("auth-dev-skip-verify", "OPENTACO_AUTH_DEV_SKIP_VERIFY", "maybe", "true"),
        ("max-state-bytes", "OPENTACO_MAX_STATE_BYTES", "0", "64MiB"),
        ("max-state-bytes", "OPENTACO_MAX_STATE_BYTES", "lots", "64MiB"),
        ("drain-timeout", "OPENTACO_DRAIN_TIMEOUT", "25", "15m"),
        ("log-level", "OPENTACO_LOG_LEVEL", "loud", "debug"),
        ("log-format", "OPENTACO_LOG_FORMAT", "xml", "json"),
    ] {
        let flag_set = format!("-{flag}={value}");
        Program::new(&[&flag_set]).refused(&[flag, value, accepted]);
        Program::new(&[]).env(env, value).refused(&[env, value, accepted]);
        let key = flag.replace('-', "_");
        Program::new(&[]).file(&format!("{key} = \"{value}\"")).refused(&[&key, value, accepted]);
    }
    Program::new(&["-storage"]).refused(&["-storage"]);
    Program::new(&["-storage", "memory", "-storage", "local"]).refused(&["-storage"]);
}

#[test]
fn storage_that_this_version_lacks_is_refused_and_never_replaced() {
    for storage in ["gcs", "azure"] {
        Program::new(&["-storage", storage]).refused(&["storage", storage, "memory", "local"]);
    }
}

#[test]
fn a_secret_is_not_printed_when_it_is_refused() {
    let said = Program::new(&[])
        .env("OPENTACO_OAUTH_STATE_KEY", "too-short")
        .refused(&["OPENTACO_OAUTH_STATE_KEY", "32"]);
    assert!(!said.contains("too-short"), "{said}");
    let said = Program::new(&[]).file("oauth_state_key = \"too-short\"\nx = ").refused(&["settings.toml"]);
    assert!(!said.contains("too-short"), "{said}");
}

#[test]
fn a_settings_file_that_cannot_be_read_is_refused() {
    Program::new(&["-config", "nowhere.toml"]).refused(&["nowhere.toml"]);
    Program::new(&["-config", "."]).refused(&["settings file"]);
    Program::new(&[]).file("storage = ").refused(&["settings.toml"]);
}

#[test]
fn the_development_login_never_leaves_this_machine() {
    let loose = || Program::new(&[]).env("OPENTACO_AUTH_DEV_SKIP_VERIFY", "true");
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080", "example.com:8080"] {
        loose().env("OPENTACO_LISTEN", listen).refused(&["OPENTACO_AUTH_DEV_SKIP_VERIFY", "loopback"]);
    }
    loose()
        .env("OPENTACO_PUBLIC_BASE_URL", "https://taco.example.com")
        .refused(&["OPENTACO_AUTH_DEV_SKIP_VERIFY"]);
}

/// The least that a provider needs, on loopback.
fn with_provider() -> Program {
    Program::new(&[])
        .env("OPENTACO_AUTH_ISSUER", "https://id.example.com")
        .env("OPENTACO_AUTH_CLIENT_ID", "opentaco")
        .env("OPENTACO_AUTH_CLIENT_SECRET", "hunter2")
        .env("OPENTACO_AUTH_ALLOWED_DOMAINS", "*")
}

#[test]
fn a_provider_whose_word_nobody_can_check_is_refused() {
    let said = with_provider()
        .env("OPENTACO_AUTH_AUTH_URL", "https://id.example.com/auth")
        .env("OPENTACO_AUTH_TOKEN_URL", "https://id.example.com/token")
        .refused(&[
            "OPENTACO_AUTH_AUTH_URL and OPENTACO_AUTH_TOKEN_URL",
            "no source of trust for the id token: set OPENTACO_AUTH_JWKS_URL or OPENTACO_AUTH_USERINFO_URL, or leave out the endpoints to have them discovered",
        ]);
    assert!(!said.contains("hunter2"), "{said}");
    with_provider().env("OPENTACO_AUTH_JWKS_URL", "http://id.example.com/keys").refused(&[
        "OPENTACO_AUTH_JWKS_URL",
        "http://id.example.com/keys",
        "https",
    ]);
}

#[test]
fn a_provider_must_know_where_to_send_people_back_to() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        with_provider().env("OPENTACO_LISTEN", listen).refused(&[
            "OPENTACO_AUTH_ISSUER",
            listen,
            "OPENTACO_PUBLIC_BASE_URL must be set",
        ]);
    }
}

#[test]
fn settings_of_a_provider_without_one_are_not_ignored() {
    Program::new(&[])
        .env("OPENTACO_AUTH_CLIENT_SECRET", "hunter2")
        .refused(&["OPENTACO_AUTH_CLIENT_SECRET", "OPENTACO_AUTH_ISSUER"]);
    Program::new(&["-auth-issuer", "https://id.example.com"]).refused(&["OPENTACO_AUTH_CLIENT_ID"]);
}

#[test]
fn the_development_login_goes_with_no_provider_and_no_proxy() {
    let skip = "OPENTACO_AUTH_DEV_SKIP_VERIFY";
    with_provider().env(skip, "true").refused(&[skip, "OPENTACO_AUTH_ISSUER", "unset one of the two"]);
    Program::new(&["-trusted-proxies", "127.0.0.1"]).env(skip, "true").refused(&[
        skip,
        "OPENTACO_TRUSTED_PROXIES",
        "unset one of the two",
    ]);
}

#[test]
fn an_administrator_is_somebody_who_was_checked() {
    Program::new(&[]).env("OPENTACO_ADMINS", "dev:x").refused(&[
        "OPENTACO_ADMINS",
        "\"dev:x\"",
        "nobody checks the names of the development login",
    ]);
    Program::new(&["-admins", "alice"]).refused(&["-admins", "\"alice\"", "alice@example.com"]);
    Program::new(&["admin", "grant", "ci:x:y"]).refused(&["ci:x:y", "[[trust]]"]);
}

#[test]
fn a_bad_trust_rule_is_named_with_its_file() {
    let rule = "[[trust]]\nname = \"github\"\nissuer = \"https://ci.example.com\"\naudience = \"taco\"\n\
                claims = { sub = \"repo:a/*\" }\n";
    let start = "[[trust]] rule \"github\" in ";
    for (more, words) in [
        ("", "role is missing"),
        ("role = \"root\"", "role is \"root\"; accepted: reader"),
        ("role = \"writer\"\nttl = \"48h\"", "ttl is \"48h\"; accepted: a duration above 0 and at most 24h"),
        ("role = \"writer\"\nunits = \"app/*\"", "unknown key units; did you mean unit?"),
    ] {
        Program::new(&[]).file(&format!("{rule}{more}")).refused(&[start, "settings.toml", words]);
    }
    Program::new(&[]).env("OPENTACO_TRUST", "x").refused(&["unknown environment variable OPENTACO_TRUST"]);
}

#[test]
fn a_key_from_the_documentation_never_leaves_this_machine() {
    let sample = "k8s3m9xP2vQ7wE1rT6yU4iO5pL0aSd8fG3hJ9nB2cV5m";
    let said = Program::new(&["-listen", "0.0.0.0:0"])
        .env("OPENTACO_OAUTH_STATE_KEY", sample)
        .refused(&["OPENTACO_OAUTH_STATE_KEY", "openssl rand"]);
    assert!(!said.contains(sample), "{said}");
}

#[test]
fn certificates_need_both_files_and_are_not_ignored() {
    Program::new(&["-tls", "files"]).refused(&["OPENTACO_TLS_CERT_PATH", "OPENTACO_TLS_KEY_PATH"]);
    Program::new(&["-tls-cert-path", "x.pem"]).refused(&["tls-cert-path", "files"]);
    let args =
        ["-tls", "files", "-tls-cert-path", "nowhere.pem", "-tls-key-path", "nowhere.pem", "-port", "0"];
    let ended = Program::new(&args).run();
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
    assert!(ended.stderr.contains("nowhere.pem"), "{ended:?}");
}

#[test]
fn a_port_in_use_is_exit_1_and_the_other_server_goes_on() {
    let port = free_port();
    let first = Program::new(&["-storage", "memory", "-port", &port.to_string()]);
    let mut going = first.spawn();
    going.ready(port);
    let ended = Program::new(&["-storage", "memory", "-port", &port.to_string()]).run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("in use") && ended.stderr.contains(&port.to_string()), "{ended:?}");
    assert!(get(port, "/healthz").starts_with("HTTP/1.1 200 "));

    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    let ended = Program::new(&["-storage", "memory", "-listen", &format!("127.0.0.1:{port}")]).run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

#[test]
fn a_data_dir_that_cannot_be_one_is_exit_1_and_names_it() {
    let program = Program::new(&["-port", "0", "-data-dir", "a-file"]);
    std::fs::write(program.folder.path().join("a-file"), "").unwrap();
    let ended = program.run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("a-file"), "{ended:?}");
}
