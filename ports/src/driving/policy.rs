//! The installation's policy: whether access control is on, and who is administrator.

use std::collections::BTreeSet;
use std::sync::Arc;

use opentaco_domain::actor::{Door, Subject};
use opentaco_domain::policy::{Policy, Principal};

use super::access::Access;
use super::{Driven, Failure};
use crate::change::{Decision, change};
use crate::driven::records::ChangeKind;

/// Use cases of the policy, for who holds the storage. Nothing here asks for a right: the callers are the server's own
/// start and its offline commands.
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

    /// The policy as it is now. The first start that names administrators switches access control on; later ones change
    /// nothing, so that servers with other settings cannot undo each other.
    ///
    /// # Errors
    /// A failing store.
    pub async fn begin(&self, administrators: &BTreeSet<Principal>) -> Result<Begun, Failure> {
        let was_written = self.driven.policies.newest(&()).await?.is_some();
        let policy = self.change(ChangeKind::Created, |policy| match policy {
            None if !administrators.is_empty() => Some(Policy::open().switched_on(administrators)),
            _ => None,
        });
        Ok(Begun { policy: policy.await?, was_written })
    }

    /// Switches access control on and makes somebody an administrator.
    ///
    /// # Errors
    /// A failing store.
    pub async fn grant(&self, who: Principal) -> Result<Policy, Failure> {
        let who = BTreeSet::from([who]);
        self.change(ChangeKind::Changed, |policy| Some(policy.cloned().unwrap_or_default().switched_on(&who)))
            .await
    }

    /// Switches access control off: every authenticated caller may then do everything.
    ///
    /// # Errors
    /// A failing store.
    pub async fn open(&self) -> Result<Policy, Failure> {
        self.change(ChangeKind::Changed, |policy| Some(policy.cloned().unwrap_or_default().switched_off()))
            .await
    }

    async fn change(
        &self,
        kind: ChangeKind,
        next: impl Fn(Option<&Policy>) -> Option<Policy>,
    ) -> Result<Policy, Failure> {
        let owner = Subject::local_owner();
        let author = (&owner, Door::Login);
        let changed = change(self.driven.around(), &*self.driven.policies, &(), author, kind, |entry, _| {
            let now = entry.map(|entry| &entry.value);
            Ok::<_, Failure>(match next(now) {
                Some(policy) if now != Some(&policy) => Decision::Append(policy.clone(), policy),
                _ => Decision::Keep(now.cloned().unwrap_or_default()),
            })
        })
        .await?;
        self.access.forget_policy();
        Ok(changed.answer)
    }
}
