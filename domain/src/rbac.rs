//! Who may do what. A permission is a type: a rule that changes something takes the [`Grant`] it needs.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use thiserror::Error;

use crate::actor::{Actor, Subject};
use crate::id::WorkspaceId;
use crate::name::{NamePattern, OrganizationName, WorkspaceName};
use crate::policy::Place;
use crate::role::{Right, RightSet, Role, RoleName};
use crate::workspace::Workspace;

mod sealed {
    pub trait Sealed {}
}

/// A permission on a workspace.
pub trait Permission: sealed::Sealed {
    /// Which one.
    const RIGHT: Right;
}

macro_rules! permission {
    ($(#[$doc:meta])* $name:ident, $right:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {}
        impl sealed::Sealed for $name {}
        impl Permission for $name {
            const RIGHT: Right = $right;
        }
    };
}

permission!(
    /// Reading settings, state and outputs.
    Read,
    Right::UnitRead
);
permission!(
    /// Writing state; creating; tags and the Terraform version.
    Write,
    Right::UnitWrite
);
permission!(
    /// Taking and freeing one's own lock.
    UseLock,
    Right::UnitLock
);
permission!(
    /// Settings, forced unlocks and writes, deletion.
    Manage,
    Right::UnitManage
);

/// What a token is limited to, whatever its owner may do. Without limits it is worth its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Nothing beyond this role.
    pub role: Option<Role>,
    /// Nothing but units of these names.
    pub unit: Option<NamePattern>,
}

impl Scope {
    /// No limits.
    pub fn full() -> Self {
        Self::default()
    }

    /// Whether it limits nothing.
    pub fn is_full(&self) -> bool {
        self.role.is_none_or(|role| role == Role::Admin)
            && self.unit.as_ref().is_none_or(NamePattern::is_everything)
    }

    /// Whether a right on the unit of that name, or on no unit in particular, is within the limits.
    fn allows(&self, right: Right, unit: Option<&WorkspaceName>) -> bool {
        self.role.is_none_or(|role| role.has(right))
            && self.unit.as_ref().is_none_or(|pattern| match unit {
                Some(unit) => pattern.matches(unit.as_str()),
                None => pattern.is_everything(),
            })
    }
}

/// What made a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// Access control is off, or the caller is the server's owner or a workload within its trust rule.
    Everything,
    /// This role, assigned there, allows it.
    Allowed(RoleName, Place),
    /// This role, assigned there, denies it, whatever others allow.
    DeniedBy(RoleName, Place),
    /// Nothing that the caller has says anything about it.
    Nothing,
    /// The token is limited to less than its owner may do.
    Token,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let write = |f: &mut fmt::Formatter<'_>, verb: &str, role: &RoleName, place: &Place| {
            let (organizations, units) = (&place.organizations, place.units.as_str());
            write!(f, "role {role} on {units} in organization {organizations} {verb} it")
        };
        match self {
            Self::Everything => f.write_str("the caller may do everything"),
            Self::Allowed(role, place) => write(f, "allows", role, place),
            Self::DeniedBy(role, place) => write(f, "denies", role, place),
            Self::Nothing => f.write_str("no role of the caller's allows it"),
            Self::Token => f.write_str("the token is limited to less than its owner may do"),
        }
    }
}

/// A caller lacks a permission.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{subject} lacks the permission {permission} here: {because}")]
pub struct Denied {
    /// Who asked.
    pub subject: String,
    /// What is missing.
    pub permission: &'static str,
    /// Why.
    pub because: Box<Because>,
}

impl Denied {
    fn new(subject: &Subject, right: Right, because: Because) -> Self {
        Self { subject: subject.to_string(), permission: right.as_str(), because: Box::new(because) }
    }
}

/// A limited token, or a workload's, makes no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this token is limited, so it cannot make tokens; log in and make it then")]
pub struct LimitedToken;

/// Proof that this caller may use permission `P` on this one workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant<P: Permission> {
    workspace: WorkspaceId,
    actor: Actor,
    permission: PhantomData<P>,
}

impl<P: Permission> Grant<P> {
    /// Who was granted it.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Whether it was granted on that workspace.
    pub fn covers(&self, workspace: WorkspaceId) -> bool {
        self.workspace == workspace
    }
}

/// A role that a caller has somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which role, for the record of a decision.
    pub role: RoleName,
    /// What it allows.
    pub allow: RightSet,
    /// What it denies, whatever others allow.
    pub deny: RightSet,
    /// Where.
    pub place: Place,
}

/// What the policy gives somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Given {
    Everything,
    /// Shared, because rights travel in every actor and grant.
    Rules(Arc<[Rule]>),
}

/// What a caller may do: what the policy gives its subject, within the limits of its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    given: Given,
    scope: Scope,
}

impl Rights {
    /// Everything: what the server itself has.
    pub fn everything() -> Self {
        Self::of_everything(Scope::full())
    }

    /// Everything within that scope.
    pub(crate) fn of_everything(scope: Scope) -> Self {
        Self { given: Given::Everything, scope }
    }

    /// What those rules say within that scope.
    pub(crate) fn of_rules(rules: Vec<Rule>, scope: Scope) -> Self {
        Self { given: Given::Rules(rules.into()), scope }
    }

