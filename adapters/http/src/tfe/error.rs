//! From an outcome to a status and a JSON:API error: this door's one table.

use std::borrow::Cow;
use std::fmt::Display;

use crate::rfc3339::Rfc3339;
use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use opentaco_domain::commit::CommitError;
use opentaco_domain::lock::{Lock, LockError};
use opentaco_domain::project::ProjectError;
use opentaco_domain::workspace::WorkspaceError;
use opentaco_ports::driven::StoreError;
use opentaco_ports::driven::blobs::PutError;
use opentaco_ports::driving::Failure;
use opentaco_ports::driving::access::AccessError;
use serde_json::json;
use thiserror::Error;

use super::jsonapi::MEDIA_TYPE;
use crate::body::BodyRefused;
use crate::task::Crashed;

/// Why a call of this API did not do as asked.
#[derive(Debug, Error)]
pub(crate) enum ApiError {
    /// A use case did not.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// A use case did not, on the workspace of that address (`organization/name`).
    #[error("{failure}")]
    On {
        /// Why.
        failure: Failure,
        /// Where.
        address: String,
    },
    /// The bearer token was refused.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The token behind an upload ticket was refused.
    #[error(transparent)]
    Ticket(AccessError),
    /// No bearer token came.
    #[error("send an API token as `Authorization: Bearer otc_tfe_…`; run `terraform login` to get one")]
    NoToken,
    /// The body was not taken.
    #[error(transparent)]
    Body(BodyRefused),
    /// The body is longer than the limit of this call; the text says what to do.
    #[error("{0}")]
    TooLong(String),
    /// The body is not the JSON it should be.
    #[error("{0}")]
    Malformed(String),
    /// A value in the body or query breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// The request is for another host.
    #[error("this server does not answer to that host name: use its own, or set OPENTACO_PUBLIC_BASE_URL")]
    Misdirected,
    /// There is no such route.
    #[error("there is nothing at this path")]
    NoRoute,
    /// The route has no such method.
    #[error("this path does not take this method")]
    WrongMethod,
    /// Something that cannot happen did.
    #[error("the server failed; its log may say why")]
    Crashed,
}

impl From<Crashed> for ApiError {
    fn from(_: Crashed) -> Self {
        Self::Crashed
    }
}

impl From<BodyRefused> for ApiError {
    fn from(refused: BodyRefused) -> Self {
        Self::Body(refused)
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(_: serde_json::Error) -> Self {
        Self::Crashed
    }
}

impl ApiError {
    /// The error of a value that breaks a rule, in the rule's words.
    pub(crate) fn invalid(rule: impl Display) -> Self {
        Self::Invalid(format!("{rule}"))
    }
}

/// Answers paths without a route.
pub(crate) async fn no_route() -> ApiError {
    ApiError::NoRoute
}

/// Answers methods that a route does not have.
pub(crate) async fn wrong_method() -> ApiError {
    ApiError::WrongMethod
}

impl actix_web::Responder for ApiError {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

/// What a client is told.
struct Told {
    status: StatusCode,
    title: &'static str,
    detail: Cow<'static, str>,
}

fn told(status: StatusCode, title: &'static str, detail: impl Into<Cow<'static, str>>) -> Told {
    Told { status, title, detail: detail.into() }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.tell().status
    }

    fn error_response(&self) -> HttpResponse {
        let Told { status, title, detail } = self.tell();
        if status.is_server_error() {
            tracing::error!(status = status.as_u16(), failure = %self, "a request failed");
        }
        let mut answer = HttpResponse::build(status);
        match status {
            StatusCode::SERVICE_UNAVAILABLE => answer.insert_header((RETRY_AFTER, "1")),
            StatusCode::UNAUTHORIZED => answer.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"opentaco\"")),
            _ => &mut answer,
        };
        let errors = json!({"errors": [{"status": status.as_str(), "title": title, "detail": detail}]});
        answer.insert_header(("content-type", MEDIA_TYPE)).body(errors.to_string())
    }
}

