//! Writes one of everything, at a fixed time and with fixed randomness.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use opentaco_domain::actor::Subject;
use opentaco_domain::claims::Successor;
use opentaco_domain::id::{OperationId, ProjectId, WorkspaceId};
use opentaco_domain::name::NamePattern;
use opentaco_domain::organization::Organization;
use opentaco_domain::policy::{Assignment, Organizations, Place, Policy, PolicyChange};
use opentaco_domain::principal::Grantee;
use opentaco_domain::project::{Project, Projects};
use opentaco_domain::rbac::Scope;
use opentaco_domain::role::{Right, RightSet, Role, RoleChange, RoleName};
use opentaco_domain::settings::{Kept, Settings};
use opentaco_domain::state::Output;
use opentaco_domain::state::StateVersion;
use opentaco_domain::time::Timestamp;
use opentaco_domain::token::{TokenKind, TokenRecord};
use opentaco_domain::user::User;
use opentaco_domain::workspace::{NameClaim, Renaming, Workspace};
use opentaco_object_store::{
    ObjectBlobs, ObjectCatalog, ObjectTokens, ObjectVersions, RecordStreams, Store, probe,
};
use opentaco_ports::driven::blobs::{BlobKind, Blobs};
use opentaco_ports::driven::catalog::{Catalog, Hint};
use opentaco_ports::driven::records::{ChangeKind, Records};
use opentaco_ports::driven::tokens::Tokens;
use opentaco_ports::driven::versions::{Pending, Versions};
use opentaco_ports::driven::{Clock, Entropy};

use crate::values::{
    AT, blob_key, body, change, full_workspace, landed, state, ten, token, version, version_id, workspace,
    workspace_id,
};

/// It is always the same moment.
struct Still;

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        AT
    }

    fn mono(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _time: Duration) {
        panic!("nothing here has to wait");
    }
}

/// Every byte is the same.
struct Sevens;

impl Entropy for Sevens {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

/// One server over a bucket in memory.
pub struct Server {
    objects: Arc<InMemory>,
    store: Arc<Store>,
    pub workspaces: Arc<dyn Records<Workspace>>,
    pub names: Arc<dyn Records<NameClaim>>,
    pub organizations: Arc<dyn Records<Organization>>,
    pub blobs: Arc<dyn Blobs>,
    pub catalog: Arc<dyn Catalog>,
    pub versions: Arc<dyn Versions>,
    pub tokens: Arc<dyn Tokens>,
    pub users: Arc<dyn Records<User>>,
    pub policies: Arc<dyn Records<Policy>>,
}

impl Server {
    pub fn new() -> Self {
        let objects = Arc::new(InMemory::new());
        let store = Arc::new(Store::over(objects.clone()));
        let (s, c) = (|| store.clone(), || -> Arc<dyn Clock> { Arc::new(Still) });
        Self {
            workspaces: Arc::new(RecordStreams::new(s(), c())),
            names: Arc::new(RecordStreams::new(s(), c())),
            organizations: Arc::new(RecordStreams::new(s(), c())),
            blobs: Arc::new(ObjectBlobs::new(s(), c())),
            catalog: Arc::new(ObjectCatalog::new(s(), c())),
            versions: Arc::new(ObjectVersions::new(s(), c())),
            tokens: Arc::new(ObjectTokens::new(s(), c())),
            users: Arc::new(RecordStreams::new(s(), c())),
            policies: Arc::new(RecordStreams::new(s(), c())),
            objects,
            store,
        }
    }

    pub async fn keys(&self) -> Vec<String> {
        let listed: Vec<_> = self.objects.list(None).try_collect().await.unwrap();
        listed.into_iter().map(|object| object.location.to_string()).collect()
    }

    /// Puts an object there as it is.
    pub async fn hang(&self, key: &str, bytes: Vec<u8>) {
        self.objects.put(&Path::from(key), bytes.into()).await.unwrap();
    }

