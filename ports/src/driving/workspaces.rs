//! Workspaces: create, find, list, change, lock, delete.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use opentaco_domain::actor::Actor;
use opentaco_domain::id::{LockId, WorkspaceId};
use opentaco_domain::lock::{LockError, LockRequest};
use opentaco_domain::name::{OrganizationName, WorkspaceName};
use opentaco_domain::page::{Page, PageRequest};
use opentaco_domain::rbac::{Manage, Read, UseLock, Write};
use opentaco_domain::tag::{BadTags, Tags};
use opentaco_domain::time::Timestamp;
use opentaco_domain::workspace::{Deletion, NameClaim, Outcome, SettingsChange, Workspace};

use super::organizations::Organizations;
use super::{Driven, Failure};
use crate::change::{Changed, Decision, change};
use crate::driven::catalog::Hint;
use crate::driven::records::{ChangeKind, Versioned};
use crate::driven::{StoreError, random};

/// How long a half-made workspace is given before its creation is closed as abandoned.
const CREATION_GRACE: Duration = Duration::from_secs(2);
const CREATION_POLLS: u32 = 10;

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

/// Which workspaces a list shows.
#[derive(Clone, Debug)]
pub struct WorkspaceQuery {
    /// Those of this organization.
    pub organization: OrganizationName,
    /// Those whose name contains this.
    pub name: Option<String>,
    /// Those that have every one of these tag keys.
    pub tags: Vec<String>,
    /// Those that have every one of these tags with just this value.
    pub tagged: Vec<(String, String)>,
    /// Which page.
    pub page: PageRequest,
}

impl WorkspaceQuery {
    fn wants(&self, hint: &Hint) -> bool {
        self.name.as_ref().is_none_or(|part| hint.name.as_str().contains(part))
            && self.tags.iter().all(|tag| hint.tags.has_key(tag))
            && self.tagged.iter().all(|(key, value)| hint.tags.has(key, value))
    }
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
        self.driven.policy.grant::<Write>(actor, &workspace)?;
        self.organizations.ensure(actor, &new.organization).await?;
        self.claim(actor, &workspace).await?;
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

    /// Takes the name for a workspace, from nobody or from a dead one.
    async fn claim(&self, actor: &Actor, taker: &Workspace) -> Result<(), Failure> {
        let key = (taker.organization.clone(), taker.name.clone());
        let author = (&actor.subject, actor.door);
        let mut dead = None;
        loop {
            let names = &*self.driven.names;
            let claimed =
                change(self.driven.around(), names, &key, author, ChangeKind::Claimed, |entry, _| {
                    let claim = entry.map(|entry| &entry.value);
                    match NameClaim::may_take(claim, taker.id, dead) {
                        Err(holder) => Ok::<_, Failure>(Decision::Keep(Some(holder))),
                        Ok(()) if claim.is_some_and(|claim| claim.workspace == Some(taker.id)) => {
                            Ok(Decision::Keep(None))
                        }
                        Ok(()) => Ok(Decision::Append(claim_of(taker, Some(taker.id)), None)),
                    }
                });
            let Some(holder) = claimed.await?.answer else { return Ok(()) };
            if self.lives_under(holder, &key.1).await? || !self.close_creation(actor, holder, taker).await? {
                return Err(Failure::NameTaken { organization: key.0, name: key.1 });
            }
            dead = Some(holder);
        }
    }

    /// Whether a claim's holder lives under that name; one that is being made is given time.
    async fn lives_under(&self, holder: WorkspaceId, name: &WorkspaceName) -> Result<bool, Failure> {
        for _ in 0..CREATION_POLLS {
            if let Some(entry) = self.driven.workspaces.newest(&holder).await? {
                return Ok(entry.value.is_live() && &entry.value.name == name);
            }
            self.driven.clock.sleep(CREATION_GRACE / CREATION_POLLS).await;
        }
        Ok(false)
    }

    /// Closes the record of a holder that is not alive, so that its creation can no longer succeed. False when it came
    /// alive meanwhile.
    async fn close_creation(
        &self,
        actor: &Actor,
        holder: WorkspaceId,
        taker: &Workspace,
    ) -> Result<bool, Failure> {
        let author = (&actor.subject, actor.door);
        let records = &*self.driven.workspaces;
        let closed =
            change(self.driven.around(), records, &holder, author, ChangeKind::Abandoned, |entry, _| {
                Ok::<_, Failure>(match entry {
                    Some(entry) => Decision::Keep(!(entry.value.is_live() && entry.value.name == taker.name)),
                    None => Decision::Append(Workspace { id: holder, ..taker.clone() }.abandoned(), true),
                })
            });
        Ok(closed.await?.answer)
    }

    /// The workspace of that id.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Store`].
    pub async fn read(&self, actor: &Actor, id: WorkspaceId) -> Result<Workspace, Failure> {
        let entry = self.driven.workspaces.newest(&id).await?;
        visible(&self.driven, actor, entry).ok_or_else(|| Failure::missing("workspace", id.to_wire()))
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
        let workspace = visible(&self.driven, actor, entry).ok_or_else(missing)?;
        if claim.counts_for(&workspace) { Ok(workspace) } else { Err(missing()) }
    }

