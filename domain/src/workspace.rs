//! A workspace: settings, tags, one lock, one current state version. Also called a unit.

use thiserror::Error;

use crate::id::{StateVersionId, WorkspaceId};
use crate::lock::Lock;
use crate::name::{OrganizationName, WorkspaceName};
use crate::rbac::{Grant, Manage, Permission, Write};
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

/// What people set on a workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The Terraform version the client asked to remember, exactly as it came.
    pub terraform_version: Option<String>,
    /// A sentence for people.
    pub description: Option<String>,
}

/// A setting outside the rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadSettings {
    /// The Terraform version is empty or longer than 100 characters.
    #[error("terraform-version must have 1 to 100 printable ASCII characters")]
    TerraformVersion,
    /// The description is longer than 4,096 bytes.
    #[error("description must have at most 4096 bytes")]
    Description,
}

/// Whether a text may be kept as a Terraform version: 1 to 100 printable ASCII characters.
pub(crate) fn is_terraform_version(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// A change of settings: what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsChange {
    terraform_version: Option<String>,
    description: Option<String>,
}

impl SettingsChange {
    /// Checks the new values.
    ///
    /// # Errors
    /// [`BadSettings`] for the first value outside the rule.
    pub fn new(terraform_version: Option<String>, description: Option<String>) -> Result<Self, BadSettings> {
        if terraform_version.as_ref().is_some_and(|version| !is_terraform_version(version)) {
            return Err(BadSettings::TerraformVersion);
        }
        if description.as_ref().is_some_and(|d| d.len() > 4096) {
            return Err(BadSettings::Description);
        }
        Ok(Self { terraform_version, description })
    }

    fn over(&self, old: &Settings) -> Settings {
        Settings {
            terraform_version: self.terraform_version.clone().or_else(|| old.terraform_version.clone()),
            description: self.description.clone().or_else(|| old.description.clone()),
        }
    }
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

    /// Changes settings.
    ///
    /// # Errors
    /// [`WorkspaceError::Deleted`].
    pub fn change_settings(
        &self,
        grant: &Grant<Write>,
        change: &SettingsChange,
        now: Timestamp,
    ) -> Result<Outcome, WorkspaceError> {
        self.must_live(grant)?;
        let settings = change.over(&self.settings);
        if settings == self.settings {
            return Ok(Outcome::Unchanged);
        }
        Ok(Outcome::changed(Self { settings, updated_at: now, ..self.clone() }))
    }

    /// Replaces the tags.
    ///
    /// # Errors
    /// [`WorkspaceError::Deleted`].
    pub fn change_tags(
        &self,
        grant: &Grant<Write>,
        tags: Tags,
        now: Timestamp,
    ) -> Result<Outcome, WorkspaceError> {
        self.must_live(grant)?;
        if tags == self.tags {
            return Ok(Outcome::Unchanged);
        }
        Ok(Outcome::changed(Self { tags, updated_at: now, ..self.clone() }))
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
    /// Whether a workspace may take the name: it is free, it is its own, or its holder is known to be dead.
    ///
    /// # Errors
    /// The holder's id, when somebody else has it.
    pub fn may_take(
        claim: Option<&Self>,
        taker: WorkspaceId,
        dead: Option<WorkspaceId>,
    ) -> Result<(), WorkspaceId> {
        match claim.and_then(|claim| claim.workspace) {
            Some(holder) if holder != taker && Some(holder) != dead => Err(holder),
            _ => Ok(()),
        }
    }

    /// Whether the claim counts: its workspace lives and bears the name.
    pub fn counts_for(&self, workspace: &Workspace) -> bool {
        self.workspace == Some(workspace.id) && workspace.is_live() && workspace.name == self.name
    }
}
