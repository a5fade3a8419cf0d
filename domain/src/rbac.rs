//! Who may do what. A permission is a type: a rule that changes something takes the [`Grant`] it needs.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use thiserror::Error;

use crate::actor::{Actor, Subject};
use crate::id::WorkspaceId;
use crate::name::{NamePattern, WorkspaceName};
use crate::user::{Email, User};
use crate::workspace::Workspace;

mod sealed {
    pub trait Sealed {}
}

/// What can be permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// `unit:read`.
    UnitRead,
    /// `unit:lock`.
    UnitLock,
    /// `unit:write`.
    UnitWrite,
    /// `unit:manage`.
    UnitManage,
    /// `org:create`.
    OrgCreate,
    /// `rbac:manage`.
    RbacManage,
    /// `audit:read`.
    AuditRead,
}

impl Right {
    /// The name in policies and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnitRead => "unit:read",
            Self::UnitLock => "unit:lock",
            Self::UnitWrite => "unit:write",
            Self::UnitManage => "unit:manage",
            Self::OrgCreate => "org:create",
            Self::RbacManage => "rbac:manage",
            Self::AuditRead => "audit:read",
        }
    }
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

/// A built-in role. Each one may what the one before it may, and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Reader,
    /// Reads and locks.
    Planner,
    /// Reads, locks and writes.
    Writer,
    /// Does everything with units.
    Operator,
    /// Does everything.
    Admin,
}

/// A name that no built-in role has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a role is reader, planner, writer, operator or admin")]
pub struct BadRole;

impl Role {
    const ALL: [Self; 5] = [Self::Reader, Self::Planner, Self::Writer, Self::Operator, Self::Admin];

    /// The role's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Planner => "planner",
            Self::Writer => "writer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Whether the role has that right.
    pub fn has(self, right: Right) -> bool {
        let least = match right {
            Right::UnitRead => Self::Reader,
            Right::UnitLock => Self::Planner,
            Right::UnitWrite => Self::Writer,
            Right::UnitManage => Self::Operator,
            Right::OrgCreate | Right::RbacManage | Right::AuditRead => Self::Admin,
        };
        self >= least
    }
}

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(text: &str) -> Result<Self, BadRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(BadRole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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

    /// Whether it limits anything.
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

/// A caller lacks a permission.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{subject} lacks the permission {permission} here{reason}")]
pub struct Denied {
    /// Who asked.
    pub subject: String,
    /// What is missing.
    pub permission: &'static str,
    /// What else there is to say, with the punctuation before it.
    reason: &'static str,
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

/// What the policy gives somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    Everything,
    Nothing,
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
        Self { given: Given::Everything, scope: Scope::full() }
    }

    /// Whether the token is limited to less than its owner may do.
    pub fn is_limited(&self) -> bool {
        !self.scope.is_full()
    }

    fn decide(&self, subject: &Subject, right: Right, unit: Option<&WorkspaceName>) -> Result<(), Denied> {
        let denied =
            |reason| Err(Denied { subject: subject.to_string(), permission: right.as_str(), reason });
        if self.given == Given::Nothing {
            return denied("");
        }
        if !self.scope.allows(right, unit) {
            return denied(": the token is limited to less than its owner may do");
        }
        Ok(())
    }
}

impl Actor {
    /// Decides whether the caller may use `P` on `workspace`.
    ///
    /// # Errors
    /// [`Denied`] when it may not.
    pub fn grant<P: Permission>(&self, workspace: &Workspace) -> Result<Grant<P>, Denied> {
        self.rights.decide(&self.subject, P::RIGHT, Some(&workspace.name))?;
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
        self.rights.decide(&self.subject, P::RIGHT, Some(name))?;
        self.grant(workspace)
    }

    /// Whether the caller may know that there is an organization, and its projects: who may anything there.
    pub fn may_see_organizations(&self) -> bool {
        self.rights.given == Given::Everything
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
    pub fn may_see(&self, workspace: &WorkspaceName) -> bool {
        self.rights.decide(&self.subject, Right::UnitRead, Some(workspace)).is_ok()
    }

    /// Decides whether the caller may use a right that is about no unit in particular, or about all of them.
    ///
    /// # Errors
    /// [`Denied`] when it may not.
    pub fn may(&self, right: Right) -> Result<(), Denied> {
        self.rights.decide(&self.subject, right, None)
    }
}

/// Who can be an administrator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principal {
    /// Somebody by their subject.
    Subject(Subject),
    /// Whoever has that address, once their provider vouches for it.
    Email(Email),
}

