//! What the core offers: use cases, each a few lines around a rule of the domain.

use std::sync::Arc;

use opentaco_domain::commit::CommitError;
use opentaco_domain::lock::LockError;
use opentaco_domain::name::{OrganizationName, WorkspaceName};
use opentaco_domain::organization::Organization;
use opentaco_domain::policy::{NotInitiator, Policy, PolicyError};
use opentaco_domain::project::ProjectError;
use opentaco_domain::rbac::{Denied, LimitedToken};
use opentaco_domain::tag::BadTags;
use opentaco_domain::token::BadEnd;
use opentaco_domain::user::{User, UserError};
use opentaco_domain::workspace::{NameClaim, Workspace, WorkspaceError};
use thiserror::Error;

use self::access::AccessError;
use crate::change::{Around, ChangeError};
use crate::driven::blobs::{Blobs, PutError};
use crate::driven::catalog::Catalog;
use crate::driven::records::Records;
use crate::driven::tokens::Tokens;
use crate::driven::versions::Versions;
use crate::driven::{Clock, Entropy, StoreError};

pub mod access;
pub mod api_tokens;
pub mod login;
mod names;
pub mod organizations;
pub mod policy;
pub mod projects;
mod rollback;
pub mod sessions;
pub mod state_versions;
pub mod users;
pub mod workspace_query;
pub mod workspaces;

/// Everything the use cases stand on.
pub struct Driven {
    /// Workspaces.
    pub workspaces: Arc<dyn Records<Workspace>>,
    /// Who has which name.
    pub names: Arc<dyn Records<NameClaim>>,
    /// Organizations.
    pub organizations: Arc<dyn Records<Organization>>,
    /// Who has logged in.
    pub users: Arc<dyn Records<User>>,
    /// Who may do what.
    pub policies: Arc<dyn Records<Policy>>,
    /// Hints for lists.
    pub catalog: Arc<dyn Catalog>,
    /// Descriptions of state versions.
    pub versions: Arc<dyn Versions>,
    /// Bytes.
    pub blobs: Arc<dyn Blobs>,
    /// API tokens.
    pub tokens: Arc<dyn Tokens>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// The longest state, in bytes.
    pub max_state_bytes: u64,
}

impl Driven {
    pub(crate) fn around(&self) -> Around<'_> {
        Around { clock: &*self.clock, entropy: &*self.entropy }
    }
}

/// Why a use case did not do as asked. Each door turns it into its own status and body, in one table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// There is no such thing, or the caller may not see it.
    #[error("{what} {name} was not found, or you may not see it")]
    Missing {
        /// `workspace`, `state version`, …
        what: &'static str,
        /// The name or id that was asked for.
        name: String,
    },
    /// The caller lacks a permission on something it may see.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A limited token, or a workload's, makes no tokens.
    #[error(transparent)]
    LimitedToken(#[from] LimitedToken),
    /// A rule about the policy said no.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A rule about users said no.
    #[error(transparent)]
    User(#[from] UserError),
    /// Access control is not this caller's to begin.
    #[error(transparent)]
    NotInitiator(#[from] NotInitiator),
    /// A rule about tokens said no.
    #[error(transparent)]
    TokenEnd(#[from] BadEnd),
    /// The token of the caller ended meanwhile.
    #[error(transparent)]
    Bearer(#[from] AccessError),
    /// Somebody has the name.
    #[error("workspace {name} already exists in organization {organization}")]
    NameTaken {
        /// Where.
        organization: OrganizationName,
        /// Which.
        name: WorkspaceName,
    },
    /// The organization exists.
    #[error("organization {0} already exists")]
    OrganizationTaken(OrganizationName),
    /// A rule about locks said no.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A rule about workspaces said no.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// A rule about projects said no.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// A rule about tags said no.
    #[error(transparent)]
    Tags(#[from] BadTags),
    /// A rule about state versions said no.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The bytes were not kept.
    #[error(transparent)]
    Put(PutError),
    /// Too many others are changing the same thing.
    #[error("too many others are changing this at the moment; nothing was changed, try again")]
    Busy,
    /// Storage failed before anything was tried.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Storage's answer got lost.
    #[error("the outcome is unknown: storage did not answer; look before you retry")]
    OutcomeUnknown,
}

impl Failure {
    /// There is no such thing, or the caller may not see it.
    #[expect(clippy::needless_pass_by_value, reason = "ids are small, and callers have them by value")]
    pub fn missing(what: &'static str, name: impl ToString) -> Self {
        // It may be anything that came in a request.
        Self::Missing { what, name: name.to_string().chars().take(200).collect() }
    }
}

impl From<PutError> for Failure {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Store(error) => Self::Store(error),
            other => Self::Put(other),
        }
    }
}

impl<E: Into<Failure>> From<ChangeError<E>> for Failure {
    fn from(error: ChangeError<E>) -> Self {
        match error {
            ChangeError::Refused(refusal) => refusal.into(),
            ChangeError::Busy => Self::Busy,
            ChangeError::Store(error) => Self::Store(error),
            ChangeError::OutcomeUnknown => Self::OutcomeUnknown,
        }
    }
}
