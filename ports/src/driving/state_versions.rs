//! State versions: propose, upload, commit, read.

use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::stream;
use opentaco_domain::actor::Actor;
use opentaco_domain::commit::{CommitError, Proposal, Ticket, TicketKind};
use opentaco_domain::id::{AttemptId, OutputId, StateVersionId, WorkspaceId};
use opentaco_domain::page::{Page, PageRequest};
use opentaco_domain::rbac::{Manage, Write};
use opentaco_domain::state::{Output, StateVersion};
use opentaco_domain::workspace::Workspace;

use super::access::AccessError;
use super::workspaces::{mutate, visible};
use super::{Driven, Failure};
use crate::driven::blobs::{BlobKey, BlobKind};
use crate::driven::records::{ChangeKind, Versioned};
use crate::driven::versions::Pending;
use crate::driven::{ByteStream, StoreError, random};

/// How many rollbacks of rollbacks are followed to the version that has a JSON rendering.
const MAX_ROLLBACKS: usize = 16;

/// A state version as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, on its way to be rendered")]
pub enum Shown {
    /// Committed.
    Finalized(StateVersion),
    /// Proposed; its bytes may still come.
    Pending(Pending),
    /// Proposed, and overtaken by another version; its bytes will be refused.
    Discarded(Pending),
}

/// What came with a proposal in the same request.
#[derive(Clone, Debug)]
pub struct Inline {
    /// The state.
    pub state: Bytes,
    /// Its JSON rendering.
    pub json_state: Option<Bytes>,
    /// What the client says its outputs are.
    pub outputs: Vec<Output>,
}

/// Use cases of state versions.
#[derive(Clone)]
pub struct StateVersions {
    driven: Arc<Driven>,
}

impl StateVersions {
    /// Use cases over these ports.
    pub fn new(driven: Arc<Driven>) -> Self {
        Self { driven }
    }

    /// Proposes a version and gives the ticket for its bytes. Nothing visible moves.
    ///
    /// `outputs` are what the client says the outputs will be; they are believed only if it encrypts the document, so that
    /// nobody else can look.
    ///
    /// # Errors
    /// [`Failure::Commit`]; [`Failure::Missing`]; [`Failure::Denied`]; a failing store.
    pub async fn propose(
        &self,
        actor: &Actor,
        workspace: WorkspaceId,
        proposal: &Proposal,
        force: bool,
        outputs: &[Output],
    ) -> Result<Ticket, Failure> {
        let remembered = self.driven.workspaces.remembered(&workspace);
        let unchecked =
            remembered.map(|entry| self.decide_proposal(actor, Some(entry), workspace, proposal, force));
        let ticket = if let Some(Ok(ticket)) = unchecked {
            ticket
        } else {
            // A refusal is only believed of what was checked against the store.
            let newest = self.driven.workspaces.newest(&workspace).await?;
            self.decide_proposal(actor, newest, workspace, proposal, force)?
        };
        let mut pending = Pending::of(&ticket, self.driven.clock.now());
        if !outputs.is_empty() {
            let attempt = self.new_attempt();
            let key = BlobKey { version: ticket.version, attempt, kind: BlobKind::Outputs };
            self.driven.blobs.put_outputs(key, outputs).await?;
            pending.outputs = Some(attempt);
        }
        self.driven.versions.propose(&pending).await?;
        Ok(ticket)
    }

    fn decide_proposal(
        &self,
        actor: &Actor,
        entry: Option<Versioned<Workspace>>,
        id: WorkspaceId,
        proposal: &Proposal,
        force: bool,
    ) -> Result<Ticket, Failure> {
        let number = entry.as_ref().map_or(0, |entry| entry.number);
        let workspace = visible(actor, entry);
        let workspace = workspace.ok_or_else(|| Failure::missing("workspace", id.to_wire()))?;
        let grant = actor.grant::<Write>(&workspace)?;
        let force = if force { Some(actor.grant::<Manage>(&workspace)?) } else { None };
        let random = random(&*self.driven.entropy);
        let now = self.driven.clock.now();
        Ok(workspace.propose(&grant, number, proposal.clone(), force.as_ref(), random, now)?)
    }

