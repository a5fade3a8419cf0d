//! Workspaces: create, find, list, change, lock, delete.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use opentaco_domain::actor::Actor;
use opentaco_domain::id::{LockId, OperationId, WorkspaceId};
use opentaco_domain::lock::{LockError, LockRequest};
use opentaco_domain::name::{OrganizationName, WorkspaceName};
use opentaco_domain::page::{Page, PageRequest};
use opentaco_domain::rbac::{Manage, Read, UseLock, Write};
use opentaco_domain::settings::{MAX_CONSUMERS, SettingsChange};
use opentaco_domain::tag::{BadTags, Tags};
use opentaco_domain::time::Timestamp;
use opentaco_domain::workspace::{Deletion, Life, Outcome, Update, Workspace};

use super::organizations::Organizations;
use super::workspace_query::WorkspaceQuery;
use super::{Driven, Failure, names};
use crate::change::{Changed, Decision, change};
use crate::driven::catalog::Hint;
use crate::driven::records::{ChangeKind, Versioned};
use crate::driven::{StoreError, random};

/// How many records are read side by side.
const SIDE_BY_SIDE: usize = 32;

/// A new name that is claimed but not borne yet.
struct Claimed {
    /// The announcement.
    by: OperationId,
    /// The number of the old name's claim.
    old_claim: Option<u64>,
}

/// A workspace to be made.
#[derive(Clone, Debug)]
pub struct NewWorkspace {
    /// Where.
    pub organization: OrganizationName,
    /// Under which name.
    pub name: WorkspaceName,
    /// With which settings.
    pub settings: SettingsChange,
    /// With which tags.
    pub tags: Tags,
}

/// Use cases of workspaces.
#[derive(Clone)]
pub struct Workspaces {
    driven: Arc<Driven>,
    organizations: Organizations,
}

impl Workspaces {
    /// Use cases over these ports.
    pub fn new(driven: Arc<Driven>) -> Self {
        Self { organizations: Organizations::new(driven.clone()), driven }
    }

    /// Makes a workspace, and its organization on first use. Of several that want one name, one gets it.
    ///
    /// The name is claimed first, then the record's first entry commits the creation.
    ///
    /// # Errors
    /// [`Failure::NameTaken`]; [`Failure::Denied`]; a failing store.
    pub async fn create(&self, actor: &Actor, new: &NewWorkspace) -> Result<Workspace, Failure> {
        let now = self.driven.clock.now();
        let id = WorkspaceId::new(now, random(&*self.driven.entropy));
        let workspace = Workspace::create(
            id,
            new.organization.clone(),
            new.name.clone(),
            &new.settings,
            new.tags.clone(),
            now,
        );
        actor.grant::<Write>(&workspace)?;
        self.organizations.ensure(actor, &new.organization).await?;
        self.check_project(actor, &new.organization, &new.settings).await?;
        names::claim(&self.driven, actor, &workspace, &new.name).await?;
        self.driven.catalog.note(&new.organization, 1, &Hint::of(&workspace)).await?;
        let author = (&actor.subject, actor.door);
        let records = &*self.driven.workspaces;
        let made =
            change(self.driven.around(), records, &id, author, ChangeKind::Created, |entry, _| match entry {
                None => Ok(Decision::Append(workspace.clone(), ())),
                // Somebody thought this creation dead and closed it; nothing came into being.
                Some(_) => Err(Failure::Busy),
            });
        made.await?;
        Ok(workspace)
    }

    /// A project that a change names must be one of the organization's.
    async fn check_project(
        &self,
        actor: &Actor,
        organization: &OrganizationName,
        settings: &SettingsChange,
    ) -> Result<(), Failure> {
        let Some(project) = settings.project() else { return Ok(()) };
        let missing = || Failure::missing("project", project);
        if project.organization() != organization {
            return Err(missing());
        }
        self.organizations.read(actor, organization).await?.project(project).map(drop).ok_or_else(missing)
    }

    /// The workspace of that id.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Store`].
    pub async fn read(&self, actor: &Actor, id: WorkspaceId) -> Result<Workspace, Failure> {
        let entry = self.driven.workspaces.newest(&id).await?;
        visible(actor, entry).ok_or_else(|| Failure::missing("workspace", id.to_wire()))
    }

    /// The workspace of that name.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Store`].
    pub async fn read_by_name(
        &self,
        actor: &Actor,
        organization: &OrganizationName,
        name: &WorkspaceName,
    ) -> Result<Workspace, Failure> {
        let missing = || Failure::missing("workspace", format!("{organization}/{}", name.to_cloud()));
        let claim = self.driven.names.newest(&(organization.clone(), name.clone())).await?;
        let claim = claim.ok_or_else(missing)?.value;
        let entry = self.driven.workspaces.newest(&claim.workspace.ok_or_else(missing)?).await?;
        let workspace = visible(actor, entry).ok_or_else(missing)?;
        if claim.counts_for(&workspace) { Ok(workspace) } else { Err(missing()) }
    }