impl ApiError {
    fn tell(&self) -> Told {
        use StatusCode as S;
        let text = || self.to_string();
        match self {
            Self::Failure(failure) => tell_failure(failure, None),
            Self::On { failure, address } => tell_failure(failure, Some(address)),
            Self::Access(AccessError::Store(error)) => tell_store(error),
            Self::Access(AccessError::Jwt | AccessError::Refused(_)) | Self::NoToken => {
                told(S::UNAUTHORIZED, "unauthorized", text())
            }
            Self::Ticket(error) => tell_bearer(error),
            Self::Body(refused) => match refused {
                BodyRefused::TooLarge(_) => told(S::PAYLOAD_TOO_LARGE, "payload too large", text()),
                BodyRefused::Encoded => told(S::UNSUPPORTED_MEDIA_TYPE, "unsupported media type", text()),
                BodyRefused::Early(_) => told(S::BAD_REQUEST, "bad request", text()),
                BodyRefused::Busy => told(S::SERVICE_UNAVAILABLE, UNAVAILABLE, text()),
                BodyRefused::Bearer(AccessError::Store(error)) => tell_store(error),
                BodyRefused::Bearer(_) => told(S::UNAUTHORIZED, "unauthorized", text()),
            },
            Self::TooLong(_) => told(S::PAYLOAD_TOO_LARGE, "payload too large", text()),
            Self::Malformed(_) => told(S::BAD_REQUEST, "bad request", text()),
            Self::Invalid(_) => told(S::UNPROCESSABLE_ENTITY, "invalid attribute", text()),
            Self::Misdirected => told(S::MISDIRECTED_REQUEST, "misdirected request", text()),
            Self::NoRoute => told(S::NOT_FOUND, "not found", text()),
            Self::WrongMethod => told(S::METHOD_NOT_ALLOWED, "method not allowed", text()),
            Self::Crashed => told(S::INTERNAL_SERVER_ERROR, "internal server error", text()),
        }
    }
}

/// Lower case, because Terraform looks for these words before it tries again.
const UNAVAILABLE: &str = "service unavailable";