    /// Takes the bytes of a proposed state and commits the version: all of it, or nothing. Bytes may take long, so `still`
    /// asks once more who the ticket's bearer is when they are there.
    ///
    /// # Errors
    /// [`Failure::Commit`]; [`Failure::Put`]; [`Failure::Missing`]; [`Failure::Denied`]; [`Failure::Bearer`]; a failing
    /// store.
    pub async fn upload(
        &self,
        actor: &Actor,
        ticket: &Ticket,
        body: ByteStream,
        still: impl Future<Output = Result<Actor, AccessError>>,
    ) -> Result<StateVersion, Failure> {
        let attempt = self.begin(actor, ticket, TicketKind::State).await?;
        let key = |kind| BlobKey { version: ticket.version, attempt, kind };
        let mut measured =
            self.driven.blobs.put_state(key(BlobKind::State), body, self.driven.max_state_bytes).await?;
        if measured.document.encrypted && measured.document.outputs.is_empty() {
            measured.document.outputs = self.announced_outputs(ticket.version).await?;
        }
        if !measured.document.outputs.is_empty() {
            self.driven.blobs.put_outputs(key(BlobKind::Outputs), &measured.document.outputs).await?;
        }
        self.remember_predecessor(ticket).await?;
        let actor = &still.await?;
        let committed =
            mutate(&self.driven, actor, ticket.workspace(), ChangeKind::Committed, |workspace, _, now| {
                let grant = actor.grant::<Write>(workspace)?;
                let force = actor.grant::<Manage>(workspace).ok();
                Ok(workspace.accept(&grant, ticket, &measured, force.as_ref(), attempt, now)?)
            });
        let current = committed.await?.value.current.filter(|current| current.id == ticket.version);
        let current = current.ok_or(CommitError::Overtaken)?;
        remember(&self.driven, &current).await;
        Ok(current)
    }

    /// The history's copy of the version before must exist before the record lets go of it.
    async fn remember_predecessor(&self, ticket: &Ticket) -> Result<(), Failure> {
        let Some(predecessor) = ticket.predecessor else { return Ok(()) };
        let records = &self.driven.workspaces;
        let id = ticket.workspace();
        let entry = match records.remembered(&id) {
            Some(entry) if entry.value.current_id() == Some(predecessor) => Some(entry),
            _ => records.newest(&id).await?,
        };
        match entry.and_then(|entry| entry.value.current) {
            Some(current) if current.id == predecessor => Ok(self.driven.versions.remember(&current).await?),
            // Overtaken, or repeated: the commit's rule says which.
            _ => Ok(()),
        }
    }

    /// Keeps Terraform's JSON rendering of a proposed version. It neither waits for a commit nor causes one.
    ///
    /// # Errors
    /// [`Failure::Commit`] when the version is neither current nor can become so; [`Failure::Put`]; a failing store.
    pub async fn upload_json(&self, actor: &Actor, ticket: &Ticket, body: ByteStream) -> Result<(), Failure> {
        let attempt = self.begin(actor, ticket, TicketKind::JsonState).await?;
        let key = BlobKey { version: ticket.version, attempt, kind: BlobKind::JsonState };
        Ok(self.driven.blobs.put_plain(key, body, self.driven.max_state_bytes).await?)
    }

    /// Refuses bytes that could not be committed before they are read, so that a dead ticket fills no storage.
    async fn begin(&self, actor: &Actor, ticket: &Ticket, kind: TicketKind) -> Result<AttemptId, Failure> {
        if ticket.kind != kind {
            return Err(Failure::missing("upload", "this URL"));
        }
        let remembered = self.driven.workspaces.remembered(&ticket.workspace());
        if remembered.is_none_or(|entry| self.admit(actor, Some(entry), ticket).is_err()) {
            let newest = self.driven.workspaces.newest(&ticket.workspace()).await?;
            self.admit(actor, newest, ticket)?;
        }
        Ok(self.new_attempt())
    }

    fn new_attempt(&self) -> AttemptId {
        AttemptId::new(self.driven.clock.now(), random(&*self.driven.entropy))
    }

    /// The outputs that came with a proposal.
    async fn announced_outputs(&self, version: StateVersionId) -> Result<Vec<Output>, Failure> {
        let pending = self.driven.versions.pending(version).await?;
        let Some(attempt) = pending.and_then(|pending| pending.outputs) else { return Ok(Vec::new()) };
        Ok(self.driven.blobs.outputs(BlobKey { version, attempt, kind: BlobKind::Outputs }).await?)
    }