    /// A page of workspaces in order of their names. Filtering uses hints; what is shown is read live.
    ///
    /// # Errors
    /// [`Failure::Store`].
    pub async fn list(&self, actor: &Actor, query: &WorkspaceQuery) -> Result<Page<Workspace>, Failure> {
        let mut hints = self.driven.catalog.hints(&query.organization).await?;
        hints.retain(|hint| actor.may_see(&query.organization, &hint.name));
        query.select(&mut hints);
        let total = hints.len();
        let on_page = hints.into_iter().skip(query.page.skip()).take(query.page.size());
        let ids: Vec<WorkspaceId> = on_page.map(|hint| hint.workspace).collect();
        let items = self.live(actor, &ids).await?;
        Ok(Page { items, request: query.page, total })
    }

    /// Those of the workspaces that live and may be seen, read side by side.
    async fn live(&self, actor: &Actor, ids: &[WorkspaceId]) -> Result<Vec<Workspace>, Failure> {
        let mut entries = Vec::with_capacity(ids.len());
        for some in ids.chunks(SIDE_BY_SIDE) {
            entries.extend(join_all(some.iter().map(|id| self.driven.workspaces.newest(id))).await);
        }
        // One unreadable record is logged where it was read, and must not hide all the others.
        let readable = entries.into_iter().filter(|entry| !matches!(entry, Err(StoreError::Corrupt(_))));
        let entries = readable.collect::<Result<Vec<_>, _>>()?;
        let dead = entries.iter().flatten().filter(|entry| !entry.value.is_live());
        let _healed_later = join_all(dead.map(|dead| self.note_death(dead))).await;
        Ok(entries.into_iter().filter_map(|entry| visible(actor, entry)).collect())
    }

    /// Renews the hint of a workspace that died without it.
    async fn note_death(&self, dead: &Versioned<Workspace>) -> Result<(), StoreError> {
        // The creation that was given up has noted itself as alive under the number of its only entry.
        let number = dead.number + u64::from(dead.value.life == Life::Abandoned);
        self.driven.catalog.note(&dead.value.organization, number, &Hint::of(&dead.value)).await
    }

    /// Changes settings, tags and name at once.
    ///
    /// A new name is announced in the record, then claimed, then borne; only the last of the three is visible, and it
    /// brings everything else with it.
    ///
    /// # Errors
    /// [`Failure::NameTaken`]; [`Failure::Missing`], also for a project; [`Failure::Denied`]; a failing store.
    pub async fn update(
        &self,
        actor: &Actor,
        id: WorkspaceId,
        update: &Update,
    ) -> Result<Workspace, Failure> {
        let old = self.read(actor, id).await?;
        self.check_project(actor, &old.organization, &update.settings).await?;
        let name = update.name.as_ref().filter(|name| **name != old.name);
        let claimed = match name {
            Some(name) => Some(self.claim_new_name(actor, &old, name).await?),
            None => None,
        };
        let kind = if name.is_some() { ChangeKind::Renamed } else { ChangeKind::Changed };
        let mut left = None;
        let changed = self.mutate(actor, id, kind, |workspace, _, now| {
            let grant = actor.grant::<Write>(workspace)?;
            let name = update.name.as_ref().unwrap_or(&workspace.name);
            let manage =
                update.needs_manage().then(|| actor.grant_as::<Manage>(workspace, name)).transpose()?;
            let announced = claimed.as_ref().map(|claimed| claimed.by);
            let outcome = workspace.update(&grant, manage.as_ref(), update, announced, now)?;
            // The name that this very change leaves, whatever it was when the request came.
            left = update
                .name
                .as_ref()
                .is_some_and(|name| *name != workspace.name)
                .then(|| workspace.name.clone());
            Ok(outcome)
        });
        let changed = self.noted(changed.await?).await?;
        if let (Some(claimed), Some(left)) = (claimed, left.filter(|left| *left == old.name)) {
            names::release(&self.driven, actor, &old, &left, claimed.old_claim).await;
        }
        Ok(changed)
    }

