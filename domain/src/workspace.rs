//! A workspace: settings, tags, one lock, one current state version. Also called a unit.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::id::{OperationId, StateVersionId, WorkspaceId};
use crate::lock::Lock;
use crate::name::{OrganizationName, WorkspaceName};
use crate::rbac::{Grant, Manage, Permission, Write};
use crate::settings::{BadSettings, MAX_CONSUMERS, Settings, SettingsChange};
use crate::state::StateVersion;
use crate::tag::Tags;
use crate::time::Timestamp;

/// The whole workspace as one record entry holds it. It does not grow with the number of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Its identity, which outlives a rename.
    pub id: WorkspaceId,
    /// The organization it lives in.
    pub organization: OrganizationName,
    /// Its name there.
    pub name: WorkspaceName,
    /// The name it is about to take: claimed before it is borne, so that two workspaces never bear one name.
    pub renaming_to: Option<Renaming>,
    /// What people set.
    pub settings: Settings,
    /// Its tags.
    pub tags: Tags,
    /// When it was created.
    pub created_at: Timestamp,
    /// When settings, tags or state last changed.
    pub updated_at: Timestamp,
    /// Who has the lock.
    pub lock: Option<Lock>,
    /// The newest state version.
    pub current: Option<StateVersion>,
    /// Proposals made at an entry below this are refused.
    pub sweep_floor: u64,
    /// Whether it is alive.
    pub life: Life,
}

/// A name that a workspace is about to take. Only the request that announced it may finish it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renaming {
    /// The name.
    pub name: WorkspaceName,
    /// The request that announced it.
    pub by: OperationId,
}

/// Whether a workspace is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// In use.
    Live,
    /// Deleted; the record stays as a tombstone.
    Deleted,
    /// Its creation was given up half way and finished by somebody else as never created.
    Abandoned,
}

/// What a rule decided: nothing to change, or the workspace as it should be next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It already is as asked.
    Unchanged,
    /// It should become this.
    Changed(Box<Workspace>),
}

impl Outcome {
    pub(crate) fn changed(next: Workspace) -> Self {
        Self::Changed(Box::new(next))
    }
}

/// Why a workspace was not changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WorkspaceError {
    /// It was deleted.
    #[error("the workspace was deleted")]
    Deleted,
    /// It is locked.
    #[error("the workspace is locked by {}; unlock it first", .0.holder.subject)]
    Locked(Box<Lock>),
    /// Its state still has resources, or it cannot be seen whether it has.
    #[error(
        "the workspace is not safe to delete: its state {}; destroy them first, or delete by force",
        match .0 { Some(n) => format!("still manages {n} resources"), None => "is encrypted and may manage resources".to_owned() }
    )]
    StillManages(Option<u64>),
    /// It needs the right to manage the workspace.
    #[error("this needs the permission unit:manage")]
    NotManager,
    /// Somebody else took the name while the workspace was being renamed to it.
    #[error("the name {0} was taken by another workspace meanwhile")]
    RenameLost(WorkspaceName),
    /// A setting is outside the rule.
    #[error(transparent)]
    Settings(#[from] BadSettings),
}

/// What is to become of a workspace, all at once; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Its settings.
    pub settings: SettingsChange,
    /// Its tags.
    pub tags: Option<Tags>,
    /// Its name.
    pub name: Option<WorkspaceName>,
}

impl Update {
    /// Whether it needs the right to manage: tags and the Terraform version need only the right to write, because
    /// `terraform init` sets them.
    pub fn needs_manage(&self) -> bool {
        self.settings.needs_manage() || self.name.is_some()
    }
}

/// How careful a deletion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Refused while the state manages resources.
    Safe,
    /// Whatever the state manages.
    Force,
}