    /// Looks at the store as a start does.
    pub async fn probe(&self) {
        probe(&self.store, &Still, &Sevens).await.unwrap();
    }
}

/// One object as it is written today.
pub struct Picture {
    pub file: String,
    pub key: String,
    pub bytes: Bytes,
}

#[derive(Default)]
struct Gallery {
    seen: BTreeSet<String>,
    pictures: Vec<Picture>,
}

impl Gallery {
    /// Takes the one object that was written since.
    async fn take(&mut self, server: &Server, file: &str) {
        self.take_all(server, &[("", file)]).await;
    }

    /// Takes all objects that were written since: one in each of these places.
    async fn take_all(&mut self, server: &Server, places: &[(&str, &str)]) {
        let keys = server.keys().await;
        let new: Vec<String> = keys.into_iter().filter(|key| !self.seen.contains(key)).collect();
        assert_eq!(new.len(), places.len(), "{places:?}: {new:?}");
        for (place, file) in places {
            let found: Vec<&String> = new.iter().filter(|key| key.starts_with(place)).collect();
            let [key] = found[..] else { panic!("{file}: {found:?}") };
            let object = server.objects.get(&Path::from(key.as_str())).await.unwrap();
            let bytes = object.bytes().await.unwrap();
            self.seen.insert(key.clone());
            self.pictures.push(Picture { file: (*file).to_owned(), key: key.clone(), bytes });
        }
    }
}

pub fn long_workspace() -> Workspace {
    let description = Some("A description that goes on and on. ".repeat(117));
    Workspace { settings: Settings { description, ..Settings::default() }, ..full_workspace(1) }
}

pub fn claim(workspace: Option<WorkspaceId>) -> NameClaim {
    NameClaim { organization: "default".parse().unwrap(), name: "app/1".parse().unwrap(), workspace }
}

pub fn organization() -> Organization {
    Organization {
        name: "default".parse().unwrap(),
        email: Some("ops@example.org".to_owned()),
        created_at: AT,
        projects: Projects::default(),
    }
}

fn project_id() -> ProjectId {
    ProjectId::new("default".parse().unwrap(), AT, ten(8))
}

pub fn organization_with_projects() -> Organization {
    let project = Project {
        id: project_id(),
        name: "Team A".parse().unwrap(),
        description: Some("ours".to_owned()),
        created_at: AT,
    };
    Organization { projects: Projects::new([project]).unwrap(), ..organization() }
}

/// A workspace with everything that people can set, on its way to another name.
pub fn settled_workspace() -> Workspace {
    let kept = [
        ("auto-apply", Kept::Flag(true)),
        ("working-directory", Kept::Text("live/prod".to_owned())),
        ("trigger-prefixes", Kept::List(vec!["a".to_owned(), "b".to_owned()])),
    ];
    let settings = Settings {
        project: Some(project_id()),
        global_remote_state: true,
        consumers: [workspace_id(2), workspace_id(3)].into(),
        kept: kept.map(|(name, value)| (name.to_owned(), value)).into(),
        ..Settings::default()
    };
    let renaming = Renaming { name: "app/one".parse().unwrap(), by: OperationId::new(AT, ten(9)) };
    Workspace { settings, renaming_to: Some(renaming), ..workspace(1) }
}

pub fn rolled_back() -> StateVersion {
    StateVersion { rolled_back_from: Some(version_id(1, 1)), ..version(1, 3) }
}

pub fn pending() -> Pending {
    Pending { version: version_id(1, 3), serial: u64::MAX, proposed_at: AT, entry: 12, outputs: None }
}

pub fn pending_with_outputs() -> Pending {
    let attempt = blob_key(1, BlobKind::Outputs).attempt;
    Pending { version: version_id(1, 4), outputs: Some(attempt), ..pending() }
}

pub fn limited_token() -> TokenRecord {
    let scope = Scope { role: Some(Role::Reader), unit: Some(NamePattern::new("app/*")) };
    TokenRecord { scope, expires_at: None, ..token(2, 2) }
}

pub fn family() -> TokenRecord {
    let name = "taco login from 127.0.0.1 (taco/1.0)".parse().unwrap();
    TokenRecord { kind: TokenKind::Family, name, expires_at: None, ..token(3, 3) }
}

/// The refresh token that was used.
pub const USED: [u8; 16] = [0xab; 16];

pub fn successor() -> Successor {
    Successor { jti: [0xcd; 16], issued_at: AT, expires_at: AT.plus(Duration::from_hours(720)) }
}

pub fn user() -> User {
    User {
        subject: Subject::of_provider("auth0|17").unwrap(),
        email: Some("alice@example.com".parse().unwrap()),
        email_verified: true,
        groups: ["ops".to_owned(), "team \"ä\"".to_owned()].into(),
        last_login: AT,
        disabled: false,
    }
}

/// Somebody of whom the login says nothing but who it is.
pub fn bare_user() -> User {
    let subject = Subject::development("bob").unwrap();
    User { subject, email: None, email_verified: false, groups: BTreeSet::new(), disabled: true, ..user() }
}

pub fn policy() -> Policy {
    let named = ["dev:alice", "oidc:auth0|17", "alice@example.com"];
    let administrators = named.map(|named| named.parse().unwrap()).into();
    let deployer: RoleName = "deployer".parse().unwrap();
    let place = Place {
        organizations: Organizations::One("acme".parse().unwrap()),
        units: NamePattern::new("app/*"),
    };
    let change = RoleChange {
        add: [Right::UnitRead, Right::UnitLock, Right::UnitWrite].into_iter().collect(),
        deny: [Right::UnitManage].into_iter().collect(),
        remove: RightSet::none(),
    };
    let assignment = Assignment { role: deployer.clone(), place };
    let changes = [
        PolicyChange::CreateRole(deployer.clone(), Some("deploys \"app\"".to_owned())),
        PolicyChange::ChangeRole(deployer, change),
        PolicyChange::Assign(Grantee::Group("dev team/ü".parse().unwrap()), assignment),
    ];
    Policy::open().switched_on(&administrators).changed(&changes).unwrap()
}

pub fn json_state() -> String {
    "{\"format_version\":\"1.0\",\"terraform_version\":\"1.11.4\"}\n".to_owned()
}

pub fn outputs() -> Vec<Output> {
    let output = |name: &str, sensitive, kind: &str, value: &str| Output {
        name: name.to_owned(),
        sensitive,
        type_json: kind.to_owned(),
        value_json: value.to_owned(),
    };
    vec![
        output("big", false, "\"number\"", "123456789012345678901234567890.5"),
        output("secret", true, r#"["object",{"a":["list","string"]}]"#, r#"{"a":["x","ü"]}"#),
    ]
}

/// Writes one of everything.
pub async fn paint() -> Vec<Picture> {
    let server = Server::new();
    let mut gallery = Gallery::default();
    server.probe().await;
    gallery.take(&server, "layout.json").await;
    records(&server, &mut gallery).await;
    server.versions.remember(&version(1, 2)).await.unwrap();
    gallery.take(&server, "version.json").await;
    server.versions.remember(&rolled_back()).await.unwrap();
    gallery.take(&server, "version-rollback.json").await;
    server.versions.propose(&pending()).await.unwrap();
    gallery.take(&server, "pending.json").await;
    server.versions.propose(&pending_with_outputs()).await.unwrap();
    gallery.take(&server, "pending-outputs.json").await;
    let default = "default".parse().unwrap();
    server.catalog.note(&default, 2, &Hint::of(&full_workspace(1))).await.unwrap();
    gallery.take(&server, "hint.json").await;
    server.catalog.note(&default, 3, &Hint::of(&settled_workspace())).await.unwrap();
    gallery.take(&server, "hint-project.json").await;
    tokens(&server, &mut gallery).await;
    people(&server, &mut gallery).await;
    server.blobs.put_state(blob_key(1, BlobKind::State), body(state(400, 1), 64), 400).await.unwrap();
    gallery.take(&server, "blob-state.bin").await;
    server.blobs.put_plain(blob_key(1, BlobKind::JsonState), body(json_state(), 64), 400).await.unwrap();
    gallery.take(&server, "blob-json.bin").await;
    server.blobs.put_outputs(blob_key(1, BlobKind::Outputs), &outputs()).await.unwrap();
    gallery.take(&server, "blob-outputs.bin").await;
    gallery.pictures
}

async fn records(server: &Server, gallery: &mut Gallery) {
    let id = workspace_id(1);
    let first = change(1, ChangeKind::Created, workspace(1));
    let first = landed(server.workspaces.try_append(&id, None, &first).await);
    gallery.take(server, "workspace-1-created.json").await;
    let full = change(2, ChangeKind::Committed, full_workspace(1));
    let full = landed(server.workspaces.try_append(&id, Some(&first), &full).await);
    gallery.take(server, "workspace-2-full.json").await;
    let long = change(3, ChangeKind::Changed, long_workspace());
    let long = landed(server.workspaces.try_append(&id, Some(&full), &long).await);
    gallery.take(server, "workspace-3-long.bin").await;
    let settled = change(7, ChangeKind::Renamed, settled_workspace());
    landed(server.workspaces.try_append(&id, Some(&long), &settled).await);
    gallery.take(server, "workspace-4-settled.json").await;

    let key = ("default".parse().unwrap(), "app/1".parse().unwrap());
    let claimed = change(4, ChangeKind::Claimed, claim(Some(id)));
    let claimed = landed(server.names.try_append(&key, None, &claimed).await);
    gallery.take(server, "name-1-claimed.json").await;
    let released = change(5, ChangeKind::Released, claim(None));
    landed(server.names.try_append(&key, Some(&claimed), &released).await);
    gallery.take(server, "name-2-released.json").await;

    let created = change(6, ChangeKind::Created, organization());
    let created = landed(server.organizations.try_append(&key.0, None, &created).await);
    gallery.take(server, "organization-1-created.json").await;
    let projects = change(8, ChangeKind::Changed, organization_with_projects());
    landed(server.organizations.try_append(&key.0, Some(&created), &projects).await);
    gallery.take(server, "organization-2-projects.json").await;
}

async fn tokens(server: &Server, gallery: &mut Gallery) {
    let made = |file, owned| [("_tfe_tokens/", file), ("_tokens_by_owner/", owned)];
    let tokens = &server.tokens;
    tokens.create(&token(1, 1)).await.unwrap();
    gallery.take_all(server, &made("token-created.json", "token-owned.json")).await;
    tokens.revoke(&token(1, 1).id, &Subject::local_owner(), AT).await.unwrap();
    gallery.take(server, "token-revoked.json").await;
    tokens.create(&limited_token()).await.unwrap();
    gallery.take_all(server, &made("token-limited.json", "token-limited-owned.json")).await;
    let before = server.keys().await.len();
    tokens.note_use(&limited_token().id, AT.plus(Duration::from_mins(59)));
    // It is written by a task that nobody waits for.
    for _ in 0..1000 {
        if server.keys().await.len() > before {
            break;
        }
        tokio::task::yield_now().await;
    }
    gallery.take(server, "token-last-used.json").await;
    tokens.create(&family()).await.unwrap();
    gallery.take_all(server, &made("family-created.json", "family-owned.json")).await;
    tokens.use_refresh(&family().id, USED, &successor()).await.unwrap();
    gallery.take(server, "refresh-used.json").await;
}

async fn people(server: &Server, gallery: &mut Gallery) {
    let logged_in = change(10, ChangeKind::LoggedIn, user());
    landed(server.users.try_append(&user().subject, None, &logged_in).await);
    gallery.take(server, "user-1-logged-in.json").await;
    let bare = change(11, ChangeKind::LoggedIn, bare_user());
    landed(server.users.try_append(&bare_user().subject, None, &bare).await);
    gallery.take(server, "user-bare.json").await;
    let on = change(12, ChangeKind::Created, policy());
    let on = landed(server.policies.try_append(&(), None, &on).await);
    gallery.take(server, "policy-1-on.json").await;
    let open = change(13, ChangeKind::Changed, policy().switched_off());
    landed(server.policies.try_append(&(), Some(&on), &open).await);
    gallery.take(server, "policy-2-open.json").await;
}