    /// Announces a new name and claims it.
    async fn claim_new_name(
        &self,
        actor: &Actor,
        workspace: &Workspace,
        name: &WorkspaceName,
    ) -> Result<Claimed, Failure> {
        let id = workspace.id;
        let by = OperationId::new(self.driven.clock.now(), random(&*self.driven.entropy));
        let announced = self.mutate(actor, id, ChangeKind::Renaming, |workspace, _, _| {
            let grant = actor.grant_as::<Manage>(workspace, name)?;
            Ok(workspace.begin_rename(&grant, name, by)?)
        });
        announced.await?;
        let old_claim = names::claim_number(&self.driven, &workspace.organization, &workspace.name).await?;
        if let Err(failure) = names::claim(&self.driven, actor, workspace, name).await {
            let given_up = self
                .mutate(actor, id, ChangeKind::Renaming, |workspace, _, _| Ok(workspace.give_up_rename(by)));
            let _an_announcement_alone_binds_nobody = given_up.await;
            return Err(failure);
        }
        Ok(Claimed { by, old_claim })
    }

    /// A page of the workspaces that may read its state when not all may, without those that were deleted or that the
    /// caller may not see.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Store`].
    pub async fn consumers(
        &self,
        actor: &Actor,
        id: WorkspaceId,
        page: PageRequest,
    ) -> Result<Page<Workspace>, Failure> {
        let workspace = self.read(actor, id).await?;
        let mut consumers = workspace.settings.consumers;
        if !consumers.is_empty() {
            let hints = self.driven.catalog.hints(&workspace.organization).await?;
            let seen = hints.into_iter().filter(|hint| actor.may_see(&workspace.organization, &hint.name));
            let there: BTreeSet<WorkspaceId> = seen.map(|hint| hint.workspace).collect();
            consumers.retain(|consumer| there.contains(consumer));
        }
        let on_page: Vec<WorkspaceId> =
            consumers.iter().copied().skip(page.skip()).take(page.size()).collect();
        Ok(Page { items: self.live(actor, &on_page).await?, request: page, total: consumers.len() })
    }

    /// Replaces the workspaces that may read its state by what `consumers` makes of them. A new one must exist in the
    /// same organization.
    ///
    /// # Errors
    /// [`Failure::Missing`], also for a consumer; [`Failure::Workspace`]; [`Failure::Denied`]; a failing store.
    pub async fn change_consumers(
        &self,
        actor: &Actor,
        id: WorkspaceId,
        consumers: impl Fn(&BTreeSet<WorkspaceId>) -> BTreeSet<WorkspaceId>,
    ) -> Result<Workspace, Failure> {
        let old = self.read(actor, id).await?;
        actor.grant::<Manage>(&old)?;
        let wanted = consumers(&old.settings.consumers);
        let new: Vec<WorkspaceId> = wanted.difference(&old.settings.consumers).copied().collect();
        if wanted.len() <= MAX_CONSUMERS {
            let live = self.live(actor, &new).await?;
            let here = |id: &WorkspaceId| {
                live.iter().any(|other| other.id == *id && other.organization == old.organization)
            };
            if let Some(unknown) = new.iter().find(|id| !here(id)) {
                return Err(Failure::missing("workspace", unknown.to_wire()));
            }
        }
        let changed = self.mutate(actor, id, ChangeKind::Changed, |workspace, _, now| {
            let grant = actor.grant::<Manage>(workspace)?;
            Ok(workspace.change_consumers(&grant, consumers(&workspace.settings.consumers), now)?)
        });
        Ok(changed.await?.value)
    }

    /// Replaces the tags by what `tags` makes of them.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Tags`]; [`Failure::Denied`]; a failing store.
    pub async fn change_tags(
        &self,
        actor: &Actor,
        id: WorkspaceId,
        tags: impl Fn(&Tags) -> Result<Tags, BadTags>,
    ) -> Result<Workspace, Failure> {
        let changed = self.mutate(actor, id, ChangeKind::Changed, |workspace, _, now| {
            let grant = actor.grant::<Write>(workspace)?;
            let update = Update { tags: Some(tags(&workspace.tags)?), ..Update::default() };
            Ok(workspace.update(&grant, None, &update, None, now)?)
        });
        self.noted(changed.await?).await
    }

    /// Takes the lock.
    ///
    /// # Errors
    /// [`Failure::Lock`]; [`Failure::Missing`]; [`Failure::Denied`]; a failing store.
    pub async fn lock(&self, actor: &Actor, id: WorkspaceId, reason: &str) -> Result<Workspace, Failure> {
        let lock = LockId::new(self.driven.clock.now(), random(&*self.driven.entropy));
        let request = LockRequest::new(lock, reason);
        let changed = self.mutate(actor, id, ChangeKind::Locked, |workspace, _, now| {
            let grant = actor.grant::<UseLock>(workspace)?;
            Ok(workspace.lock(&grant, &request, now)?)
        });
        Ok(changed.await?.value)
    }

