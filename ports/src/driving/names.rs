//! Who has which name: claimed before it is borne, so that two workspaces never bear one.

use std::time::Duration;

use opentaco_domain::actor::Actor;
use opentaco_domain::id::WorkspaceId;
use opentaco_domain::name::{OrganizationName, WorkspaceName};
use opentaco_domain::settings::SettingsChange;
use opentaco_domain::tag::Tags;
use opentaco_domain::workspace::{NameClaim, Outcome, Workspace};

use super::{Driven, Failure};
use crate::change::{Decision, change};
use crate::driven::StoreError;
use crate::driven::records::ChangeKind;

/// How long a half-made workspace or renaming is given before it is closed.
const GRACE: Duration = Duration::from_secs(2);
const POLLS: u32 = 10;

/// A claim as it stood in one entry of its stream. It is written anew whenever somebody claims, so a decision about
/// one entry never takes a later one away.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    holder: WorkspaceId,
    number: u64,
}

/// Takes a name for a workspace, from nobody or from one that does not bear it.
///
/// # Errors
/// [`Failure::NameTaken`]; a failing store.
pub(super) async fn claim(
    driven: &Driven,
    actor: &Actor,
    taker: &Workspace,
    name: &WorkspaceName,
) -> Result<(), Failure> {
    let key = (taker.organization.clone(), name.clone());
    let author = (&actor.subject, actor.door);
    let mut dead = None;
    loop {
        let claimed =
            change(driven.around(), &*driven.names, &key, author, ChangeKind::Claimed, |entry, _| {
                let claim = entry.map(|entry| &entry.value);
                let seen = entry
                    .and_then(|entry| Some(Seen { holder: entry.value.workspace?, number: entry.number }));
                match NameClaim::may_take(claim, taker.id, seen.is_some() && seen == dead) {
                    Err(_) => Ok::<_, Failure>(Decision::Keep(seen)),
                    Ok(()) => Ok(Decision::Append(claim_of(&key, Some(taker.id)), None)),
                }
            });
        let Some(seen) = claimed.await?.answer else { return Ok(()) };
        if bears(driven, seen.holder, name).await? || !close(driven, actor, seen.holder, taker, name).await? {
            return Err(Failure::NameTaken { organization: key.0, name: key.1 });
        }
        dead = Some(seen);
    }
}

/// The number of a name's newest claim, if there is any.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn claim_number(
    driven: &Driven,
    organization: &OrganizationName,
    name: &WorkspaceName,
) -> Result<Option<u64>, StoreError> {
    let claim = driven.names.newest(&(organization.clone(), name.clone())).await?;
    Ok(claim.map(|claim| claim.number))
}

/// Gives a name back that the workspace does not bear any more, unless it was claimed again since `number`. A failure
/// heals itself: a claim counts only while its workspace bears the name.
pub(super) async fn release(
    driven: &Driven,
    actor: &Actor,
    workspace: &Workspace,
    name: &WorkspaceName,
    number: Option<u64>,
) {
    let key = (workspace.organization.clone(), name.clone());
    let author = (&actor.subject, actor.door);
    let _healed_later =
        change(driven.around(), &*driven.names, &key, author, ChangeKind::Released, |claim, _| {
            let is_ours = |claim: &&crate::driven::records::Versioned<NameClaim>| {
                claim.value.workspace == Some(workspace.id) && number.is_none_or(|n| n == claim.number)
            };
            Ok::<_, Failure>(match claim.filter(is_ours) {
                Some(_) => Decision::Append(claim_of(&key, None), ()),
                None => Decision::Keep(()),
            })
        })
        .await;
}

/// Whether a claim's holder lives under that name; one that is being made or renamed is given time.
async fn bears(driven: &Driven, holder: WorkspaceId, name: &WorkspaceName) -> Result<bool, Failure> {
    for _ in 0..POLLS {
        if let Some(entry) = driven.workspaces.newest(&holder).await? {
            let workspace = entry.value;
            if !workspace.is_live() || workspace.name == *name {
                return Ok(workspace.is_live());
            }
            if !workspace.is_renaming_to(name) {
                return Ok(false);
            }
        }
        driven.clock.sleep(GRACE / POLLS).await;
    }
    Ok(false)
}

/// Closes what a holder left half done, so that it can no longer come to bear the name. False when it came to bear it
/// meanwhile.
async fn close(
    driven: &Driven,
    actor: &Actor,
    holder: WorkspaceId,
    taker: &Workspace,
    name: &WorkspaceName,
) -> Result<bool, Failure> {
    let author = (&actor.subject, actor.door);
    let records = &*driven.workspaces;
    let never_made = records.newest(&holder).await?.is_none();
    let kind = if never_made { ChangeKind::Abandoned } else { ChangeKind::Renaming };
    let closed = change(driven.around(), records, &holder, author, kind, |entry, now| {
        let Some(workspace) = entry.map(|entry| &entry.value) else {
            let (organization, settings) = (taker.organization.clone(), SettingsChange::default());
            let never_made =
                Workspace::create(holder, organization, name.clone(), &settings, Tags::default(), now);
            return Ok::<_, Failure>(Decision::Append(never_made.abandoned(), true));
        };
        if !workspace.is_live() || workspace.name == *name {
            return Ok(Decision::Keep(!workspace.is_live()));
        }
        Ok(match workspace.cancel_rename(name) {
            Outcome::Changed(next) => Decision::Append(*next, true),
            Outcome::Unchanged => Decision::Keep(true),
        })
    });
    Ok(closed.await?.answer)
}

fn claim_of(key: &(OrganizationName, WorkspaceName), holder: Option<WorkspaceId>) -> NameClaim {
    NameClaim { organization: key.0.clone(), name: key.1.clone(), workspace: holder }
}
