//! Text to value, one function per kind; `None` means not accepted, the table knows what is.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use url::{Host, Url};

use super::{Listen, LogFormat, S3Settings, Secret, Storage, VerifyKeyPath};

const SHORTEST_KEY: usize = 32;
/// Keys that documentation has printed and are long enough to be accepted otherwise.
const SAMPLES: [&str; 5] = [
    "k8s3m9xP2vQ7wE1rT6yU4iO5pL0aSd8fG3hJ9nB2cV5m",
    "your-32+-character-secure-random-key",
    "your-production-oauth-state-key-here",
    "dev-key-change-in-production-32b",
    "same-32-char-key-across-instances",
];

/// `None` is never the answer: every text is a path.
#[expect(clippy::unnecessary_wraps, reason = "the same shape as every other kind")]
pub(super) fn path(text: &str) -> Option<PathBuf> {
    Some(PathBuf::from(text))
}

pub(super) fn listen(text: &str) -> Option<Listen> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    // Without brackets the last group of an address would be taken for the port.
    if host.is_empty() || (bare.is_none() && host.contains(':')) {
        return None;
    }
    Some(Listen { host: bare.unwrap_or(host).to_owned(), port: port.parse().ok()? })
}

pub(super) fn storage(text: &str) -> Option<Storage> {
    match text {
        "memory" => Some(Storage::Memory),
        "local" => Some(Storage::Local),
        "s3" => Some(Storage::S3(S3Settings::default())),
        _ => None,
    }
}

/// A word of a bucket's or region's name.
pub(super) fn word(text: &str) -> Option<String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    (text.len() <= 255 && text.bytes().all(is_plain)).then(|| text.to_owned())
}

/// A prefix of keys: segments that are neither empty nor a way out.
pub(super) fn prefix(text: &str) -> Option<String> {
    let segment = |s: &str| !s.is_empty() && s != "." && s != "..";
    let is_plain = |b: u8| b.is_ascii_graphic() && !b"*?%#\\".contains(&b);
    (text.len() <= 512 && text.split('/').all(segment) && text.bytes().all(is_plain)).then(|| text.to_owned())
}

pub(super) fn log_format(text: &str) -> Option<LogFormat> {
    match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}

pub(super) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

pub(super) fn kid(text: &str) -> Option<String> {
    (text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| text.to_owned())
}

/// `KID=PATH`, or a path alone.
pub(super) fn verify_key(text: &str) -> Option<VerifyKeyPath> {
    let (id, file) = match text.split_once('=') {
        Some((id, file)) => (Some(kid(id.trim()).filter(|id| !id.is_empty())?), file.trim()),
        None => (None, text),
    };
    (!file.is_empty()).then(|| VerifyKeyPath { kid: id, path: PathBuf::from(file) })
}

pub(super) fn base_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.host().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    is_plain.then_some(url)
}

pub(super) fn state_keys(text: &str) -> Option<Vec<Secret>> {
    let keys: Vec<_> = text.split(',').map(str::trim).collect();
    let all_long = keys.iter().all(|key| key.chars().count() >= SHORTEST_KEY);
    all_long.then(|| keys.into_iter().map(|key| Secret(key.to_owned())).collect())
}

pub(super) fn is_sample(key: &Secret) -> bool {
    SAMPLES.contains(&key.expose())
}

pub(super) fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

pub(super) fn ttl(text: &str) -> Option<Duration> {
    duration(text).filter(|ttl| !ttl.is_zero())
}

/// `never` is the outer `Some` of an inner `None`.
#[expect(clippy::option_option, reason = "outer: accepted; inner: ends at all")]
pub(super) fn life(text: &str) -> Option<Option<Duration>> {
    if text.eq_ignore_ascii_case("never") {
        return Some(None);
    }
    ttl(text).map(Some)
}

pub(super) fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: u64 = match text.get(digits.len()..)?.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1000 * 1000,
        "gb" => 1000 * 1000 * 1000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit).filter(|bytes| *bytes > 0)
}

/// A bare word that is no level would be taken for the name of a target, and then nothing would be logged.
pub(super) fn level(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "trace" | "debug" | "info" | "warn" | "error" | "off" => Some(lower),
        "warning" => Some("warn".to_owned()),
        _ if text.contains('=') => EnvFilter::try_new(text).ok().map(|_| text.to_owned()),
        _ => None,
    }
}

pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

pub(super) fn is_loopback_url(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_loopback(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
