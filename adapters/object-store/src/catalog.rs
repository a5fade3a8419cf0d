//! What lists are made from: hints, small objects named by workspace and entry number, of which the highest number counts; and
//! the folders of organizations and users.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use opentaco_domain::id::WorkspaceId;
use opentaco_domain::name::OrganizationName;
use opentaco_domain::tag::Tags;
use opentaco_domain::user::User;
use opentaco_ports::driven::catalog::{Catalog, Hint};
use opentaco_ports::driven::{Clock, StoreError};
use serde::{Deserialize, Serialize};

use crate::layout;
use crate::record::{decode, field, place};
use crate::store::Store;

/// How many hints are fetched side by side.
const SIDE_BY_SIDE: usize = 16;

/// In order, so that the same requests go out in the same order.
type Known = BTreeMap<WorkspaceId, (u64, Hint)>;

/// The catalog in that store.
pub struct ObjectCatalog {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<OrganizationName, Known>>,
}

#[derive(Serialize, Deserialize)]
struct Disk {
    workspace: String,
    name: String,
    tags: BTreeMap<String, String>,
    live: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
}

impl ObjectCatalog {
    /// A catalog in that store.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, known: Mutex::default() }
    }

    /// The user of that stream, whose subject is only in it.
    async fn user(&self, stream: Path) -> Result<Option<User>, StoreError> {
        let entries = self.store.list(&stream).await?;
        let numbers = entries.iter().filter_map(|entry| layout::parse_entry(entry.location.filename()?));
        let Some(newest) = numbers.max() else { return Ok(None) };
        let key = layout::entry(&stream, newest);
        let Some(bytes) = self.store.get(&key).await? else { return Ok(None) };
        match decode::<User>(&bytes) {
            Ok((entry, _)) => Ok(Some(entry.value)),
            Err(why) => {
                tracing::error!(%key, why, "storage holds an unreadable user");
                Ok(None)
            }
        }
    }

    async fn fetch(
        &self,
        organization: &OrganizationName,
        workspace: WorkspaceId,
        number: u64,
    ) -> Result<Option<(WorkspaceId, (u64, Hint))>, StoreError> {
        let key = layout::hint(organization, workspace, number);
        let Some(bytes) = self.store.get(&key).await? else { return Ok(None) };
        let hint = serde_json::from_slice::<Disk>(&bytes).map_err(|error| place(&error)).and_then(read);
        let hint = hint.map_err(|why| {
            tracing::error!(%key, why, "storage holds an unreadable hint");
            StoreError::Corrupt(key.to_string())
        })?;
        Ok(Some((workspace, (number, hint))))
    }
}

fn read(disk: Disk) -> Result<Hint, String> {
    Ok(Hint {
        workspace: field("workspace", &disk.workspace)?,
        name: field("name", &disk.name)?,
        tags: Tags::new(disk.tags).map_err(|_| "its tags are malformed".to_owned())?,
        project: disk.project.as_deref().map(|id| field("project", id)).transpose()?,
        live: disk.live,
    })
}

#[async_trait]
impl Catalog for ObjectCatalog {
    async fn note(
        &self,
        organization: &OrganizationName,
        number: u64,
        hint: &Hint,
    ) -> Result<(), StoreError> {
        let disk = Disk {
            workspace: hint.workspace.to_string(),
            name: hint.name.to_string(),
            tags: hint.tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            live: hint.live,
            project: hint.project.as_ref().map(ToString::to_string),
        };
        let bytes = serde_json::to_vec(&disk).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let key = layout::hint(organization, hint.workspace, number);
        // Who was there first noted the same entry, so it noted the same.
        self.store.settle(&*self.clock, &key, &bytes.into()).await.map(drop)
    }

    async fn hints(&self, organization: &OrganizationName) -> Result<Vec<Hint>, StoreError> {
        let mut newest: BTreeMap<WorkspaceId, u64> = BTreeMap::new();
        for object in self.store.list(&layout::catalog(organization)).await? {
            if let Some((workspace, number)) = object.location.filename().and_then(layout::parse_hint) {
                let known = newest.entry(workspace).or_insert(number);
                *known = number.max(*known);
            }
        }
        let mut known: Known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(organization).cloned().unwrap_or_default()
        };
        known.retain(|workspace, (number, _)| newest.get(workspace) == Some(number));
        let missing = newest.into_iter().filter(|(workspace, _)| !known.contains_key(workspace));
        let fetched: Vec<_> = stream::iter(missing)
            .map(|(workspace, number)| async move {
                match self.fetch(organization, workspace, number).await {
                    // It was logged, and must not hide all the others.
                    Err(StoreError::Corrupt(_)) => Ok(None),
                    fetched => fetched,
                }
            })
            .buffer_unordered(SIDE_BY_SIDE)
            .try_collect()
            .await?;
        known.extend(fetched.into_iter().flatten());
        let hints = known.values().map(|(_, hint)| hint.clone()).filter(|hint| hint.live).collect();
        if !known.is_empty() {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(organization.clone(), known);
        }
        Ok(hints)
    }

    async fn organizations(&self) -> Result<Vec<OrganizationName>, StoreError> {
        let folders = self.store.list_folders(&layout::organizations()).await?;
        let mut names: Vec<OrganizationName> =
            folders.iter().filter_map(|folder| folder.filename()?.parse().ok()).collect();
        names.sort();
        Ok(names)
    }

    async fn users(&self) -> Result<Vec<User>, StoreError> {
        let folders = self.store.list_folders(&layout::users()).await?;
        let read = stream::iter(folders).map(|folder| self.user(folder)).buffer_unordered(SIDE_BY_SIDE);
        let found: Vec<Option<User>> = read.try_collect().await?;
        let mut users: Vec<User> = found.into_iter().flatten().collect();
        users.sort_by(|a, b| a.subject.cmp(&b.subject));
        Ok(users)
    }
}