/// The table. It is exhaustive on purpose: a new failure does not compile until it has a status here.
fn tell_failure(failure: &Failure, address: Option<&str>) -> Told {
    use StatusCode as S;
    let text = || failure.to_string();
    match failure {
        Failure::Missing { .. }
        | Failure::Lock(LockError::Deleted)
        | Failure::Workspace(WorkspaceError::Deleted)
        | Failure::Commit(CommitError::Deleted) => told(S::NOT_FOUND, "not found", text()),
        Failure::Bearer(error) => tell_bearer(error),
        Failure::Denied(_)
        | Failure::LimitedToken(_)
        | Failure::NotInitiator(_)
        | Failure::Workspace(WorkspaceError::NotManager)
        | Failure::Commit(CommitError::Expired) => told(S::FORBIDDEN, "forbidden", text()),
        Failure::NameTaken { .. }
        | Failure::TokenEnd(_)
        | Failure::Policy(_)
        | Failure::User(_)
        | Failure::OrganizationTaken(_)
        | Failure::Project(ProjectError::NameTaken(_) | ProjectError::Description | ProjectError::TooMany)
        | Failure::Workspace(WorkspaceError::Settings(_))
        | Failure::Tags(_)
        | Failure::Commit(CommitError::SerialTooLarge(_)) => {
            told(S::UNPROCESSABLE_ENTITY, "invalid attribute", text())
        }
        Failure::Lock(LockError::Held(lock))
        | Failure::Workspace(WorkspaceError::Locked(lock))
        | Failure::Commit(CommitError::HeldByAnother(lock)) => {
            told(S::CONFLICT, "workspace is locked", held(lock, address))
        }
        Failure::Lock(LockError::NotLocked) | Failure::Commit(CommitError::NotLocked) => {
            told(S::CONFLICT, "workspace is not locked", text())
        }
        Failure::Workspace(WorkspaceError::StillManages(_)) => {
            told(S::CONFLICT, "workspace is not safe to delete", text())
        }
        Failure::Project(ProjectError::NotEmpty(_) | ProjectError::Default)
        | Failure::Workspace(WorkspaceError::RenameLost(_))
        | Failure::Commit(
            CommitError::Fenced
            | CommitError::SerialDoesNotRise { .. }
            | CommitError::ForeignLineage { .. }
            | CommitError::Overtaken
            | CommitError::Finalized
            | CommitError::Full,
        ) => told(S::CONFLICT, "conflict", text()),
        Failure::Commit(
            CommitError::DigestMismatch { .. }
            | CommitError::DocumentMismatch { .. }
            | CommitError::NoSerial(_),
        ) => told(S::UNPROCESSABLE_ENTITY, "state does not match", text()),
        Failure::Put(PutError::TooLarge(limit)) => {
            told(S::PAYLOAD_TOO_LARGE, "payload too large", state_too_large(*limit))
        }
        Failure::Put(PutError::OutputsTooLarge(_)) => told(S::PAYLOAD_TOO_LARGE, "payload too large", text()),
        Failure::Put(PutError::Body(_)) => told(S::BAD_REQUEST, "bad request", text()),
        Failure::Put(PutError::NotAState(_)) => told(S::UNPROCESSABLE_ENTITY, "not a state", text()),
        Failure::Put(PutError::Store(error)) | Failure::Store(error) => tell_store(error),
        Failure::Busy | Failure::OutcomeUnknown => told(S::SERVICE_UNAVAILABLE, UNAVAILABLE, text()),
    }
}

/// The token behind an upload ticket does not count any more.
fn tell_bearer(error: &AccessError) -> Told {
    match error {
        AccessError::Store(error) => tell_store(error),
        AccessError::Jwt | AccessError::Refused(_) => told(
            StatusCode::FORBIDDEN,
            "forbidden",
            "the token this upload was proposed with is not valid any more",
        ),
    }
}

fn tell_store(error: &StoreError) -> Told {
    if error.may_pass() {
        told(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, error.told())
    } else {
        told(StatusCode::INTERNAL_SERVER_ERROR, "internal server error", error.told())
    }
}

/// The words of a body that is longer than the limit, in bytes.
pub(super) fn state_too_large(limit: u64) -> String {
    format!(
        "the state is longer than {limit} bytes; the server's setting OPENTACO_MAX_STATE_BYTES raises the limit"
    )
}

