//! The installation's policy: whether access control is on, its roles, and who has them.

use std::collections::BTreeSet;
use std::sync::Arc;

use opentaco_domain::actor::{Actor, Door, Subject};
use opentaco_domain::name::{OrganizationName, WorkspaceName};
use opentaco_domain::policy::{NotInitiator, Policy, PolicyChange, may_change};
use opentaco_domain::principal::Principal;
use opentaco_domain::rbac::{Because, Denied, Scope};
use opentaco_domain::role::Right;
use opentaco_domain::user::{Email, Identity, User};

use super::access::{Access, Caller};
use super::{Driven, Failure};
use crate::change::{Decision, change};
use crate::driven::records::ChangeKind;

/// Use cases of the policy.
#[derive(Clone)]
pub struct Policies {
    driven: Arc<Driven>,
    access: Access,
}

/// What a start found.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The policy as it is now.
    pub policy: Policy,
    /// Whether somebody had written one before.
    pub was_written: bool,
}

impl Policies {
    /// Use cases over these ports.
    pub fn new(driven: Arc<Driven>, access: Access) -> Self {
        Self { driven, access }
    }

    /// Switches access control on and makes the caller an administrator.
    ///
    /// # Errors
    /// [`Failure::NotInitiator`]; a failing store.
    pub async fn init(&self, caller: &Caller) -> Result<Policy, Failure> {
        if caller.actor.rights.is_limited() {
            return Err(NotInitiator.into());
        }
        let (subject, user) = (&caller.actor.subject, caller.user.as_deref());
        self.change(subject, caller.actor.door, ChangeKind::Changed, |policy| {
            Ok(Some(policy.cloned().unwrap_or_default().begun_by(subject, user)?))
        })
        .await
    }

    /// Makes all of these changes, or none.
    ///
    /// # Errors
    /// [`Failure::Denied`] for what the caller may not change; [`Failure::Policy`]; a failing store.
    pub async fn apply(&self, actor: &Actor, changes: &[PolicyChange]) -> Result<Policy, Failure> {
        may_change(&actor.subject, &actor.rights, changes)?;
        self.change(&actor.subject, actor.door, ChangeKind::Changed, |policy| {
            Ok(Some(policy.cloned().unwrap_or_default().changed(changes)?))
        })
        .await
    }

    /// The policy as it is now, for who may see all of it.
    ///
    /// # Errors
    /// [`Failure::Denied`]; a failing store.
    pub async fn read(&self, actor: &Actor) -> Result<Arc<Policy>, Failure> {
        actor.may(Right::RbacManage, None)?;
        Ok(self.access.policy().await?)
    }

    /// What a decision about somebody would be, and why. One's own can be asked by everybody.
    ///
    /// # Errors
    /// [`Failure::Denied`] when the caller may not ask about others; a failing store.
    pub async fn test(
        &self,
        caller: &Caller,
        who: &Principal,
        right: Right,
        organization: &OrganizationName,
        unit: &WorkspaceName,
    ) -> Result<Result<Because, Denied>, Failure> {
        let (own, user) = (&caller.actor.subject, caller.user.as_deref());
        let policy = self.access.policy().await?;
        let (subject, user) = if who.is(own, user) {
            (own.clone(), caller.user.clone())
        } else {
            caller.actor.may(Right::RbacManage, None)?;
            match who {
                Principal::Subject(subject) => (subject.clone(), self.access.user(subject).await?),
                Principal::Email(email) => {
                    let users = self.driven.catalog.users().await?;
                    let known = users.into_iter().find(|user| user.verified_email() == Some(email));
                    let user = known.map_or_else(|| self.newcomer(email), Ok)?;
                    (user.subject.clone(), Some(Arc::new(user)))
                }
            }
        };
        let rights = policy.rights(&subject, user.as_deref(), Scope::full());
        Ok(rights.decide(&subject, right, Some(organization), Some(unit)))
    }

    /// Somebody with that verified address who has not logged in yet.
    fn newcomer(&self, email: &Email) -> Result<User, Failure> {
        let subject = Subject::of_provider(email.as_str()).map_err(|_| Failure::missing("user", email))?;
        let identity =
            Identity { email: Some(email.clone()), email_verified: true, ..Identity::bare(subject) };
        Ok(User::after_login(None, identity, self.driven.clock.now()))
    }

    /// The policy as it is now. The first start that names administrators switches access control on; later ones change
    /// nothing, so that servers with other settings cannot undo each other.
    ///
    /// # Errors
    /// A failing store.
    pub async fn begin(&self, administrators: &BTreeSet<Principal>) -> Result<Begun, Failure> {
        let was_written = self.driven.policies.newest(&()).await?.is_some();
        let server = Subject::local_owner();
        let policy = self.change(&server, Door::Login, ChangeKind::Created, |policy| {
            Ok(match policy {
                None if !administrators.is_empty() => Some(Policy::open().switched_on(administrators)),
                _ => None,
            })
        });
        Ok(Begun { policy: policy.await?, was_written })
    }

    /// Switches access control on and makes somebody an administrator. It is for who holds the storage.
    ///
    /// # Errors
    /// A failing store.
    pub async fn grant(&self, who: Principal) -> Result<Policy, Failure> {
        let who = BTreeSet::from([who]);
        self.change(&Subject::local_owner(), Door::Login, ChangeKind::Changed, |policy| {
            Ok(Some(policy.cloned().unwrap_or_default().switched_on(&who)))
        })
        .await
    }

    /// Switches access control off: every authenticated caller may then do everything. It is for who holds the storage.
    ///
    /// # Errors
    /// A failing store.
    pub async fn open(&self) -> Result<Policy, Failure> {
        self.change(&Subject::local_owner(), Door::Login, ChangeKind::Changed, |policy| {
            Ok(Some(policy.cloned().unwrap_or_default().switched_off()))
        })
        .await
    }

    async fn change(
        &self,
        subject: &Subject,
        door: Door,
        kind: ChangeKind,
        next: impl Fn(Option<&Policy>) -> Result<Option<Policy>, Failure>,
    ) -> Result<Policy, Failure> {
        let (around, records) = (self.driven.around(), &*self.driven.policies);
        let changed = change(around, records, &(), (subject, door), kind, |entry, _| {
            let now = entry.map(|entry| &entry.value);
            Ok::<_, Failure>(match next(now)? {
                Some(policy) if now != Some(&policy) => Decision::Append(policy.clone(), policy),
                _ => Decision::Keep(now.cloned().unwrap_or_default()),
            })
        });
        let policy = changed.await?.answer;
        self.access.forget_policy();
        Ok(policy)
    }
}
