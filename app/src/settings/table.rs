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

/// What is accepted for an address of the provider.
const ENDPOINT: &str = "an https URL (http only on loopback) without user and fragment";

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
    row("tokens_verify_pem_paths", "tokens-verify-pem-paths", "OPENTACO_TOKENS_VERIFY_PEM_PATHS", None,
        "a comma list of KID=PATH or PATH, each the path of an Ed25519 PEM file, such as v1=/keys/old.pem", "other keys whose tokens are accepted, older or next; KID=PATH,…"),
    row("tokens_access_ttl", "tokens-access-ttl", "OPENTACO_TOKENS_ACCESS_TTL", Some("1h"),
        "a duration above 0 such as 90s, 15m, 1h30m or 30d", "life of access tokens and of S3 credentials"),
    row("tokens_refresh_ttl", "tokens-refresh-ttl", "OPENTACO_TOKENS_REFRESH_TTL", Some("720h"),
        "a duration above 0 such as 90s, 15m, 1h30m or 30d", "life of refresh tokens"),
    row("terraform_token_ttl", "terraform-token-ttl", "OPENTACO_TERRAFORM_TOKEN_TTL", Some("never"),
        "never, or a duration such as 90s, 15m, 1h30m or 30d", "life of tokens that terraform login gets"),
    row("auth_dev_skip_verify", "auth-dev-skip-verify", "OPENTACO_AUTH_DEV_SKIP_VERIFY", Some("false"),
        "true or false", "development only: login asks for a name and checks nothing"),
    row("auth_issuer", "auth-issuer", "OPENTACO_AUTH_ISSUER", None,
        "an https URL (http only on loopback) without user, query and fragment, exactly as the provider writes it", "OpenID Connect provider that people log in with"),
    row("auth_client_id", "auth-client-id", "OPENTACO_AUTH_CLIENT_ID", None,
        "printable ASCII characters", "id under which this server is registered with the provider"),
    secret(&row("auth_client_secret", "auth-client-secret", "OPENTACO_AUTH_CLIENT_SECRET", None,
        "the secret that the provider gave out with the client id", "secret that goes with the id; unset for a public client")),
    row("auth_auth_url", "auth-auth-url", "OPENTACO_AUTH_AUTH_URL", None,
        ENDPOINT, "where browsers are sent to log in; discovered if unset"),
    row("auth_token_url", "auth-token-url", "OPENTACO_AUTH_TOKEN_URL", None,
        ENDPOINT, "where a code becomes tokens; discovered if unset"),
    row("auth_jwks_url", "auth-jwks-url", "OPENTACO_AUTH_JWKS_URL", None,
        ENDPOINT, "the provider's keys; discovered if unset"),
    row("auth_userinfo_url", "auth-userinfo-url", "OPENTACO_AUTH_USERINFO_URL", None,
        ENDPOINT, "where the provider says who somebody is; discovered if unset"),
    row("auth_scopes", "auth-scopes", "OPENTACO_AUTH_SCOPES", Some("openid profile email"),
        "scopes with spaces or commas between them, openid among them", "what the provider is asked for"),
    row("auth_groups_claim", "auth-groups-claim", "OPENTACO_AUTH_GROUPS_CLAIM", Some("groups"),
        "the name of a claim", "claim that lists somebody's groups"),
    row("auth_email_verified", "auth-email-verified", "OPENTACO_AUTH_EMAIL_VERIFIED", Some("claim"),
        "claim or always", "claim: an address counts once the provider says that it is verified; always: for providers that verify all and never say so"),
    row("auth_allowed_domains", "auth-allowed-domains", "OPENTACO_AUTH_ALLOWED_DOMAINS", None,
        "a comma list of domains such as example.com, or * for everybody", "domains of verified e-mail addresses that may log in; * for everybody"),
    row("auth_allowed_groups", "auth-allowed-groups", "OPENTACO_AUTH_ALLOWED_GROUPS", None,
        "a comma list of groups (for everybody, set OPENTACO_AUTH_ALLOWED_DOMAINS=*)", "groups whose members may log in"),
    row("admins", "admins", "OPENTACO_ADMINS", None,
        "a comma list of verified e-mail addresses and subjects, such as alice@example.com,oidc:SUB", "verified e-mail addresses or subjects of administrators; naming one switches access control on"),
    row("trusted_proxies", "trusted-proxies", "OPENTACO_TRUSTED_PROXIES", None,
        "a comma list of networks and addresses, such as 10.0.0.0/8,192.0.2.7,fd00::/8", "networks whose X-Forwarded-Proto, -Host and -For are believed"),
    row("max_state_bytes", "max-state-bytes", "OPENTACO_MAX_STATE_BYTES", Some("512MiB"),
        "a number of bytes above 0, or with a unit: 64MiB, 1GiB, 500MB", "larger uploads are refused"),
    row("drain_timeout", "drain-timeout", "OPENTACO_DRAIN_TIMEOUT", Some("25s"),
        "a duration such as 90s, 15m or 1h30m", "how long a stopping server lets requests finish"),
    row("log_level", "log-level", "OPENTACO_LOG_LEVEL", Some("info"),
        "trace, debug, info, warn, error or off, or a tracing filter such as info,opentaco_http=debug", "what is logged, to standard error"),
    row("log_format", "log-format", "OPENTACO_LOG_FORMAT", Some("text"),
        "text or json", "how it is logged"),
];

/// Under which heading `-help` has a setting; `None` is the general one.
pub(super) fn heading(row: &Row) -> Option<&'static str> {
    match row.key.split('_').next() {
        Some("tokens" | "oauth" | "terraform") => Some("Tokens and keys"),
        Some("auth" | "admins") => Some("Login and access"),
        _ => None,
    }
}

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
