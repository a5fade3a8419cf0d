//! From an outcome to a status and a problem document (RFC 9457): this door's one table.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use opentaco_domain::commit::CommitError;
use opentaco_domain::lock::LockError;
use opentaco_domain::policy::PolicyError;
use opentaco_domain::project::ProjectError;
use opentaco_domain::workspace::WorkspaceError;
use opentaco_ports::driven::StoreError;
use opentaco_ports::driven::blobs::PutError;
use opentaco_ports::driving::Failure;
use opentaco_ports::driving::access::AccessError;
use serde_json::json;

use crate::auth::NotBearer;
use crate::body::BodyRefused;
use crate::task::Crashed;

/// What a client is told.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
}

impl Problem {
    fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into() }
    }

    /// No token came.
    pub(crate) fn no_token() -> Self {
        let detail = "send a token as `Authorization: Bearer …`; `terraform login` gives one";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// The body is not what it should be.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad request", detail)
    }

    /// A value breaks a rule, in the rule's words.
    pub(crate) fn invalid(rule: impl fmt::Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid value", rule.to_string())
    }

    fn later(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "service unavailable", detail)
    }
}

/// Answers paths without a route.
pub(crate) async fn no_route() -> HttpResponse {
    Problem::new(StatusCode::NOT_FOUND, "not found", "there is nothing at this path").error_response()
}

/// Answers methods that a route does not have.
pub(crate) async fn wrong_method() -> HttpResponse {
    let detail = "this path does not take this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", detail).error_response()
}

impl From<NotBearer> for Problem {
    fn from(_: NotBearer) -> Self {
        Self::no_token()
    }
}

impl From<Crashed> for Problem {
    fn from(_: Crashed) -> Self {
        let detail = "the server failed; its log may say why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal server error", detail)
    }
}

impl From<BodyRefused> for Problem {
    fn from(refused: BodyRefused) -> Self {
        let detail = refused.to_string();
        match refused {
            BodyRefused::TooLarge(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload too large", detail),
            BodyRefused::Encoded => {
                Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported media type", detail)
            }
            BodyRefused::Early(_) => Self::malformed(detail),
            BodyRefused::Busy => Self::later(detail),
            BodyRefused::Bearer(error) => error.into(),
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        let detail = error.to_string();
        match error {
            AccessError::Store(error) => error.into(),
            AccessError::Jwt | AccessError::Refused(_) => {
                Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.may_pass() {
            return Self::later(error.told());
        }
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal server error", error.told())
    }
}

fn policy_status(error: &PolicyError) -> StatusCode {
    match error {
        PolicyError::NoRole(_) | PolicyError::NotAssigned => StatusCode::NOT_FOUND,
        PolicyError::RoleTaken(_)
        | PolicyError::BuiltIn(_)
        | PolicyError::RoleInUse(_)
        | PolicyError::LastAdministrator => StatusCode::CONFLICT,
        PolicyError::TooManyRoles | PolicyError::TooManyAssignments | PolicyError::Description => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
    }
}

impl From<Failure> for Problem {
    /// The table. It is exhaustive on purpose: a new failure does not compile until it has a status here.
    fn from(failure: Failure) -> Self {
        use StatusCode as S;
        let detail = failure.to_string();
        match failure {
            Failure::Missing { .. }
            | Failure::Lock(LockError::Deleted)
            | Failure::Workspace(WorkspaceError::Deleted)
            | Failure::Commit(CommitError::Deleted) => Self::new(S::NOT_FOUND, "not found", detail),
            Failure::Denied(_)
            | Failure::LimitedToken(_)
            | Failure::NotInitiator(_)
            | Failure::Workspace(WorkspaceError::NotManager)
            | Failure::Commit(CommitError::Expired) => Self::new(S::FORBIDDEN, "forbidden", detail),
            Failure::Policy(error) => match policy_status(&error) {
                S::NOT_FOUND => Self::new(S::NOT_FOUND, "not found", detail),
                S::CONFLICT => Self::new(S::CONFLICT, "conflict", detail),
                other => Self::new(other, "invalid value", detail),
            },
            Failure::TokenEnd(_)
            | Failure::Tags(_)
            | Failure::Workspace(WorkspaceError::Settings(_))
            | Failure::Project(ProjectError::Description | ProjectError::TooMany)
            | Failure::Commit(
                CommitError::SerialTooLarge(_)
                | CommitError::DigestMismatch { .. }
                | CommitError::DocumentMismatch { .. }
                | CommitError::NoSerial(_),
            )
            | Failure::Put(PutError::NotAState(_)) => {
                Self::new(S::UNPROCESSABLE_ENTITY, "invalid value", detail)
            }
            Failure::Put(PutError::TooLarge(_) | PutError::OutputsTooLarge(_)) => {
                Self::new(S::PAYLOAD_TOO_LARGE, "payload too large", detail)
            }
            Failure::Put(PutError::Body(_)) => Self::malformed(detail),
            Failure::NameTaken { .. }
            | Failure::OrganizationTaken(_)
            | Failure::User(_)
            | Failure::Lock(LockError::Held(_) | LockError::NotLocked)
            | Failure::Workspace(
                WorkspaceError::Locked(_) | WorkspaceError::StillManages(_) | WorkspaceError::RenameLost(_),
            )
            | Failure::Project(
                ProjectError::NameTaken(_) | ProjectError::NotEmpty(_) | ProjectError::Default,
            )
            | Failure::Commit(
                CommitError::NotLocked
                | CommitError::HeldByAnother(_)
                | CommitError::Fenced
                | CommitError::SerialDoesNotRise { .. }
                | CommitError::ForeignLineage { .. }
                | CommitError::Overtaken
                | CommitError::Finalized
                | CommitError::Full,
            ) => Self::new(S::CONFLICT, "conflict", detail),
            Failure::Bearer(error) => error.into(),
            Failure::Put(PutError::Store(error)) | Failure::Store(error) => error.into(),
            Failure::Busy | Failure::OutcomeUnknown => Self::later(detail),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status;
        if status.is_server_error() {
            tracing::error!(status = status.as_u16(), failure = %self, "a request failed");
        }
        let mut answer = HttpResponse::build(status);
        match status {
            StatusCode::SERVICE_UNAVAILABLE => answer.insert_header((RETRY_AFTER, "1")),
            StatusCode::UNAUTHORIZED => answer.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"opentaco\"")),
            _ => &mut answer,
        };
        let problem = json!({"type": "about:blank", "title": self.title, "status": status.as_u16(), "detail": self.detail});
        answer
            .insert_header(("content-type", "application/problem+json"))
            .insert_header(("cache-control", "no-store"))
            .body(problem.to_string())
    }
}