    /// Frees the caller's own lock.
    ///
    /// # Errors
    /// As [`Workspaces::lock`].
    pub async fn unlock(&self, actor: &Actor, id: WorkspaceId) -> Result<Workspace, Failure> {
        let changed = self.mutate(actor, id, ChangeKind::Unlocked, |workspace, _, _| {
            let grant = actor.grant::<UseLock>(workspace)?;
            Ok(workspace.unlock(&grant)?)
        });
        Ok(changed.await?.value)
    }

    /// Frees anybody's lock: the one that is held when the request comes, never one that is taken afterwards.
    ///
    /// # Errors
    /// As [`Workspaces::lock`].
    pub async fn force_unlock(&self, actor: &Actor, id: WorkspaceId) -> Result<Workspace, Failure> {
        let workspace = self.read(actor, id).await?;
        actor.grant::<Manage>(&workspace)?;
        let seen = workspace.lock.ok_or(LockError::NotLocked)?.id;
        let changed = self.mutate(actor, id, ChangeKind::ForceUnlocked, |workspace, _, _| {
            let grant = actor.grant::<Manage>(workspace)?;
            Ok(workspace.force_unlock(&grant, seen)?)
        });
        Ok(changed.await?.value)
    }

    /// Deletes a workspace. The tombstone is the commit; the name and the hint follow, and heal themselves if they do
    /// not: a claim counts only while its workspace lives, and a list shows only what lives.
    ///
    /// # Errors
    /// [`Failure::Workspace`]; [`Failure::Missing`]; [`Failure::Denied`]; a failing store.
    pub async fn delete(&self, actor: &Actor, id: WorkspaceId, how: Deletion) -> Result<(), Failure> {
        let deleted = self.mutate(actor, id, ChangeKind::Deleted, |workspace, _, now| {
            let grant = actor.grant::<Manage>(workspace)?;
            Ok(workspace.delete(&grant, how, now)?)
        });
        let entry = deleted.await?;
        let (workspace, number) = (&entry.value, entry.number);
        names::release(&self.driven, actor, workspace, &workspace.name, None).await;
        let hint = Hint::of(workspace);
        let _healed_later = self.driven.catalog.note(&workspace.organization, number, &hint).await;
        Ok(())
    }

    /// Renews the hint before a change of settings is acknowledged. The change has landed, so a hint that fails leaves
    /// the outcome unknown; a repetition changes nothing and notes it again.
    async fn noted(&self, entry: Versioned<Workspace>) -> Result<Workspace, Failure> {
        let hint = Hint::of(&entry.value);
        let noted = self.driven.catalog.note(&entry.value.organization, entry.number, &hint).await;
        noted.map_err(|_| Failure::OutcomeUnknown)?;
        Ok(entry.value)
    }

    async fn mutate(
        &self,
        actor: &Actor,
        id: WorkspaceId,
        kind: ChangeKind,
        rule: impl FnMut(&Workspace, u64, Timestamp) -> Result<Outcome, Failure>,
    ) -> Result<Versioned<Workspace>, Failure> {
        mutate(&self.driven, actor, id, kind, rule).await
    }
}

/// What of an entry the caller may see.
pub(super) fn visible(actor: &Actor, entry: Option<Versioned<Workspace>>) -> Option<Workspace> {
    let workspace = entry?.value;
    is_visible(actor, &workspace).then_some(workspace)
}

fn is_visible(actor: &Actor, workspace: &Workspace) -> bool {
    workspace.is_live() && actor.grant::<Read>(workspace).is_ok()
}

/// Changes a live workspace by a rule of the domain.
pub(super) async fn mutate(
    driven: &Driven,
    actor: &Actor,
    id: WorkspaceId,
    kind: ChangeKind,
    mut rule: impl FnMut(&Workspace, u64, Timestamp) -> Result<Outcome, Failure>,
) -> Result<Versioned<Workspace>, Failure> {
    let author = (&actor.subject, actor.door);
    let missing = || Failure::missing("workspace", id.to_wire());
    let changed: Changed<Workspace, ()> =
        change(driven.around(), &*driven.workspaces, &id, author, kind, |entry, now| {
            let readable = |entry: &&Versioned<Workspace>| is_visible(actor, &entry.value);
            let entry = entry.filter(readable).ok_or_else(missing)?;
            match rule(&entry.value, entry.number, now)? {
                Outcome::Unchanged => Ok::<_, Failure>(Decision::Keep(())),
                Outcome::Changed(next) => Ok(Decision::Append(*next, ())),
            }
        })
        .await?;
    changed.entry.ok_or_else(missing)
}
