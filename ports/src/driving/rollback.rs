//! Going back to an old state version.

use bytes::Bytes;
use futures_util::StreamExt;
use opentaco_domain::actor::Actor;
use opentaco_domain::commit::CommitError;
use opentaco_domain::id::{AttemptId, StateVersionId, WorkspaceId};
use opentaco_domain::rbac::{Manage, Write};
use opentaco_domain::rewrite::SerialRewriter;
use opentaco_domain::state::StateVersion;

use super::state_versions::{StateVersions, blob};
use super::workspaces::{mutate, visible};
use super::{Failure, state_versions};
use crate::driven::blobs::{BlobKey, BlobKind, PutError};
use crate::driven::records::ChangeKind;
use crate::driven::{StoreError, random};

impl StateVersions {
    /// Makes the content of an old version the newest version: its bytes, with the next serial in them.
    ///
    /// # Errors
    /// [`Failure::Commit`]; [`Failure::Missing`]; [`Failure::Denied`]; a failing store.
    pub async fn roll_back(
        &self,
        actor: &Actor,
        workspace: WorkspaceId,
        to: StateVersionId,
    ) -> Result<StateVersion, Failure> {
        let driven = self.driven();
        let entry = driven.workspaces.newest(&workspace).await?;
        let number = entry.as_ref().map_or(0, |entry| entry.number);
        let kept = visible(actor, entry).ok_or_else(|| Failure::missing("workspace", workspace.to_wire()))?;
        let missing = || Failure::missing("state version", to);
        if to.workspace != workspace {
            return Err(missing());
        }
        let to = self.committed(&kept, to.ordinal).await?.filter(|kept| kept.id == to).ok_or_else(missing)?;
        let grant = actor.grant::<Write>(&kept)?;
        let force = actor.grant::<Manage>(&kept).ok();
        let random_id = random(&*driven.entropy);
        let rollback = kept.propose_rollback(&grant, number, &to, force.as_ref(), random_id)?;
        let attempt = AttemptId::new(driven.clock.now(), random(&*driven.entropy));
        let key = |kind| BlobKey { version: rollback.version, attempt, kind };

        let mut rewriter = SerialRewriter::new(rollback.serial);
        let old = driven.blobs.open(blob(&to, BlobKind::State)).await?;
        let new = old.map(move |chunk| chunk.map(|chunk| Bytes::from(rewriter.pass(&chunk))));
        // The new serial may have more digits than the old one: the limit is for what clients send.
        let measured = driven.blobs.put_state(key(BlobKind::State), Box::pin(new), u64::MAX).await;
        let measured = measured.map_err(|error| match error {
            // The body is ours: storage failed while it was read, and has logged why.
            PutError::Body(_) => Failure::Store(StoreError::Unavailable),
            error => error.into(),
        })?;
        if !measured.document.outputs.is_empty() {
            driven.blobs.put_outputs(key(BlobKind::Outputs), &measured.document.outputs).await?;
        }
        if let Some(current) = &kept.current {
            driven.versions.remember(current).await?;
        }
        let committed = mutate(driven, actor, workspace, ChangeKind::Committed, |workspace, _, now| {
            let grant = actor.grant::<Write>(workspace)?;
            Ok(workspace.accept_rollback(&grant, &rollback, &measured, attempt, now)?)
        });
        let current = committed.await?.value.current.filter(|current| current.id == rollback.version);
        let current = current.ok_or(CommitError::Overtaken)?;
        state_versions::remember(driven, &current).await;
        Ok(current)
    }
}
