//! Servers over one store: the real use cases, with caches of their own, killed and restarted at will.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use opentaco_domain::workspace::{NameClaim, Workspace};
use opentaco_object_store::{ObjectBlobs, ObjectCatalog, ObjectTokens, ObjectVersions, RecordStreams, Store};
use opentaco_ports::driven::records::{Appended, Change, Record, Records, Versioned};
use opentaco_ports::driven::{Clock, StoreError};
use opentaco_ports::driving::Driven;
use opentaco_ports::driving::state_versions::StateVersions;
use opentaco_ports::driving::workspaces::Workspaces;

use crate::world::{Chance, FaultyStore};

/// Which check is taken out, to see that the auditor notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    Nothing,
    /// A writer that finds its own entry takes it for somebody else's.
    OwnEcho,
    /// A commit does not ask whether its predecessor is still current.
    Predecessor,
}

/// A server without the own-echo check.
struct ForgetsOwnEcho<T: Record>(Arc<dyn Records<T>>);

#[async_trait]
impl<T: Record> Records<T> for ForgetsOwnEcho<T> {
    async fn newest(&self, key: &T::Key) -> Result<Option<Versioned<T>>, StoreError> {
        self.0.newest(key).await
    }

    fn remembered(&self, key: &T::Key) -> Option<Versioned<T>> {
        self.0.remembered(key)
    }

    async fn try_append(&self, key: &T::Key, base: Option<&Versioned<T>>, change: &Change<T>) -> Appended<T> {
        match self.0.try_append(key, base, change).await {
            Appended::Ours(_) => Appended::Theirs,
            other => other,
        }
    }
}

/// What one server offers.
#[derive(Clone)]
pub struct Server {
    pub workspaces: Workspaces,
    pub state_versions: StateVersions,
}

impl Server {
    fn start(store: &FaultyStore, clock: &Arc<dyn Clock>, chance: &Chance, sabotage: Sabotage) -> Self {
        let store = Arc::new(Store::over(Arc::new(store.clone())));
        let (s, c) = (|| store.clone(), || clock.clone());
        let mut workspaces: Arc<dyn Records<Workspace>> = Arc::new(RecordStreams::<Workspace>::new(s(), c()));
        let mut names: Arc<dyn Records<NameClaim>> = Arc::new(RecordStreams::<NameClaim>::new(s(), c()));
        if sabotage == Sabotage::OwnEcho {
            workspaces = Arc::new(ForgetsOwnEcho(workspaces));
            names = Arc::new(ForgetsOwnEcho(names));
        }
        let driven = Arc::new(Driven {
            workspaces,
            names,
            organizations: Arc::new(RecordStreams::new(s(), c())),
            users: Arc::new(RecordStreams::new(s(), c())),
            policies: Arc::new(RecordStreams::new(s(), c())),
            catalog: Arc::new(ObjectCatalog::new(s(), c())),
            versions: Arc::new(ObjectVersions::new(s(), c())),
            blobs: Arc::new(ObjectBlobs::new(s(), c())),
            tokens: Arc::new(ObjectTokens::new(s(), c())),
            clock: c(),
            entropy: Arc::new(chance.clone()),
            max_state_bytes: 1024 * 1024,
        });
        Self { workspaces: Workspaces::new(driven.clone()), state_versions: StateVersions::new(driven) }
    }
}

/// All servers of one installation.
#[derive(Clone)]
pub struct Fleet {
    pub store: FaultyStore,
    pub clock: Arc<dyn Clock>,
    pub chance: Chance,
    pub sabotage: Sabotage,
    servers: Arc<Mutex<Vec<Server>>>,
}

impl Fleet {
    pub fn new(
        store: FaultyStore,
        clock: Arc<dyn Clock>,
        chance: Chance,
        count: usize,
        sabotage: Sabotage,
    ) -> Self {
        let servers = (0..count).map(|_| Server::start(&store, &clock, &chance, sabotage)).collect();
        Self { store, clock, chance, sabotage, servers: Arc::new(Mutex::new(servers)) }
    }

    /// Any server, as a load balancer picks one.
    pub fn any(&self) -> Server {
        self.chance.pick(&self.servers.lock().unwrap()).clone()
    }

    /// Replaces one server by one that remembers nothing.
    pub fn restart_one(&self) {
        let fresh = Server::start(&self.store, &self.clock, &self.chance, self.sabotage);
        let mut servers = self.servers.lock().unwrap();
        let victim = usize::try_from(self.chance.below(servers.len() as u64)).unwrap();
        servers[victim] = fresh;
    }

    /// A server without sabotage, for the auditor.
    pub fn auditor(&self) -> Server {
        Server::start(&self.store, &self.clock, &self.chance, Sabotage::Nothing)
    }
}