impl Workspace {
    /// A new workspace, as the first entry of its record.
    pub fn create(
        id: WorkspaceId,
        organization: OrganizationName,
        name: WorkspaceName,
        settings: &SettingsChange,
        tags: Tags,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            organization,
            name,
            renaming_to: None,
            settings: settings.over(&Settings::default()),
            tags,
            created_at: now,
            updated_at: now,
            lock: None,
            current: None,
            sweep_floor: 0,
            life: Life::Live,
        }
    }

    /// The same workspace as a creation that was given up.
    #[must_use]
    pub fn abandoned(self) -> Self {
        Self { life: Life::Abandoned, ..self }
    }

    /// Whether it is in use.
    pub fn is_live(&self) -> bool {
        self.life == Life::Live
    }

    pub(crate) fn must_live<P: Permission>(&self, grant: &Grant<P>) -> Result<(), WorkspaceError> {
        if self.is_live() && grant.covers(self.id) { Ok(()) } else { Err(WorkspaceError::Deleted) }
    }

    /// Changes settings, tags and name at once. A new name must have been announced by the same request, by
    /// [`Workspace::begin_rename`], and nobody may have announced another or ended it since.
    ///
    /// # Errors
    /// [`WorkspaceError::NotManager`]; [`WorkspaceError::RenameLost`]; [`WorkspaceError::Deleted`].
    pub fn update(
        &self,
        grant: &Grant<Write>,
        manage: Option<&Grant<Manage>>,
        update: &Update,
        announced: Option<OperationId>,
        now: Timestamp,
    ) -> Result<Outcome, WorkspaceError> {
        self.must_live(grant)?;
        let manages = |manage: &Grant<Manage>| manage.covers(self.id) && manage.actor() == grant.actor();
        if update.needs_manage() && !manage.is_some_and(manages) {
            return Err(WorkspaceError::NotManager);
        }
        let mut next = Self { settings: update.settings.over(&self.settings), ..self.clone() };
        if let Some(tags) = &update.tags {
            next.tags = tags.clone();
        }
        if let Some(name) = update.name.as_ref().filter(|name| **name != self.name) {
            let own = announced.map(|by| Renaming { name: name.clone(), by });
            if own.is_none() || self.renaming_to != own {
                return Err(WorkspaceError::RenameLost(name.clone()));
            }
            next.name = name.clone();
            next.renaming_to = None;
        }
        if next == *self {
            return Ok(Outcome::Unchanged);
        }
        next.settings.check_size()?;
        Ok(Outcome::changed(Self { updated_at: now, ..next }))
    }

    /// Announces that the workspace is about to take a name; what was announced before is given up.
    ///
    /// # Errors
    /// [`WorkspaceError::Deleted`].
    pub fn begin_rename(
        &self,
        grant: &Grant<Manage>,
        name: &WorkspaceName,
        by: OperationId,
    ) -> Result<Outcome, WorkspaceError> {
        self.must_live(grant)?;
        let renaming = Renaming { name: name.clone(), by };
        Ok(Outcome::changed(Self { renaming_to: Some(renaming), ..self.clone() }))
    }

    /// Ends the renaming that this request announced.
    pub fn give_up_rename(&self, by: OperationId) -> Outcome {
        match &self.renaming_to {
            Some(renaming) if renaming.by == by => {
                Outcome::changed(Self { renaming_to: None, ..self.clone() })
            }
            _ => Outcome::Unchanged,
        }
    }

    /// Whether it is about to take that name.
    pub fn is_renaming_to(&self, name: &WorkspaceName) -> bool {
        self.renaming_to.as_ref().is_some_and(|renaming| renaming.name == *name)
    }

    /// Ends a renaming to that name which was not finished, so that somebody else may have the name. It needs no right:
    /// the name was never borne.
    pub fn cancel_rename(&self, name: &WorkspaceName) -> Outcome {
        if self.is_renaming_to(name) {
            Outcome::changed(Self { renaming_to: None, ..self.clone() })
        } else {
            Outcome::Unchanged
        }
    }

    /// Names the workspaces that may read its state.
    ///
    /// # Errors
    /// [`WorkspaceError::Settings`] when there are more than [`MAX_CONSUMERS`]; [`WorkspaceError::Deleted`].
    pub fn change_consumers(
        &self,
        grant: &Grant<Manage>,
        consumers: BTreeSet<WorkspaceId>,
        now: Timestamp,
    ) -> Result<Outcome, WorkspaceError> {
        self.must_live(grant)?;
        if consumers.len() > MAX_CONSUMERS {
            return Err(BadSettings::Consumers.into());
        }
        if consumers == self.settings.consumers {
            return Ok(Outcome::Unchanged);
        }
        let settings = Settings { consumers, ..self.settings.clone() };
        Ok(Outcome::changed(Self { settings, updated_at: now, ..self.clone() }))
    }

    /// Deletes it, leaving a tombstone.
    ///
    /// # Errors
    /// [`WorkspaceError::Locked`] while anybody holds the lock; [`WorkspaceError::StillManages`] when a safe
    /// deletion meets a state with resources; [`WorkspaceError::Deleted`].
    pub fn delete(
        &self,
        grant: &Grant<Manage>,
        how: Deletion,
        now: Timestamp,
    ) -> Result<Outcome, WorkspaceError> {
        self.must_live(grant)?;
        if let Some(lock) = &self.lock {
            return Err(WorkspaceError::Locked(Box::new(lock.clone())));
        }
        if let (Deletion::Safe, Some(current)) = (how, &self.current)
            && current.resources != Some(0)
        {
            return Err(WorkspaceError::StillManages(current.resources));
        }
        Ok(Outcome::changed(Self { life: Life::Deleted, updated_at: now, ..self.clone() }))
    }

    /// The id of the newest state version.
    pub fn current_id(&self) -> Option<StateVersionId> {
        self.current.as_ref().map(|version| version.id)
    }
}

/// Who has a name: the first entry to claim it, for as long as that workspace lives under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameClaim {
    /// The organization.
    pub organization: OrganizationName,
    /// The name, in clear, because the key holds only its digest.
    pub name: WorkspaceName,
    /// Which workspace has it; none after a release.
    pub workspace: Option<WorkspaceId>,
}

impl NameClaim {
    /// Whether a workspace may take the name: it is free, its own, or its holder is known not to bear it.
    ///
    /// # Errors
    /// The holder's id, when somebody else has it.
    pub fn may_take(
        claim: Option<&Self>,
        taker: WorkspaceId,
        holder_is_dead: bool,
    ) -> Result<(), WorkspaceId> {
        match claim.and_then(|claim| claim.workspace) {
            Some(holder) if holder != taker && !holder_is_dead => Err(holder),
            _ => Ok(()),
        }
    }

    /// Whether the claim counts: its workspace lives and bears the name.
    pub fn counts_for(&self, workspace: &Workspace) -> bool {
        self.workspace == Some(workspace.id) && workspace.is_live() && workspace.name == self.name
    }
}