    /// Whether the token is limited to less than its owner may do.
    pub fn is_limited(&self) -> bool {
        !self.scope.is_full()
    }

    /// Decides about a right on the unit of that name in that organization; on every unit, or in every organization, where
    /// none is named. A rule that denies wins; where nothing matches, the answer is no.
    ///
    /// # Errors
    /// [`Denied`] with the reason.
    pub fn decide(
        &self,
        subject: &Subject,
        right: Right,
        organization: Option<&OrganizationName>,
        unit: Option<&WorkspaceName>,
    ) -> Result<Because, Denied> {
        let denied = |because| Err(Denied::new(subject, right, because));
        if !self.scope.allows(right, unit) {
            return denied(Because::Token);
        }
        let Given::Rules(rules) = &self.given else { return Ok(Because::Everything) };
        let mut allowed = None;
        for rule in rules.iter() {
            if rule.deny.has(right) && rule.place.touches(organization, unit) {
                return denied(Because::DeniedBy(rule.role.clone(), rule.place.clone()));
            }
            if allowed.is_none() && rule.allow.has(right) && rule.place.covers(organization, unit) {
                allowed = Some(Because::Allowed(rule.role.clone(), rule.place.clone()));
            }
        }
        allowed.map_or_else(|| denied(Because::Nothing), Ok)
    }

    /// Decides about a right on every unit of a place.
    ///
    /// # Errors
    /// [`Denied`] with the reason.
    pub(crate) fn decide_all(
        &self,
        subject: &Subject,
        right: Right,
        place: &Place,
    ) -> Result<Because, Denied> {
        let denied = |because| Err(Denied::new(subject, right, because));
        let in_scope = self.scope.role.is_none_or(|role| role.has(right))
            && self.scope.unit.as_ref().is_none_or(|limit| limit.contains(&place.units));
        if !in_scope {
            return denied(Because::Token);
        }
        let Given::Rules(rules) = &self.given else { return Ok(Because::Everything) };
        if let Some(rule) = rules.iter().find(|rule| rule.deny.has(right) && rule.place.overlaps(place)) {
            return denied(Because::DeniedBy(rule.role.clone(), rule.place.clone()));
        }
        match rules.iter().find(|rule| rule.allow.has(right) && rule.place.contains(place)) {
            Some(rule) => Ok(Because::Allowed(rule.role.clone(), rule.place.clone())),
            None => denied(Because::Nothing),
        }
    }

    /// Whether some rule gives a right on some unit of an organization.
    fn has_anything_in(&self, organization: &OrganizationName) -> bool {
        match &self.given {
            Given::Everything => true,
            Given::Rules(rules) => rules.iter().any(|rule| {
                rule.allow != RightSet::none() && rule.place.organizations.include(Some(organization))
            }),
        }
    }
}

impl Actor {
    /// Decides whether the caller may use `P` on `workspace`.
    ///
    /// # Errors
    /// [`Denied`] when it may not.
    pub fn grant<P: Permission>(&self, workspace: &Workspace) -> Result<Grant<P>, Denied> {
        let (organization, name) = (Some(&workspace.organization), Some(&workspace.name));
        self.rights.decide(&self.subject, P::RIGHT, organization, name)?;
        Ok(Grant { workspace: workspace.id, actor: self.clone(), permission: PhantomData })
    }

    /// Decides whether the caller may use `P` on `workspace`, and could do the same if it had that other name.
    ///
    /// # Errors
    /// [`Denied`] when it may not, or would lose the right by the name.
    pub fn grant_as<P: Permission>(
        &self,
        workspace: &Workspace,
        name: &WorkspaceName,
    ) -> Result<Grant<P>, Denied> {
        self.rights.decide(&self.subject, P::RIGHT, Some(&workspace.organization), Some(name))?;
        self.grant(workspace)
    }

    /// Whether the caller may know that there is an organization, and its projects: who may anything there.
    pub fn may_see_organization(&self, organization: &OrganizationName) -> bool {
        self.rights.has_anything_in(organization)
    }

    /// Whether the caller may make tokens of their own. A limited token may not, so that what it gives away is limited
    /// twice; a workload has its tokens by a trust rule and by nothing else.
    ///
    /// # Errors
    /// [`LimitedToken`].
    pub fn may_make_tokens(&self) -> Result<(), LimitedToken> {
        if self.rights.is_limited() || self.subject.is_workload() { Err(LimitedToken) } else { Ok(()) }
    }

    /// Whether the caller may know that there is a workspace of that name.
    pub fn may_see(&self, organization: &OrganizationName, workspace: &WorkspaceName) -> bool {
        let decided = self.rights.decide(&self.subject, Right::UnitRead, Some(organization), Some(workspace));
        decided.is_ok()
    }

    /// Decides whether the caller may use a right on all units of an organization, or of every one where none is named.
    ///
    /// # Errors
    /// [`Denied`] when it may not.
    pub fn may(&self, right: Right, organization: Option<&OrganizationName>) -> Result<(), Denied> {
        self.rights.decide(&self.subject, right, organization, None).map(drop)
    }
}
