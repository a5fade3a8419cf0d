//! The form of a workspace.

use std::collections::BTreeMap;

use object_store::path::Path;
use opentaco_domain::actor::Door;
use opentaco_domain::id::WorkspaceId;
use opentaco_domain::lock::{Holder, Lock};
use opentaco_domain::settings::{Kept, Settings};
use opentaco_domain::tag::Tags;
use opentaco_domain::workspace::{Life, Renaming, Workspace};
use serde::{Deserialize, Serialize};

use super::description::Description;
use super::{Form, Rest, field, moment, parse_moment};
use crate::layout;

#[derive(Serialize, Deserialize)]
pub(crate) struct Disk {
    id: String,
    organization: String,
    name: String,
    life: String,
    created_at: String,
    updated_at: String,
    terraform_version: Option<String>,
    description: Option<String>,
    tags: BTreeMap<String, String>,
    lock: Option<LockDisk>,
    current: Option<Description>,
    sweep_floor: u64,
    // From here on absent where nobody set anything, so that older entries read and stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renaming_to: Option<RenamingDisk>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    global_remote_state: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    consumers: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    kept: BTreeMap<String, KeptDisk>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Serialize, Deserialize)]
struct RenamingDisk {
    name: String,
    by: String,
}

impl RenamingDisk {
    fn read(self) -> Result<Renaming, String> {
        Ok(Renaming { name: field("renaming_to", &self.name)?, by: field("renaming_to", &self.by)? })
    }
}

/// The value of a setting that is only kept, as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum KeptDisk {
    Flag(bool),
    Text(String),
    List(Vec<String>),
}

impl KeptDisk {
    fn of(kept: &Kept) -> Self {
        match kept {
            Kept::Flag(flag) => Self::Flag(*flag),
            Kept::Text(text) => Self::Text(text.clone()),
            Kept::List(items) => Self::List(items.clone()),
        }
    }

    fn read(self) -> Kept {
        match self {
            Self::Flag(flag) => Kept::Flag(flag),
            Self::Text(text) => Kept::Text(text),
            Self::List(items) => Kept::List(items),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct LockDisk {
    id: String,
    subject: String,
    parent: String,
    door: String,
    reason: String,
    at: String,
}

const LIVES: [(Life, &str); 3] =
    [(Life::Live, "live"), (Life::Deleted, "deleted"), (Life::Abandoned, "abandoned")];

impl Form for Workspace {
    type Disk = Disk;

    fn stream(key: &WorkspaceId) -> Path {
        layout::workspace_record(*key)
    }

    fn to_disk(&self, rest: Rest) -> Disk {
        Disk {
            id: self.id.to_string(),
            organization: self.organization.to_string(),
            name: self.name.to_string(),
            life: LIVES
                .iter()
                .find(|(life, _)| *life == self.life)
                .map_or("live", |(_, name)| name)
                .to_owned(),
            created_at: moment(self.created_at),
            updated_at: moment(self.updated_at),
            terraform_version: self.settings.terraform_version.clone(),
            description: self.settings.description.clone(),
            tags: self.tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            lock: self.lock.as_ref().map(lock_to_disk),
            current: self.current.as_ref().map(Description::of),
            sweep_floor: self.sweep_floor,
            renaming_to: self.renaming_to.as_ref().map(|renaming| RenamingDisk {
                name: renaming.name.to_string(),
                by: renaming.by.to_string(),
            }),
            project: self.settings.project.as_ref().map(ToString::to_string),
            global_remote_state: self.settings.global_remote_state,
            consumers: self.settings.consumers.iter().map(ToString::to_string).collect(),
            kept: self.settings.kept.iter().map(|(name, kept)| (name.clone(), KeptDisk::of(kept))).collect(),
            rest,
        }
    }

    fn from_disk(disk: Disk) -> Result<(Self, Rest), String> {
        let life = LIVES.iter().find(|(_, name)| *name == disk.life).map(|(life, _)| *life);
        let workspace = Self {
            id: field("id", &disk.id)?,
            organization: field("organization", &disk.organization)?,
            name: field("name", &disk.name)?,
            renaming_to: disk.renaming_to.map(RenamingDisk::read).transpose()?,
            settings: Settings {
                terraform_version: disk.terraform_version,
                description: disk.description,
                project: disk.project.as_deref().map(|id| field("project", id)).transpose()?,
                global_remote_state: disk.global_remote_state,
                consumers: disk.consumers.iter().map(|id| field("consumer", id)).collect::<Result<_, _>>()?,
                kept: disk.kept.into_iter().map(|(name, kept)| (name, kept.read())).collect(),
            },
            tags: Tags::new(disk.tags).map_err(|_| "its tags are malformed".to_owned())?,
            created_at: parse_moment(&disk.created_at)?,
            updated_at: parse_moment(&disk.updated_at)?,
            lock: disk.lock.map(lock_from_disk).transpose()?,
            current: disk.current.map(Description::read).transpose()?,
            sweep_floor: disk.sweep_floor,
            life: life.ok_or_else(|| "its life is unknown".to_owned())?,
        };
        Ok((workspace, disk.rest))
    }
}

fn lock_to_disk(lock: &Lock) -> LockDisk {
    LockDisk {
        id: lock.id.to_string(),
        subject: lock.holder.subject.to_string(),
        parent: lock.holder.parent.to_string(),
        door: lock.holder.door.as_str().to_owned(),
        reason: lock.reason.clone(),
        at: moment(lock.at),
    }
}

fn lock_from_disk(disk: LockDisk) -> Result<Lock, String> {
    Ok(Lock {
        id: field("lock id", &disk.id)?,
        holder: Holder {
            subject: field("lock's subject", &disk.subject)?,
            parent: field("lock's parent", &disk.parent)?,
            door: Door::from_name(&disk.door).ok_or_else(|| "its lock's door is unknown".to_owned())?,
        },
        reason: disk.reason,
        at: parse_moment(&disk.at)?,
    })
}
