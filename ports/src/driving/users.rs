//! Everybody who has logged in: who they are, and whether what they hold counts.

use std::sync::Arc;

use opentaco_domain::actor::{Actor, Subject};
use opentaco_domain::principal::Principal;
use opentaco_domain::role::Right;
use opentaco_domain::user::User;

use super::access::Access;
use super::{Driven, Failure};
use crate::change::{Decision, change};
use crate::driven::records::ChangeKind;

/// Use cases of users.
#[derive(Clone)]
pub struct Users {
    driven: Arc<Driven>,
    access: Access,
}

impl Users {
    /// Use cases over these ports.
    pub fn new(driven: Arc<Driven>, access: Access) -> Self {
        Self { driven, access }
    }

    /// Everybody who has logged in, in the order of their subjects.
    ///
    /// # Errors
    /// [`Failure::Denied`]; a failing store.
    pub async fn list(&self, actor: &Actor) -> Result<Vec<User>, Failure> {
        actor.may(Right::RbacManage, None)?;
        Ok(self.driven.catalog.users().await?)
    }

    /// Makes everything that somebody holds count no more, or again: at once here, within 5 seconds elsewhere. An address
    /// names everybody who has it, whether it is verified or not.
    ///
    /// # Errors
    /// [`Failure::Denied`]; [`Failure::Missing`] when nobody of that address has logged in; [`Failure::User`] when the
    /// caller names themselves; a failing store.
    pub async fn set_disabled(
        &self,
        actor: &Actor,
        who: &Principal,
        disabled: bool,
    ) -> Result<Vec<Subject>, Failure> {
        actor.may(Right::RbacManage, None)?;
        let subjects = match who {
            Principal::Subject(subject) => vec![subject.clone()],
            Principal::Email(email) => {
                let users = self.driven.catalog.users().await?;
                let named = users.into_iter().filter(|user| user.email.as_ref() == Some(email));
                named.map(|user| user.subject).collect()
            }
        };
        if subjects.is_empty() {
            return Err(Failure::missing("user", who));
        }
        for subject in &subjects {
            self.set_one(actor, subject, disabled).await?;
        }
        Ok(subjects)
    }

    /// Somebody who has never logged in can be disabled, too: then they never get in.
    async fn set_one(&self, actor: &Actor, subject: &Subject, disabled: bool) -> Result<(), Failure> {
        let author = (&actor.subject, actor.door);
        let (around, records) = (self.driven.around(), &*self.driven.users);
        let changed = change(around, records, subject, author, ChangeKind::Changed, |entry, now| {
            let user = entry.map(|entry| entry.value.clone());
            let user = user.unwrap_or_else(|| User::unseen(subject.clone(), now));
            if user.disabled == disabled {
                return Ok::<_, Failure>(Decision::Keep(()));
            }
            Ok(Decision::Append(user.set_disabled(&actor.subject, disabled)?, ()))
        });
        changed.await?;
        self.access.forget_user(subject);
        Ok(())
    }
}