    /// A page of workspaces in order of their names. Filtering uses hints; what is shown is read live.
    ///
    /// # Errors
    /// [`Failure::Store`].
    pub async fn list(&self, actor: &Actor, query: &WorkspaceQuery) -> Result<Page<Workspace>, Failure> {
        let mut hints = self.driven.catalog.hints(&query.organization).await?;
        hints.retain(|hint| query.wants(hint));
        hints.sort_by(|a, b| a.name.cmp(&b.name).then(a.workspace.cmp(&b.workspace)));
        let total = hints.len();
        let on_page = hints.into_iter().skip(query.page.skip()).take(query.page.size());
        let ids: Vec<WorkspaceId> = on_page.map(|hint| hint.workspace).collect();
        let entries = join_all(ids.iter().map(|id| self.driven.workspaces.newest(id))).await;
        // One unreadable record is logged where it was read, and must not hide all the others.
        let readable = entries.into_iter().filter(|entry| !matches!(entry, Err(StoreError::Corrupt(_))));
        let entries = readable.collect::<Result<Vec<_>, _>>()?;
        let items = entries.into_iter().filter_map(|entry| visible(&self.driven, actor, entry)).collect();
        Ok(Page { items, request: query.page, total })
    }

    /// Changes settings.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Denied`]; a failing store.
    pub async fn change_settings(
        &self,
        actor: &Actor,
        id: WorkspaceId,
        settings: &SettingsChange,
    ) -> Result<Workspace, Failure> {
        let changed = self.mutate(actor, id, ChangeKind::Changed, |workspace, _, now| {
            let grant = self.driven.policy.grant::<Write>(actor, workspace)?;
            Ok(workspace.change_settings(&grant, settings, now)?)
        });
        self.noted(changed.await?).await
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
            let grant = self.driven.policy.grant::<Write>(actor, workspace)?;
            Ok(workspace.change_tags(&grant, tags(&workspace.tags)?, now)?)
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
            let grant = self.driven.policy.grant::<UseLock>(actor, workspace)?;
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
            let grant = self.driven.policy.grant::<UseLock>(actor, workspace)?;
            Ok(workspace.unlock(&grant)?)
        });
        Ok(changed.await?.value)
    }

    /// Frees anybody's lock: the one that is held when the request comes, never one that is taken afterwards.
    ///
    /// # Errors
    /// As [`Workspaces::lock`].
    pub async fn force_unlock(&self, actor: &Actor, id: WorkspaceId) -> Result<Workspace, Failure> {
        let seen = self.read(actor, id).await?.lock.ok_or(LockError::NotLocked)?.id;
        let changed = self.mutate(actor, id, ChangeKind::ForceUnlocked, |workspace, _, _| {
            let grant = self.driven.policy.grant::<Manage>(actor, workspace)?;
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
            let grant = self.driven.policy.grant::<Manage>(actor, workspace)?;
            Ok(workspace.delete(&grant, how, now)?)
        });
        let entry = deleted.await?;
        let key = (entry.value.organization.clone(), entry.value.name.clone());
        let author = (&actor.subject, actor.door);
        let names = &*self.driven.names;
        let _healed_later =
            change(self.driven.around(), names, &key, author, ChangeKind::Released, |claim, _| {
                Ok::<_, Failure>(match claim {
                    Some(claim) if claim.value.workspace == Some(id) => {
                        Decision::Append(claim_of(&entry.value, None), ())
                    }
                    _ => Decision::Keep(()),
                })
            })
            .await;
        let _healed_later = self.driven.catalog.note(&key.0, entry.number, &Hint::of(&entry.value)).await;
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

fn claim_of(workspace: &Workspace, holder: Option<WorkspaceId>) -> NameClaim {
    NameClaim {
        organization: workspace.organization.clone(),
        name: workspace.name.clone(),
        workspace: holder,
    }
}

/// What of an entry the caller may see.
pub(super) fn visible(
    driven: &Driven,
    actor: &Actor,
    entry: Option<Versioned<Workspace>>,
) -> Option<Workspace> {
    let workspace = entry?.value;
    is_visible(driven, actor, &workspace).then_some(workspace)
}

fn is_visible(driven: &Driven, actor: &Actor, workspace: &Workspace) -> bool {
    workspace.is_live() && driven.policy.grant::<Read>(actor, workspace).is_ok()
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
            let readable = |entry: &&Versioned<Workspace>| is_visible(driven, actor, &entry.value);
            let entry = entry.filter(readable).ok_or_else(missing)?;
            match rule(&entry.value, entry.number, now)? {
                Outcome::Unchanged => Ok::<_, Failure>(Decision::Keep(())),
                Outcome::Changed(next) => Ok(Decision::Append(*next, ())),
            }
        })
        .await?;
    changed.entry.ok_or_else(missing)
}