/// A text that names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("name a verified e-mail address (alice@example.com) or a subject (oidc:SUB, dev:NAME, local:owner)")]
pub struct BadPrincipal;

impl FromStr for Principal {
    type Err = BadPrincipal;

    /// A subject has its source before a colon; anything else with an `@` is an e-mail address.
    fn from_str(text: &str) -> Result<Self, BadPrincipal> {
        if let Ok(subject) = text.parse::<Subject>() {
            return if subject.is_workload() { Err(BadPrincipal) } else { Ok(Self::Subject(subject)) };
        }
        if text.contains(':') {
            return Err(BadPrincipal);
        }
        text.parse().map(Self::Email).map_err(|_| BadPrincipal)
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => subject.fmt(f),
            Self::Email(email) => email.fmt(f),
        }
    }
}

impl Principal {
    fn is(&self, subject: &Subject, user: Option<&User>) -> bool {
        match self {
            Self::Subject(named) => named == subject,
            // The development login asserts nothing, so no address of it is ever verified.
            Self::Email(named) => user.and_then(User::verified_email) == Some(named),
        }
    }
}

/// The installation's policy: one record for all its servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether access control is on. Until then every authenticated caller may do everything.
    pub on: bool,
    /// Who may do everything.
    pub administrators: BTreeSet<Principal>,
}

impl Policy {
    /// The policy of an installation whose access control is off.
    pub fn open() -> Self {
        Self::default()
    }

    /// What a subject may do with a token of that scope. `user` is what is known of the subject from its newest login.
    pub fn rights(&self, subject: &Subject, user: Option<&User>, scope: Scope) -> Rights {
        // A workload was let in by a trust rule, and its token's role is what that rule gives.
        let is_trusted = subject.is_workload() && scope.role.is_some();
        let everything = !self.on || is_trusted || self.is_administrator(subject, user);
        Rights { given: if everything { Given::Everything } else { Given::Nothing }, scope }
    }

    /// Whether a subject is an administrator. Who sits at the server's terminal always is.
    pub fn is_administrator(&self, subject: &Subject, user: Option<&User>) -> bool {
        subject.is_local_owner() || self.administrators.iter().any(|named| named.is(subject, user))
    }

    /// The policy with access control on and these administrators besides those it has.
    #[must_use]
    pub fn switched_on(&self, administrators: &BTreeSet<Principal>) -> Self {
        let mut next = self.clone();
        next.on = true;
        next.administrators.extend(administrators.iter().cloned());
        next
    }

