//! Clients that do what Terraform and people do, and remember every answer.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use md5::Digest;
use opentaco_domain::actor::{Actor, Door, Subject};
use opentaco_domain::commit::{Proposal, Ticket};
use opentaco_domain::id::{TokenId, WorkspaceId};
use opentaco_domain::page::PageRequest;
use opentaco_domain::rbac::Rights;
use opentaco_domain::settings::SettingsChange;
use opentaco_domain::state::{Md5, StateVersion};
use opentaco_domain::tag::Tags;
use opentaco_domain::workspace::{Deletion, Update};
use opentaco_ports::driving::Failure;
use opentaco_ports::driving::workspaces::NewWorkspace;

use crate::server::{Fleet, Sabotage, Server};

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// Done.
    Done,
    /// Not done, and nothing changed.
    Refused,
    /// Nobody knows; also when the server died under the request.
    Unknown,
}

/// An upload and what was told of it.
#[derive(Clone, Debug)]
pub struct Upload {
    pub ticket: Ticket,
    pub body: Bytes,
    pub told: Told,
}

/// How often each subject was told what of which kind of change.
type Tally = BTreeMap<(String, &'static str, Told), u64>;

/// Everything that clients were told.
#[derive(Clone, Default)]
pub struct Ledger {
    pub told: Arc<Mutex<Tally>>,
    pub uploads: Arc<Mutex<Vec<Upload>>>,
    pub workspaces: Arc<Mutex<Vec<WorkspaceId>>>,
    /// Rollbacks that were acknowledged.
    pub rollbacks: Arc<Mutex<Vec<StateVersion>>>,
}

impl Ledger {
    fn note(&self, subject: &Subject, kind: &'static str, told: Told) {
        *self.told.lock().unwrap().entry((subject.to_string(), kind, told)).or_default() += 1;
    }
}

fn told<T>(result: &Result<T, Failure>) -> Told {
    match result {
        Ok(_) => Told::Done,
        Err(Failure::OutcomeUnknown) => Told::Unknown,
        Err(_) => Told::Refused,
    }
}

/// A client with a token; two clients may share one.
#[derive(Clone)]
pub struct Client {
    pub fleet: Fleet,
    pub ledger: Ledger,
    pub actor: Actor,
}

impl Client {
    pub fn new(fleet: &Fleet, ledger: &Ledger, name: &str, token: u8) -> Self {
        let subject = Subject::development(name).unwrap();
        let actor = Actor {
            subject,
            parent: TokenId::from_bytes([token; 10]),
            door: Door::Cloud,
            rights: Rights::everything(),
        };
        Self { fleet: fleet.clone(), ledger: ledger.clone(), actor }
    }

    /// Runs a request on some server, which may die under it at any await.
    async fn ask<T, F>(&self, kind: &'static str, request: impl FnOnce(Server, Actor) -> F) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        self.ask_and_hear(kind, request).await.0
    }

    async fn ask_and_hear<T, F>(
        &self,
        kind: &'static str,
        request: impl FnOnce(Server, Actor) -> F,
    ) -> (Option<T>, Told)
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let chance = &self.fleet.chance;
        let mut task = tokio::spawn(request(self.fleet.any(), self.actor.clone()));
        let answer = if chance.percent(4) {
            let dies = chance.millis(0..60);
            if let Ok(answer) = tokio::time::timeout(dies, &mut task).await {
                Some(answer.unwrap())
            } else {
                task.abort();
                self.fleet.restart_one();
                None
            }
        } else {
            Some(task.await.unwrap())
        };
        let told = answer.as_ref().map_or(Told::Unknown, told);
        self.ledger.note(&self.actor.subject, kind, told);
        (answer.and_then(Result::ok), told)
    }

    pub async fn create(&self, name: &str) -> Option<WorkspaceId> {
        let new = NewWorkspace {
            organization: "default".parse().unwrap(),
            name: name.parse().unwrap(),
            settings: SettingsChange::default(),
            tags: Tags::default(),
        };
        let made =
            self.ask("created", |server, actor| async move { server.workspaces.create(&actor, &new).await });
        let id = made.await?.id;
        self.ledger.workspaces.lock().unwrap().push(id);
        Some(id)
    }

    pub async fn step(&self) {
        let chance = self.fleet.chance.clone();
        let known = self.ledger.workspaces.lock().unwrap().clone();
        let newest = &known[known.len().saturating_sub(4)..];
        let roll = chance.below(100);
        if newest.is_empty() || roll < 8 {
            self.create(&format!("w{}", chance.below(3))).await;
            return;
        }
        let id = *chance.pick(newest);
        match roll {
            8..12 => {
                self.ask("deleted", |s, a| async move { s.workspaces.delete(&a, id, Deletion::Force).await })
                    .await;
            }
            12..20 => {
                let description = Some(chance.below(u64::MAX).to_string());
                let settings = SettingsChange::new(None, description).unwrap();
                let update = Update { settings, ..Update::default() };
                self.ask("changed", |s, a| async move { s.workspaces.update(&a, id, &update).await }).await;
            }
            20..25 => self.rename(id).await,
            25..28 => self.roll_back(id).await,
            28..33 => {
                self.ask("force-unlocked", |s, a| async move { s.workspaces.force_unlock(&a, id).await })
                    .await;
            }
            33..39 => self.unlock(id).await,
            _ => self.apply(id).await,
        }
    }

    async fn rename(&self, id: WorkspaceId) {
        let name = Some(format!("w{}", self.fleet.chance.below(3)).parse().unwrap());
        let update = Update { name, ..Update::default() };
        let rename = |update: Update| {
            self.ask("updated", move |s, a| async move { s.workspaces.update(&a, id, &update).await })
        };
        // Now and then the same request is made again while the first one still runs, as impatient clients do.
        if self.fleet.chance.percent(40) {
            futures_util::future::join(rename(update.clone()), rename(update)).await;
        } else {
            rename(update).await;
        }
    }

    /// Goes back to the first version, under the lock if it can be had.
    async fn roll_back(&self, id: WorkspaceId) {
        self.ask("locked", |s, a| async move { s.workspaces.lock(&a, id, "roll back").await }).await;
        let versions = self.fleet.any().state_versions;
        let Ok(page) = versions.list(&self.actor, id, PageRequest::default()).await else { return };
        let Some(oldest) = page.items.last().map(|version| version.id) else { return };
        let rolling = |s: Server, a: Actor| async move { s.state_versions.roll_back(&a, id, oldest).await };
        if let Some(version) = self.ask("rolled-back", rolling).await {
            self.ledger.rollbacks.lock().unwrap().push(version);
        }
        self.unlock(id).await;
    }

    async fn unlock(&self, id: WorkspaceId) {
        self.ask("unlocked", |s, a| async move { s.workspaces.unlock(&a, id).await }).await;
    }

    /// Locks, reads, writes one or two versions, unlocks; goes on without the lock now and then, as `-lock=false` does.
    async fn apply(&self, id: WorkspaceId) {
        let chance = self.fleet.chance.clone();
        let locked = self.ask("locked", |s, a| async move { s.workspaces.lock(&a, id, "apply").await }).await;
        if locked.is_none() && chance.percent(50) {
            return;
        }
        for _ in 0..=chance.below(2) {
            self.write(id).await;
        }
        if !chance.percent(10) {
            self.unlock(id).await;
        }
    }

    async fn write(&self, id: WorkspaceId) {
        let chance = self.fleet.chance.clone();
        let server = self.fleet.any();
        let Ok(seen) = server.workspaces.read(&self.actor, id).await else { return };
        let serial = seen.current.map_or(0, |current| current.serial) + 1 + chance.below(3);
        let body = format!(
            "{{\"version\":4,\"serial\":{serial},\"lineage\":\"{id}\",\"outputs\":{{\"x\":{{\"value\":{},\"type\":\"number\"}}}},\"resources\":[]}}",
            chance.below(1_000_000)
        );
        let proposal = Proposal {
            serial,
            lineage: Some(id.to_string().parse().unwrap()),
            md5: Md5(md5::Md5::digest(body.as_bytes()).into()),
        };
        let proposing = |s: Server, a: Actor| async move {
            s.state_versions.propose(&a, id, &proposal, false, &[]).await
        };
        let Some(ticket) = self.ask("proposed", proposing).await else { return };
        let body = Bytes::from(body);
        for _ in 0..=u64::from(chance.percent(15)) {
            self.upload(ticket.clone(), body.clone()).await;
        }
    }

    async fn upload(&self, ticket: Ticket, body: Bytes) {
        let mut used = ticket.clone();
        if self.fleet.sabotage == Sabotage::Predecessor
            && let Ok(workspace) = self.fleet.any().workspaces.read(&self.actor, ticket.workspace()).await
        {
            used.predecessor = workspace.current_id();
        }
        let bytes = body.clone();
        let (_, told) = self
            .ask_and_hear("uploaded", |s, a| async move {
                let still = ready(Ok(a.clone()));
                s.state_versions.upload(&a, &used, Box::pin(stream::iter([Ok(bytes)])), still).await
            })
            .await;
        self.ledger.uploads.lock().unwrap().push(Upload { ticket, body, told });
    }
}