    fn admit(
        &self,
        actor: &Actor,
        entry: Option<Versioned<Workspace>>,
        ticket: &Ticket,
    ) -> Result<(), Failure> {
        let workspace = visible(actor, entry);
        let workspace =
            workspace.ok_or_else(|| Failure::missing("workspace", ticket.workspace().to_wire()))?;
        let grant = actor.grant::<Write>(&workspace)?;
        Ok(workspace.admit(&grant, ticket, self.driven.clock.now())?)
    }

    /// Proposes and commits a version whose bytes came with the request (Terraform up to 1.5).
    ///
    /// # Errors
    /// As [`StateVersions::propose`] and [`StateVersions::upload`].
    pub async fn inline(
        &self,
        actor: &Actor,
        workspace: WorkspaceId,
        proposal: &Proposal,
        force: bool,
        inline: Inline,
    ) -> Result<StateVersion, Failure> {
        let ticket = self.propose(actor, workspace, proposal, force, &inline.outputs).await?;
        let body = |bytes: Bytes| -> ByteStream { Box::pin(stream::iter([Ok(bytes)])) };
        if let Some(json) = inline.json_state {
            self.upload_json(actor, &ticket.for_json_state(), body(json)).await?;
        }
        // It is one request, and its bearer was asked about when its bytes were there.
        self.upload(actor, &ticket, body(inline.state), ready(Ok(actor.clone()))).await
    }

    /// The version of that id, finalized or not.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Store`].
    pub async fn show(&self, actor: &Actor, id: StateVersionId) -> Result<Shown, Failure> {
        let missing = || Failure::missing("state version", id);
        let entry = self.driven.workspaces.newest(&id.workspace).await?;
        let workspace = visible(actor, entry).ok_or_else(missing)?;
        if let Some(version) =
            self.committed(&workspace, id.ordinal).await?.filter(|version| version.id == id)
        {
            return Ok(Shown::Finalized(version));
        }
        let pending = self.driven.versions.pending(id).await?.ok_or_else(missing)?;
        let overtaken = workspace.current_id().is_some_and(|current| current.ordinal >= id.ordinal);
        Ok(if overtaken { Shown::Discarded(pending) } else { Shown::Pending(pending) })
    }

    /// The committed version of that id.
    ///
    /// # Errors
    /// [`Failure::Missing`], also while it is not committed; [`Failure::Store`].
    pub async fn finalized(&self, actor: &Actor, id: StateVersionId) -> Result<StateVersion, Failure> {
        match self.show(actor, id).await? {
            Shown::Finalized(version) => Ok(version),
            Shown::Pending(_) | Shown::Discarded(_) => Err(Failure::missing("finalized state version", id)),
        }
    }

    /// The newest committed version.
    ///
    /// # Errors
    /// [`Failure::Missing`], also when there is none yet; [`Failure::Store`].
    pub async fn current(&self, actor: &Actor, workspace: WorkspaceId) -> Result<StateVersion, Failure> {
        let current = self.readable(actor, workspace).await?.current;
        current.ok_or_else(|| Failure::missing("current state version of workspace", workspace.to_wire()))
    }

    /// The committed version of that number; they are counted from 1, the oldest.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Store`].
    pub async fn by_number(
        &self,
        actor: &Actor,
        workspace: WorkspaceId,
        number: u32,
    ) -> Result<StateVersion, Failure> {
        let readable = self.readable(actor, workspace).await?;
        let found = self.committed(&readable, number).await?;
        found.ok_or_else(|| Failure::missing("state version", number))
    }

    /// A page of the committed versions, newest first. History has no gaps, so a page is arithmetic.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Store`].
    pub async fn list(
        &self,
        actor: &Actor,
        workspace: WorkspaceId,
        page: PageRequest,
    ) -> Result<Page<StateVersion>, Failure> {
        let workspace = self.readable(actor, workspace).await?;
        let newest = workspace.current_id().map_or(0, |id| id.ordinal);
        let ordinals = (1..=newest).rev().skip(page.skip()).take(page.size());
        let versions = try_join_all(ordinals.map(|ordinal| self.committed(&workspace, ordinal))).await?;
        // History has no gaps: a hole is damage, not the end.
        let hole = || StoreError::Corrupt(format!("history of workspace {}", workspace.id));
        let items = versions.into_iter().collect::<Option<Vec<_>>>().ok_or_else(hole)?;
        Ok(Page { items, request: page, total: newest as usize })
    }