    /// The policy with access control off; its administrators stay, for when it is switched on again.
    #[must_use]
    pub fn switched_off(&self) -> Self {
        Self { on: false, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::time::Timestamp;
    use crate::user::Identity;

    fn user(subject: &Subject, email: &str, verified: bool) -> User {
        let identity = Identity {
            email: Some(email.parse().unwrap()),
            email_verified: verified,
            ..Identity::bare(subject.clone())
        };
        User::after_login(None, identity, Timestamp::from_millis(0))
    }

    fn on(administrators: &[&str]) -> Policy {
        let named: BTreeSet<Principal> = administrators.iter().map(|name| name.parse().unwrap()).collect();
        Policy::open().switched_on(&named)
    }

    fn name(text: &str) -> WorkspaceName {
        text.parse().unwrap()
    }

    fn allows(rights: &Rights, right: Right, unit: Option<&str>) -> bool {
        rights.decide(&Subject::local_owner(), right, unit.map(name).as_ref()).is_ok()
    }

    const EACH: [Right; 7] = [
        Right::UnitRead,
        Right::UnitLock,
        Right::UnitWrite,
        Right::UnitManage,
        Right::OrgCreate,
        Right::RbacManage,
        Right::AuditRead,
    ];

    #[test]
    fn the_built_in_roles_have_what_the_documentation_says() {
        let rights = |role: Role| EACH.into_iter().filter(|right| role.has(*right)).count();
        assert_eq!(Role::ALL.map(rights), [1, 2, 3, 4, 7]);
        assert!(Role::Planner.has(Right::UnitLock) && !Role::Planner.has(Right::UnitWrite));
        assert_eq!("admin".parse(), Ok(Role::Admin));
        assert_eq!("root".parse::<Role>(), Err(BadRole));
    }

    #[test]
    fn while_access_control_is_off_everybody_may_do_everything() {
        let bob = Subject::development("bob").unwrap();
        let rights = Policy::open().rights(&bob, None, Scope::full());
        assert!(EACH.into_iter().all(|right| allows(&rights, right, Some("x"))));
    }

    #[test]
    fn once_it_is_on_only_administrators_may() {
        let [alice, bob] = ["alice", "bob"].map(|sub| Subject::of_provider(sub).unwrap());
        let policy = on(&["alice@example.com", "oidc:carol"]);
        let may = |subject: &Subject, user: Option<&User>| {
            allows(&policy.rights(subject, user, Scope::full()), Right::UnitRead, Some("x"))
        };
        assert!(may(&alice, Some(&user(&alice, "Alice@Example.com", true))));
        assert!(!may(&alice, Some(&user(&alice, "alice@example.com", false))), "not vouched for");
        assert!(!may(&alice, None));
        assert!(!may(&bob, Some(&user(&bob, "bob@example.com", true))));
        assert!(may(&Subject::of_provider("carol").unwrap(), None));
        assert!(may(&Subject::local_owner(), None));
        let off = policy.switched_off();
        assert!(allows(&off.rights(&bob, None, Scope::full()), Right::UnitRead, Some("x")));
        assert_eq!(off.switched_on(&BTreeSet::new()), policy, "nobody is forgotten");
    }

    #[test]
    fn an_address_in_a_name_that_nobody_checked_makes_no_administrator() {
        let policy = on(&["alice@example.com"]);
        let pretender = Subject::development("alice@example.com").unwrap();
        assert!(!policy.is_administrator(&pretender, None));
        let pretender = Subject::of_provider("alice@example.com").unwrap();
        assert!(!policy.is_administrator(&pretender, None));
    }

    #[test]
    fn a_token_is_never_worth_more_than_its_limits() {
        let scope = Scope { role: Some(Role::Writer), unit: Some(NamePattern::new("app/*")) };
        let rights = Policy::open().rights(&Subject::local_owner(), None, scope);
        assert!(rights.is_limited());
        assert!(allows(&rights, Right::UnitWrite, Some("app/prod")));
        assert!(!allows(&rights, Right::UnitManage, Some("app/prod")));
        assert!(!allows(&rights, Right::UnitRead, Some("other")));
        assert!(!allows(&rights, Right::UnitRead, None), "no unit in particular is all of them");
        let narrow = Scope { role: Some(Role::Admin), unit: Some(NamePattern::new("app/*")) };
        let rights = Policy::open().rights(&Subject::local_owner(), None, narrow);
        assert!(!allows(&rights, Right::OrgCreate, None));
        assert!(Scope { role: Some(Role::Admin), unit: Some(NamePattern::new("*")) }.is_full());
    }

    #[test]
    fn a_token_is_never_worth_more_than_its_owner_except_a_workloads() {
        let nobody = on(&[]).rights(&Subject::of_provider("bob").unwrap(), None, Scope::full());
        assert!(EACH.into_iter().all(|right| !allows(&nobody, right, Some("x"))));
        let scope = Scope { role: Some(Role::Reader), unit: Some(NamePattern::new("app/*")) };
        let workload = on(&[]).rights(&Subject::workload("github", "repo:a/b").unwrap(), None, scope);
        let unruled = on(&[]).rights(&Subject::workload("github", "repo:a/b").unwrap(), None, Scope::full());
        assert!(!allows(&unruled, Right::UnitRead, Some("app/x")), "no rule gave it a role");
        assert!(allows(&workload, Right::UnitRead, Some("app/x")));
        assert!(!allows(&workload, Right::UnitRead, Some("other")));
    }

    #[test]
    fn a_principal_is_a_subject_or_an_address() {
        for good in ["alice@example.com", "oidc:alice@example.com", "dev:a", "local:owner", "oidc:auth0|x"] {
            assert!(good.parse::<Principal>().is_ok(), "{good}");
        }
        assert!(matches!("alice@example.com".parse(), Ok(Principal::Email(_))));
        assert!(matches!("oidc:alice@example.com".parse(), Ok(Principal::Subject(_))));
        for bad in ["", "alice", "ci:github:repo", "ldap:alice@example.com", "local:other"] {
            assert_eq!(bad.parse::<Principal>(), Err(BadPrincipal), "{bad}");
        }
    }
}
