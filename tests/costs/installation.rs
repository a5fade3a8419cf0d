//! Two servers on one bucket, each behind a proxy that counts what it asks of the store.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use opentaco_domain::actor::{Actor, Door, Subject};
use opentaco_domain::id::TokenId;

use opentaco_domain::rbac::Rights;
use opentaco_domain::settings::SettingsChange;
use opentaco_domain::tag::Tags;
use opentaco_domain::workspace::Workspace;
use opentaco_object_store::{
    ObjectBlobs, ObjectCatalog, ObjectTokens, ObjectVersions, RecordStreams, S3, Store,
};
use opentaco_ports::driven::{Clock, Entropy};
use opentaco_ports::driving::Driven;
use opentaco_ports::driving::state_versions::StateVersions;
use opentaco_ports::driving::workspaces::{NewWorkspace, Workspaces};
use opentaco_system::{SystemClock, SystemEntropy};
use opentaco_tests::proxy::Proxy;
use opentaco_tests::seaweed::{Identity, Seaweed, variables};

/// How many workspaces are made side by side.
const SIDE_BY_SIDE: usize = 16;

/// One server: its use cases, and what it asked of the store.
pub struct Server {
    pub workspaces: Workspaces,
    pub state_versions: StateVersions,
    proxy: Proxy,
}

/// What was asked of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub lists: usize,
    pub reads: usize,
    pub writes: usize,
}

impl Server {
    /// A server in this process, which remembers nothing; none where there is no S3 server.
    pub fn on(bucket: &str) -> Option<Self> {
        // An error means that it is chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let proxy = Proxy::before(Seaweed::find()?.port());
        let place = S3 {
            bucket: bucket.to_owned(),
            prefix: Some("team".to_owned()),
            region: None,
            variables: variables(proxy.port(), Identity::Admin),
        };
        let store = Arc::new(Store::s3(&place).unwrap());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let (s, c) = (|| store.clone(), || clock.clone());
        let driven = Arc::new(Driven {
            workspaces: Arc::new(RecordStreams::new(s(), c())),
            names: Arc::new(RecordStreams::new(s(), c())),
            organizations: Arc::new(RecordStreams::new(s(), c())),
            users: Arc::new(RecordStreams::new(s(), c())),
            policies: Arc::new(RecordStreams::new(s(), c())),
            catalog: Arc::new(ObjectCatalog::new(s(), c())),
            versions: Arc::new(ObjectVersions::new(s(), c())),
            blobs: Arc::new(ObjectBlobs::new(s(), c())),
            tokens: Arc::new(ObjectTokens::new(s(), c())),
            clock: c(),
            entropy,
            max_state_bytes: 64 * 1024 * 1024,
        });
        let (workspaces, state_versions) = (Workspaces::new(driven.clone()), StateVersions::new(driven));
        Some(Self { workspaces, state_versions, proxy })
    }

    /// What it asked since the last look.
    pub fn asked(&self) -> Asked {
        let mut asked = Asked::default();
        for request in self.proxy.requests() {
            let is_list = request.contains("list-type=2");
            match request.split(' ').next() {
                Some("GET") if is_list => asked.lists += 1,
                Some("GET" | "HEAD") => asked.reads += 1,
                _ => asked.writes += 1,
            }
        }
        asked
    }

    /// Makes a workspace with a tag.
    pub async fn make(&self, name: &str, tag: &str) -> Workspace {
        let new = NewWorkspace {
            organization: "default".parse().unwrap(),
            name: name.parse().unwrap(),
            settings: SettingsChange::default(),
            tags: Tags::new([(tag.to_owned(), String::new())]).unwrap(),
        };
        self.workspaces.create(&actor(), &new).await.unwrap()
    }

    /// Makes that many workspaces; each second one is `even`.
    pub async fn make_many(&self, count: usize) {
        let tag = |n: usize| if n.is_multiple_of(2) { "even" } else { "odd" };
        let made = stream::iter((0..count).map(|n| async move {
            self.make(&format!("app/{n:04}"), tag(n)).await;
            Ok::<_, ()>(())
        }));
        made.buffer_unordered(SIDE_BY_SIDE).try_collect::<()>().await.unwrap();
    }
}

pub fn actor() -> Actor {
    Actor {
        subject: Subject::local_owner(),
        parent: TokenId::from_bytes([1; 10]),
        door: Door::Cloud,
        rights: Rights::everything(),
    }
}