    /// The bytes of a committed version, as they came.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Store`].
    pub async fn download(
        &self,
        actor: &Actor,
        id: StateVersionId,
    ) -> Result<(StateVersion, ByteStream), Failure> {
        let version = self.finalized(actor, id).await?;
        let body = self.driven.blobs.open(blob(&version, BlobKind::State)).await?;
        Ok((version, body))
    }

    /// The outputs of a committed version.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Store`].
    pub async fn outputs(
        &self,
        actor: &Actor,
        id: StateVersionId,
    ) -> Result<Vec<(OutputId, Output)>, Failure> {
        let version = self.finalized(actor, id).await?;
        self.outputs_of(&version).await
    }

    /// The outputs of the newest version; none when there is no version.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Store`].
    pub async fn current_outputs(
        &self,
        actor: &Actor,
        workspace: WorkspaceId,
    ) -> Result<Vec<(OutputId, Output)>, Failure> {
        match self.readable(actor, workspace).await?.current {
            Some(version) => self.outputs_of(&version).await,
            None => Ok(Vec::new()),
        }
    }

    /// One output, its value shown even when it is sensitive.
    ///
    /// # Errors
    /// [`Failure::Missing`]; [`Failure::Store`].
    pub async fn output(&self, actor: &Actor, id: OutputId) -> Result<(OutputId, Output), Failure> {
        let outputs = self.outputs(actor, id.version).await?;
        let found = outputs.into_iter().find(|(found, _)| *found == id);
        found.ok_or_else(|| Failure::missing("state version output", id))
    }

    async fn outputs_of(&self, version: &StateVersion) -> Result<Vec<(OutputId, Output)>, Failure> {
        if version.outputs == 0 {
            return Ok(Vec::new());
        }
        let outputs = self.driven.blobs.outputs(blob(version, BlobKind::Outputs)).await?;
        let numbered = outputs.into_iter().enumerate();
        Ok(numbered.map(|(index, output)| (OutputId { version: version.id, index }, output)).collect())
    }

    /// The JSON rendering of a committed version, as it came; a rollback has that of the version it went back to.
    ///
    /// # Errors
    /// [`Failure::Missing`], also when the client sent none; [`Failure::Store`].
    pub async fn download_json(&self, actor: &Actor, id: StateVersionId) -> Result<ByteStream, Failure> {
        let mut version = self.finalized(actor, id).await?;
        for _ in 0..MAX_ROLLBACKS {
            let kind = BlobKind::JsonState;
            if let Some(attempt) = self.driven.blobs.first_attempt(version.id, kind).await? {
                return Ok(self.driven.blobs.open(BlobKey { version: version.id, attempt, kind }).await?);
            }
            let Some(from) = version.rolled_back_from else { break };
            version = self.finalized(actor, from).await?;
        }
        Err(Failure::missing("JSON rendering of state version", id))
    }

    pub(super) fn driven(&self) -> &Driven {
        &self.driven
    }

    pub(super) async fn readable(&self, actor: &Actor, id: WorkspaceId) -> Result<Workspace, Failure> {
        let entry = self.driven.workspaces.newest(&id).await?;
        visible(actor, entry).ok_or_else(|| Failure::missing("workspace", id.to_wire()))
    }

    pub(super) async fn committed(
        &self,
        workspace: &Workspace,
        ordinal: u32,
    ) -> Result<Option<StateVersion>, Failure> {
        match &workspace.current {
            Some(current) if current.id.ordinal == ordinal => Ok(Some(current.clone())),
            Some(current) if current.id.ordinal > ordinal => {
                Ok(self.driven.versions.at(workspace.id, ordinal).await?)
            }
            _ => Ok(None),
        }
    }
}

pub(super) fn blob(version: &StateVersion, kind: BlobKind) -> BlobKey {
    BlobKey { version: version.id, attempt: version.attempt, kind }
}

/// Keeps the history's copy of what was just committed. The record holds the description; whoever commits next makes sure
/// of this copy before.
pub(super) async fn remember(driven: &Driven, current: &StateVersion) {
    let _healed_later = driven.versions.remember(current).await;
}
