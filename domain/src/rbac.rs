//! Who may do what. A permission is a type: a rule that changes something takes the [`Grant`] it needs.

use std::marker::PhantomData;

use thiserror::Error;

use crate::actor::Actor;
use crate::id::WorkspaceId;
use crate::workspace::Workspace;

mod sealed {
    pub trait Sealed {}
}

/// A permission on a workspace.
pub trait Permission: sealed::Sealed {
    /// The permission's name in policies and messages.
    const NAME: &'static str;
}

macro_rules! permission {
    ($(#[$doc:meta])* $name:ident, $text:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {}
        impl sealed::Sealed for $name {}
        impl Permission for $name {
            const NAME: &'static str = $text;
        }
    };
}

permission!(
    /// Reading settings, state and outputs.
    Read,
    "unit:read"
);
permission!(
    /// Writing state; creating; tags and the Terraform version.
    Write,
    "unit:write"
);
permission!(
    /// Taking and freeing one's own lock.
    UseLock,
    "unit:lock"
);
permission!(
    /// Settings, forced unlocks and writes, deletion.
    Manage,
    "unit:manage"
);

/// A caller lacks a permission.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{subject} lacks the permission {permission} here")]
pub struct Denied {
    /// Who asked.
    pub subject: String,
    /// What is missing.
    pub permission: &'static str,
}

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

/// The installation's policy. Until access control is switched on, every authenticated caller may do everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy(());

impl Policy {
    /// The policy of an installation whose access control is off.
    pub fn open() -> Self {
        Self(())
    }

    /// Decides whether `actor` may use `P` on `workspace`.
    ///
    /// # Errors
    /// [`Denied`] when it may not.
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "part of the seam: the policy record decides here once access control exists"
    )]
    pub fn grant<P: Permission>(&self, actor: &Actor, workspace: &Workspace) -> Result<Grant<P>, Denied> {
        Ok(Grant { workspace: workspace.id, actor: actor.clone(), permission: PhantomData })
    }

    /// Decides whether `actor` may bring an organization into being.
    ///
    /// # Errors
    /// [`Denied`] when it may not.
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "part of the seam: the policy record decides here once access control exists"
    )]
    pub fn may_create_organization(&self, _actor: &Actor) -> Result<(), Denied> {
        Ok(())
    }

    /// Decides whether `actor` may make, change and delete projects.
    ///
    /// # Errors
    /// [`Denied`] when it may not.
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "part of the seam: the policy record decides here once access control exists"
    )]
    pub fn may_change_projects(&self, _actor: &Actor) -> Result<(), Denied> {
        Ok(())
    }
}
