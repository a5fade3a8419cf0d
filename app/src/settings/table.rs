//! Every setting of this version, one row each.

/// One setting: its names, its default, and what a person needs to know to set it.
#[derive(Debug)]
pub struct Row {
    /// Key in the TOML file, and the name used in the code.
    pub key: &'static str,
    /// Flag without its dashes.
    pub flag: &'static str,
    /// Environment variable.
    pub env: &'static str,
    /// Value when nobody sets one; `None` leaves the setting unset.
    pub default: Option<&'static str>,
    /// A secret's value never appears in a message.
    pub secret: bool,
    /// What is accepted, as error messages say it.
    pub accepted: &'static str,
    /// What it does, as `-help` says it.
    pub help: &'static str,
}

const fn row(
    key: &'static str,
    flag: &'static str,
    env: &'static str,
    default: Option<&'static str>,
    accepted: &'static str,
    help: &'static str,
) -> Row {
    Row { key, flag, env, default, secret: false, accepted, help }
}

const fn secret(row: &Row) -> Row {
    Row { secret: true, ..*row }
}

/// The table. A new setting is a row here and a field of [`Settings`](super::Settings).
#[rustfmt::skip]
pub static TABLE: &[Row] = &[
    row("config", "config", "OPENTACO_CONFIG", None,
        "the path of a TOML file", "TOML file with settings"),
    row("listen", "listen", "OPENTACO_LISTEN", Some("localhost:8080"),
        "HOST:PORT, such as localhost:8080, 0.0.0.0:8080 or [::1]:8080", "address and port; localhost means both loopbacks"),
    row("port", "port", "OPENTACO_PORT", None,
        "a port number from 0 to 65535", "changes the port of the listen address alone"),
    row("storage", "storage", "OPENTACO_STORAGE", Some("local"),
        "memory, local or s3 (this version does not have gcs and azure yet)", "where state is kept: memory, local or s3"),
    row("s3_bucket", "s3-bucket", "OPENTACO_S3_BUCKET", None,
        "the name of a bucket", "bucket, for -storage s3; credentials come from the usual AWS_* variables"),
    row("s3_prefix", "s3-prefix", "OPENTACO_S3_PREFIX", None,
        "a path without leading or trailing /", "path in the bucket below which everything is kept"),
    row("s3_region", "s3-region", "OPENTACO_S3_REGION", None,
        "the name of a region", "region of the bucket; else AWS_REGION or us-east-1"),
    row("data_dir", "data-dir", "OPENTACO_DATA_DIR", Some("./opentaco-data"),
        "the path of a directory", "root of local storage, generated keys and the development certificate"),
    row("tls", "tls", "OPENTACO_TLS", Some("auto"),
        "auto, dev, off or files", "auto, dev (a development certificate), off, or files"),
    row("tls_cert_path", "tls-cert-path", "OPENTACO_TLS_CERT_PATH", None,
        "the path of a PEM file, leaf first", "certificate chain, for -tls files"),
    row("tls_key_path", "tls-key-path", "OPENTACO_TLS_KEY_PATH", None,
        "the path of a PEM file", "private key, for -tls files"),
    row("public_base_url", "public-base-url", "OPENTACO_PUBLIC_BASE_URL", None,
        "an http or https URL without user, path, query and fragment", "what clients see; every URL handed out starts with it"),
    row("tokens_private_key_pem_path", "tokens-private-key-pem-path", "OPENTACO_TOKENS_PRIVATE_KEY_PEM_PATH", None,
        "the path of an Ed25519 PKCS#8 PEM file", "key that signs tokens; generated in the data dir if unset"),
    row("tokens_kid", "tokens-kid", "OPENTACO_TOKENS_KID", None,
        "1 to 128 printable ASCII characters", "key id of that key; its thumbprint if unset"),
    secret(&row("oauth_state_key", "oauth-state-key", "OPENTACO_OAUTH_STATE_KEY", None,
        "one key, or new,old; each of at least 32 characters, and not one printed in documentation", "root of every symmetric key; generated in the data dir if unset")),
    row("terraform_token_ttl", "terraform-token-ttl", "OPENTACO_TERRAFORM_TOKEN_TTL", Some("never"),
        "never, or a duration such as 90s, 15m, 1h30m or 30d", "life of tokens that terraform login gets"),
    row("auth_dev_skip_verify", "auth-dev-skip-verify", "OPENTACO_AUTH_DEV_SKIP_VERIFY", Some("false"),
        "true or false", "development only: login asks for a name and checks nothing"),
    row("max_state_bytes", "max-state-bytes", "OPENTACO_MAX_STATE_BYTES", Some("512MiB"),
        "a number of bytes above 0, or with a unit: 64MiB, 1GiB, 500MB", "larger uploads are refused"),
    row("drain_timeout", "drain-timeout", "OPENTACO_DRAIN_TIMEOUT", Some("25s"),
        "a duration such as 90s, 15m or 1h30m", "how long a stopping server lets requests finish"),
    row("log_level", "log-level", "OPENTACO_LOG_LEVEL", Some("info"),
        "trace, debug, info, warn, error or off, or a tracing filter such as info,opentaco_http=debug", "what is logged, to standard error"),
    row("log_format", "log-format", "OPENTACO_LOG_FORMAT", Some("text"),
        "text or json", "how it is logged"),
];

/// The row of a key.
pub(super) fn by_key(key: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.key == key)
}

/// The candidate that takes the fewest edits, if they are few.
pub(super) fn nearest(name: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    candidates
        .map(|candidate| (edits(name, candidate), candidate))
        .filter(|(edits, candidate)| *edits <= candidate.len() / 2)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance.
fn edits(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = i;
        let mut previous = i + 1;
        if let Some(first) = row.first_mut() {
            *first = previous;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(right.chars()) {
            let best = (diagonal + usize::from(a != b)).min(previous + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            previous = best;
        }
    }
    row.last().copied().unwrap_or_default()
}