/// Names the holder in words that Terraform looks for (`is locked by User`), and the way out.
fn held(lock: &Lock, address: Option<&str>) -> String {
    let (subject, since) = (&lock.holder.subject, Rfc3339(lock.at));
    let reason = if lock.reason.is_empty() { String::new() } else { format!(" ({})", lock.reason) };
    let (workspace, command) = match address {
        Some(address) => (format!("workspace {address}"), format!("terraform force-unlock {address}")),
        None => ("the workspace".to_owned(), "terraform force-unlock ORGANIZATION/WORKSPACE".to_owned()),
    };
    format!(
        "{workspace} is locked by User {name} [{subject}] since {since}{reason}; if that lock is left over, free it \
         with `{command}`",
        name = subject.display_name()
    )
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody as _;
    use opentaco_domain::actor::{Door, Subject};
    use opentaco_domain::id::{LockId, TokenId};
    use opentaco_domain::lock::Holder;
    use opentaco_domain::state::Md5;
    use opentaco_domain::time::Timestamp;
    use opentaco_domain::token::TokenRefused;
    use opentaco_ports::driven::BodyError;
    use serde_json::Value;

    use super::*;

    fn lock() -> Lock {
        let at = Timestamp::from_millis(0);
        let subject = Subject::development("alice").unwrap();
        let holder = Holder { subject, parent: TokenId::from_bytes([0; 10]), door: Door::Cloud };
        Lock { id: LockId::new(at, [0; 10]), holder, reason: "Locked by Terraform".into(), at }
    }

    fn status(error: impl Into<ApiError>) -> u16 {
        error.into().status_code().as_u16()
    }

    fn error_of(error: &ApiError) -> Value {
        let body = error.error_response().into_body().try_into_bytes().unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()["errors"][0].clone()
    }

    #[test]
    fn each_failure_has_the_status_that_the_client_knows() {
        let md5 = Md5([0; 16]);
        let table: [(Failure, u16); 20] = [
            (Failure::missing("workspace", "x"), 404),
            (LockError::Held(Box::new(lock())).into(), 409),
            (LockError::NotLocked.into(), 409),
            (LockError::Deleted.into(), 404),
            (WorkspaceError::Locked(Box::new(lock())).into(), 409),
            (WorkspaceError::StillManages(Some(1)).into(), 409),
            (CommitError::NotLocked.into(), 409),
            (CommitError::HeldByAnother(Box::new(lock())).into(), 409),
            (CommitError::Fenced.into(), 409),
            (CommitError::SerialDoesNotRise { given: 1, current: 2, md5 }.into(), 409),
            (CommitError::Overtaken.into(), 409),
            (CommitError::Expired.into(), 403),
            (CommitError::DigestMismatch { announced: md5, measured: md5 }.into(), 422),
            (Failure::Put(PutError::TooLarge(7)), 413),
            (Failure::Put(PutError::NotAState("x".into())), 422),
            (Failure::Put(PutError::Body(BodyError("x".into()))), 400),
            (Failure::Busy, 503),
            (Failure::OutcomeUnknown, 503),
            (StoreError::Unavailable.into(), 503),
            (StoreError::Corrupt("some/key".into()).into(), 500),
        ];
        for (failure, expected) in table {
            assert_eq!(status(failure.clone()), expected, "{failure:?}");
        }
    }

    #[test]
    fn a_refused_token_is_401_in_a_header_and_403_behind_a_ticket() {
        let refused = || AccessError::Refused(TokenRefused::Revoked);
        assert_eq!(status(refused()), 401);
        assert_eq!(status(ApiError::Ticket(refused())), 403);
        assert_eq!(status(AccessError::Store(StoreError::Unavailable)), 503);
    }

    #[test]
    fn a_lock_conflict_names_holder_time_and_way_out() {
        let failure = LockError::Held(Box::new(lock())).into();
        let detail =
            error_of(&ApiError::On { failure, address: "acme/app~prod".into() })["detail"].to_string();
        for part in
            ["is locked by User alice", "1970-01-01T00:00:00Z", "terraform force-unlock acme/app~prod"]
        {
            assert!(detail.contains(part), "{detail} lacks {part}");
        }
    }

    #[test]
    fn terraform_finds_the_words_it_looks_for() {
        assert!(error_of(&Failure::Busy.into())["title"].as_str().unwrap().contains("service unavailable"));
        let error = error_of(&Failure::from(WorkspaceError::StillManages(Some(2))).into());
        assert!(error["detail"].as_str().unwrap().contains("not safe to delete"), "{error}");
        assert!(!error.to_string().contains("locked"), "{error}");
        let error = error_of(&Failure::Put(PutError::TooLarge(7)).into());
        assert!(error["detail"].as_str().unwrap().contains("OPENTACO_MAX_STATE_BYTES"), "{error}");
    }

    #[test]
    fn a_key_of_the_store_is_not_shown() {
        let error = error_of(&Failure::from(StoreError::Corrupt("some/key".into())).into());
        assert!(!error.to_string().contains("some/key"), "{error}");
    }
}
