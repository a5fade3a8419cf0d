//! What a store's refusal means, read from its words: the library keeps the code of an answer to itself.

use std::error::Error as StdError;
use std::fmt::Display;

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such bucket.
    NoBucket,
    /// It does not know who we are; the code of its answer.
    Credentials(String),
    /// Nothing says who we are.
    NoCredentials,
    /// It knows who we are and does not let us.
    Denied,
    /// The bucket lies elsewhere.
    Region,
    /// It cannot be talked to, and why.
    Unreachable(String),
    /// Something else.
    Other,
}

impl Refusal {
    pub(crate) fn of(error: &Error) -> Self {
        let text = error.to_string();
        // Where a machine asks who it is, when nobody has told it.
        if text.contains("/latest/api/token") || text.contains("/latest/meta-data") {
            return Self::NoCredentials;
        }
        if let Some(why) = unreachable(error) {
            return Self::Unreachable(why);
        }
        match (code(&text), status(&text)) {
            (Some("NoSuchBucket"), _) => Self::NoBucket,
            (
                Some(
                    "PermanentRedirect"
                    | "AuthorizationHeaderMalformed"
                    | "IllegalLocationConstraintException",
                ),
                _,
            )
            | (None, Some("301" | "307")) => Self::Region,
            (Some("AccessDenied" | "AllAccessDisabled"), _) | (None, Some("403")) => Self::Denied,
            (None, Some("401")) => Self::Credentials("401".to_owned()),
            // InvalidAccessKeyId, SignatureDoesNotMatch, ExpiredToken, RequestTimeTooSkewed and what others invent.
            (Some(code), Some("400" | "401" | "403")) => Self::Credentials(code.to_owned()),
            _ if text.contains("Received redirect without LOCATION") => Self::Region,
            _ => Self::Other,
        }
    }
}

/// A store's error without the body of its answer, which repeats what was signed and by whom.
pub(crate) fn words(error: &dyn Display) -> String {
    let text = error.to_string();
    match text.split_once('<') {
        None => text,
        Some((head, _)) => {
            let code = code(&text).map(|code| format!(" ({code})"));
            format!("{}{}", head.trim_end_matches([':', ' ']), code.unwrap_or_default())
        }
    }
}

/// The code in the body of an answer.
fn code(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    (code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(code)
}

/// The status of an answer.
fn status(text: &str) -> Option<&str> {
    text.split_once("status code: ")?.1.get(..3)
}

/// Why there was no answer.
fn unreachable(error: &Error) -> Option<String> {
    let mut at: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = at {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return match http.kind() {
                HttpErrorKind::Timeout => Some("it does not answer in time".to_owned()),
                HttpErrorKind::Decode => None,
                _ => Some(innermost(http)),
            };
        }
        at = error.source();
    }
    None
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: &str, body: &str) -> Error {
        let text = format!(
            "Error performing GET http://h/b/k in 1ms - Server returned non-2xx status code: {status}: {body}"
        );
        Error::Generic { store: "S3", source: text.into() }
    }

    #[test]
    fn an_answer_means_what_its_code_says() {
        let body =
            |code: &str| format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Key>k</Key></Error>");
        let credentials = |code: &str| Refusal::Credentials(code.to_owned());
        let cases = [
            ("404 Not Found", "NoSuchBucket", Refusal::NoBucket),
            ("404 Not Found", "NoSuchKey", Refusal::Other),
            ("403 Forbidden", "AccessDenied", Refusal::Denied),
            ("403 Forbidden", "InvalidAccessKeyId", credentials("InvalidAccessKeyId")),
            ("403 Forbidden", "SignatureDoesNotMatch", credentials("SignatureDoesNotMatch")),
            ("400 Bad Request", "ExpiredToken", credentials("ExpiredToken")),
            ("400 Bad Request", "AuthorizationHeaderMalformed", Refusal::Region),
            ("503 Service Unavailable", "SlowDown", Refusal::Other),
        ];
        for (status, code, meaning) in cases {
            assert_eq!(Refusal::of(&answer(status, &body(code))), meaning, "{code}");
        }
        assert_eq!(Refusal::of(&answer("403 Forbidden", "")), Refusal::Denied, "a HEAD has no body");
    }

    #[test]
    fn no_body_is_repeated() {
        let body =
            "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>hunter2</AWSAccessKeyId></Error>";
        let text = words(&answer("403 Forbidden", body));
        assert!(
            text.ends_with("403 Forbidden (SignatureDoesNotMatch)") && !text.contains("hunter2"),
            "{text}"
        );
        assert_eq!(words(&"a full disk"), "a full disk");
    }
}
