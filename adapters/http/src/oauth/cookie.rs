//! The login cookie: what ties a login to the browser that began it.

use actix_web::HttpRequest;
use actix_web::http::header::COOKIE;

use crate::{Doors, host};

/// How long the cookie lives, in seconds.
const LIFE: u32 = 600;
/// 32 bytes in base64url.
const LENGTH: usize = 43;

/// The cookie's name: over https it is bound to this very host.
fn name(secure: bool) -> &'static str {
    if secure { "__Host-opentaco_login" } else { "opentaco_login" }
}

/// Whether browsers see this server over https.
pub(super) fn is_secure(doors: &Doors, request: &HttpRequest) -> bool {
    host::base(doors, request).starts_with("https://")
}

/// The cookie that the browser has, if it is one of ours.
pub(super) fn of(request: &HttpRequest, secure: bool) -> Option<String> {
    let headers = request.headers().get_all(COOKIE).filter_map(|header| header.to_str().ok());
    let mut pairs =
        headers.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let value = pairs.find(|(key, _)| *key == name(secure))?.1;
    let character = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (value.len() == LENGTH && value.bytes().all(character)).then(|| value.to_owned())
}

/// The header that gives the browser the cookie, or renews it.
pub(super) fn set(value: &str, secure: bool) -> String {
    let flag = if secure { "; Secure" } else { "" };
    format!("{}={value}; Path=/; Max-Age={LIFE}; HttpOnly; SameSite=Lax{flag}", name(secure))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn of_header(header: &str, secure: bool) -> Option<String> {
        of(&TestRequest::get().insert_header((COOKIE, header)).to_http_request(), secure)
    }

    #[test]
    fn only_our_own_cookie_is_read_back() {
        let value = "a".repeat(LENGTH);
        assert_eq!(of_header(&format!("x=y; opentaco_login={value}; z"), false), Some(value.clone()));
        assert_eq!(of_header(&format!("__Host-opentaco_login={value}"), true), Some(value.clone()));
        assert_eq!(of_header(&format!("opentaco_login={value}"), true), None);
        assert_eq!(of_header("opentaco_login=short", false), None);
        assert_eq!(of_header(";;=;opentaco_login", false), None);
    }

    #[test]
    fn over_https_the_cookie_is_bound_to_the_host() {
        assert_eq!(
            set("v", true),
            "__Host-opentaco_login=v; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
        );
        assert!(!set("v", false).contains("Secure"));
    }
}
