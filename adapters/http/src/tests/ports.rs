//! Ports that keep everything in a map, and doors over them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use opentaco_domain::actor::Subject;
use opentaco_domain::claims::{BearerClaims, CodeClaims, LoginSession, Purpose, Successor};
use opentaco_domain::commit::Ticket;
use opentaco_domain::id::{AttemptId, StateVersionId, TokenId, WorkspaceId};
use opentaco_domain::name::OrganizationName;
use opentaco_domain::rbac::Scope;
use opentaco_domain::secret::Secret;
use opentaco_domain::state::{Document, Md5, Measured, Output, Sha256, StateVersion};
use opentaco_domain::time::Timestamp;
use opentaco_domain::token::{ApiToken, Terms, TokenRecord};
use opentaco_domain::trust::WorkloadToken;
use opentaco_domain::user::User;
use opentaco_ports::driven::blobs::{BlobKey, BlobKind, Blobs, PutError};
use opentaco_ports::driven::catalog::{Catalog, Hint};
use opentaco_ports::driven::idp::{IdpError, Workloads};
use opentaco_ports::driven::records::{Appended, Change, Link, Record, Records, Versioned};
use opentaco_ports::driven::tokens::{Listed, TokenMade, Tokens, Used};
use opentaco_ports::driven::versions::{Pending, Versions};
use opentaco_ports::driven::{ByteStream, Clock, Entropy, PublicKey, S3Secrets, Sealer, Signer, StoreError};
use opentaco_ports::driving::Driven;
use opentaco_ports::driving::access::Access;
use opentaco_ports::driving::api_tokens::ApiTokens;
use opentaco_ports::driving::login::{How, Login};
use opentaco_ports::driving::organizations::Organizations;
use opentaco_ports::driving::policy::Policies;
use opentaco_ports::driving::projects::Projects;
use opentaco_ports::driving::sessions::{Lives, Sessions};
use opentaco_ports::driving::state_versions::StateVersions;
use opentaco_ports::driving::users::Users;
use opentaco_ports::driving::workspaces::Workspaces;

use crate::{Addresses, Doors};

/// Everything a test keeps, under one lock.
#[derive(Default)]
struct Kept(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    tokens: HashMap<TokenId, TokenRecord>,
    hints: HashMap<WorkspaceId, (OrganizationName, Hint)>,
    pending: HashMap<StateVersionId, Pending>,
    history: HashMap<(WorkspaceId, u32), StateVersion>,
    bytes: HashMap<StateVersionId, Vec<u8>>,
    sealed: Vec<Sealed>,
    drawn: u64,
}

#[derive(Clone)]
enum Sealed {
    Session(LoginSession),
    Ticket(Ticket),
    Code(CodeClaims),
    Bearer(Purpose, BearerClaims),
}

impl Kept {
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn seal(&self, thing: Sealed) -> String {
        self.with(|inner| {
            inner.sealed.push(thing);
            format!("sealed{}", inner.sealed.len() - 1)
        })
    }

    fn open(&self, text: &str) -> Option<Sealed> {
        let index: usize = text.strip_prefix("sealed")?.parse().ok()?;
        self.with(|inner| inner.sealed.get(index).cloned())
    }
}

struct Streams<T: Record>(Mutex<HashMap<T::Key, Versioned<T>>>);

#[async_trait]
impl<T: Record> Records<T> for Streams<T> {
    async fn newest(&self, key: &T::Key) -> Result<Option<Versioned<T>>, StoreError> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    fn remembered(&self, _: &T::Key) -> Option<Versioned<T>> {
        None
    }

    async fn try_append(&self, key: &T::Key, base: Option<&Versioned<T>>, change: &Change<T>) -> Appended<T> {
        let number = base.map_or(1, |base| base.number + 1);
        let link = Link { digest: [0; 32], residue: None, min_writer: 1 };
        let entry = Versioned { number, value: change.value.clone(), link };
        self.0.lock().unwrap().insert(key.clone(), entry.clone());
        Appended::Landed(entry)
    }
}

#[async_trait]
impl Catalog for Kept {
    async fn note(&self, organization: &OrganizationName, _: u64, hint: &Hint) -> Result<(), StoreError> {
        self.with(|inner| inner.hints.insert(hint.workspace, (organization.clone(), hint.clone())));
        Ok(())
    }

    async fn hints(&self, organization: &OrganizationName) -> Result<Vec<Hint>, StoreError> {
        let hints = self.with(|inner| inner.hints.values().cloned().collect::<Vec<_>>());
        Ok(hints
            .into_iter()
            .filter(|(of, hint)| of == organization && hint.live)
            .map(|(_, hint)| hint)
            .collect())
    }

    async fn organizations(&self) -> Result<Vec<OrganizationName>, StoreError> {
        Ok(vec![])
    }

    async fn users(&self) -> Result<Vec<User>, StoreError> {
        Ok(vec![])
    }
}

#[async_trait]
impl Versions for Kept {
    async fn propose(&self, pending: &Pending) -> Result<(), StoreError> {
        self.with(|inner| inner.pending.insert(pending.version, pending.clone()));
        Ok(())
    }

    async fn pending(&self, version: StateVersionId) -> Result<Option<Pending>, StoreError> {
        Ok(self.with(|inner| inner.pending.get(&version).cloned()))
    }

    async fn remember(&self, version: &StateVersion) -> Result<(), StoreError> {
        let key = (version.id.workspace, version.id.ordinal);
        self.with(|inner| inner.history.insert(key, version.clone()));
        Ok(())
    }

    async fn at(&self, workspace: WorkspaceId, ordinal: u32) -> Result<Option<StateVersion>, StoreError> {
        Ok(self.with(|inner| inner.history.get(&(workspace, ordinal)).cloned()))
    }
}

#[async_trait]
impl Blobs for Kept {
    async fn put_state(&self, key: BlobKey, mut body: ByteStream, limit: u64) -> Result<Measured, PutError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk?);
        }
        if bytes.len() as u64 > limit {
            return Err(PutError::TooLarge(limit));
        }
        // The digest is not what these tests are about: the first bytes stand for it.
        let mut md5 = [0; 16];
        for (to, from) in md5.iter_mut().zip(&bytes) {
            *to = *from;
        }
        let size = bytes.len() as u64;
        self.with(|inner| inner.bytes.insert(key.version, bytes));
        let output = |name: &str, sensitive| Output {
            name: name.into(),
            sensitive,
            type_json: "\"string\"".into(),
            value_json: "\"v\"".into(),
        };
        let outputs = vec![output("open", false), output("secret", true)];
        let document = Document {
            serial: Some(1),
            lineage: Some("l".into()),
            resources: Some(1),
            outputs,
            ..Document::default()
        };
        Ok(Measured { size, md5: Md5(md5), sha256: Sha256([1; 32]), document })
    }

    async fn put_plain(&self, _: BlobKey, mut body: ByteStream, _: u64) -> Result<(), PutError> {
        while let Some(chunk) = body.next().await {
            chunk?;
        }
        Ok(())
    }

    async fn put_outputs(&self, _: BlobKey, _: &[Output]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn first_attempt(&self, _: StateVersionId, _: BlobKind) -> Result<Option<AttemptId>, StoreError> {
        Ok(None)
    }

    async fn open(&self, key: BlobKey) -> Result<ByteStream, StoreError> {
        let bytes = self.with(|inner| inner.bytes.get(&key.version).cloned().unwrap_or_default());
        Ok(Box::pin(stream::iter([Ok(bytes.into())])))
    }

    async fn outputs(&self, _: BlobKey) -> Result<Vec<Output>, StoreError> {
        let output = |name: &str, sensitive| Output {
            name: name.into(),
            sensitive,
            type_json: "\"string\"".into(),
            value_json: "\"v\"".into(),
        };
        Ok(vec![output("open", false), output("secret", true)])
    }
}

#[async_trait]
impl Tokens for Kept {
    async fn create(&self, record: &TokenRecord) -> Result<TokenMade, StoreError> {
        self.with(|inner| inner.tokens.insert(record.id.clone(), record.clone()));
        Ok(TokenMade::Created)
    }

    async fn read(&self, id: &TokenId) -> Result<Option<TokenRecord>, StoreError> {
        Ok(self.with(|inner| inner.tokens.get(id).cloned()))
    }

    async fn revoke(&self, id: &TokenId, _: &Subject, at: Timestamp) -> Result<(), StoreError> {
        self.with(|inner| {
            if let Some(record) = inner.tokens.get_mut(id) {
                record.revoked_at = Some(at);
            }
        });
        Ok(())
    }

    async fn list(&self, owner: &Subject) -> Result<Vec<Listed>, StoreError> {
        let records = self.with(|inner| inner.tokens.values().cloned().collect::<Vec<_>>());
        let own = records.into_iter().filter(|record| record.owner == *owner);
        Ok(own.map(|record| Listed { record, last_used_at: None }).collect())
    }

    fn note_use(&self, _: &TokenId, _: Timestamp) {}

    async fn use_refresh(&self, _: &TokenId, _: [u8; 16], _: &Successor) -> Result<Used, StoreError> {
        Ok(Used::Now)
    }

    async fn sweep(&self, _: Timestamp) -> Result<usize, StoreError> {
        Ok(0)
    }
}

#[async_trait]
impl Clock for Kept {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_764_072_000_000)
    }

    fn mono(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _: Duration) {}
}

impl Entropy for Kept {
    fn fill(&self, buffer: &mut [u8]) {
        let drawn = self.with(|inner| {
            inner.drawn += 1;
            inner.drawn
        });
        for (index, byte) in buffer.iter_mut().rev().enumerate() {
            *byte = if index < 8 { drawn.to_le_bytes()[index] } else { 0 };
        }
    }
}

impl Signer for Kept {
    fn sign_code(&self, claims: &CodeClaims) -> String {
        self.seal(Sealed::Code(claims.clone()))
    }

    fn open_code(&self, code: &str) -> Option<CodeClaims> {
        match self.open(code)? {
            Sealed::Code(claims) => Some(claims),
            _ => None,
        }
    }

    fn sign_bearer(&self, purpose: Purpose, claims: &BearerClaims) -> String {
        self.seal(Sealed::Bearer(purpose, claims.clone()))
    }

    fn open_bearer(&self, purpose: Purpose, token: &str) -> Option<BearerClaims> {
        match self.open(token)? {
            Sealed::Bearer(of, claims) if of == purpose => Some(claims),
            _ => None,
        }
    }

    fn public_keys(&self) -> Vec<PublicKey> {
        vec![PublicKey { kid: "k1".into(), key: [7; 32] }]
    }
}

#[async_trait]
impl Workloads for Kept {
    async fn verify(&self, _: &str) -> Result<WorkloadToken, IdpError> {
        Err(IdpError::Refused("nobody is trusted here".into()))
    }
}

impl Sealer for Kept {
    fn seal_session(&self, session: &LoginSession, _: [u8; 12]) -> String {
        self.seal(Sealed::Session(session.clone()))
    }

    fn open_session(&self, text: &str) -> Option<LoginSession> {
        match self.open(text)? {
            Sealed::Session(session) => Some(session),
            _ => None,
        }
    }

    fn seal_ticket(&self, ticket: &Ticket, _: [u8; 12]) -> String {
        self.seal(Sealed::Ticket(ticket.clone()))
    }

    fn open_ticket(&self, text: &str) -> Option<Ticket> {
        match self.open(text)? {
            Sealed::Ticket(ticket) => Some(ticket),
            _ => None,
        }
    }

    fn s3_secrets(&self, access_key_id: &str) -> S3Secrets {
        S3Secrets { newest: Secret::new(format!("secret of {access_key_id}")), older: Vec::new() }
    }
}

/// Doors over fresh ports, and the tokens of two people.
pub(super) fn doors() -> (Doors, String, String) {
    let kept = Arc::new(Kept::default());
    let token = |n: u8, name: &str| {
        let token = ApiToken::new(TokenId::from_bytes([n; 10]), [n; 32]);
        let terms = Terms {
            owner: Subject::development(name).unwrap(),
            name: "test".parse().unwrap(),
            scope: Scope::full(),
            expires_at: None,
        };
        let record = TokenRecord::api(&token, terms, kept.now());
        kept.with(|inner| inner.tokens.insert(record.id.clone(), record));
        token.reveal().expose().clone()
    };
    let (alice, bob) = (token(1, "alice"), token(2, "bob"));
    let driven = Arc::new(Driven {
        workspaces: Arc::new(Streams(Mutex::default())),
        names: Arc::new(Streams(Mutex::default())),
        organizations: Arc::new(Streams(Mutex::default())),
        users: Arc::new(Streams(Mutex::default())),
        policies: Arc::new(Streams(Mutex::default())),
        catalog: kept.clone(),
        versions: kept.clone(),
        blobs: kept.clone(),
        tokens: kept.clone(),
        clock: kept.clone(),
        entropy: kept.clone(),
        max_state_bytes: 1000,
    });
    let access = Access::new(driven.clone(), kept.clone());
    let lives = Lives { access: Duration::from_hours(1), refresh: Duration::from_hours(720) };
    let trust: (Arc<dyn Workloads>, _) = (kept.clone(), Vec::new());
    let sessions = Sessions::new(driven.clone(), access.clone(), kept.clone(), kept.clone(), trust, lives);
    let login = Login::new(
        driven.clone(),
        access.clone(),
        sessions.clone(),
        (kept.clone(), kept.clone()),
        How::AnyName,
        None,
    );
    let doors = Doors {
        api_tokens: ApiTokens::new(driven.clone(), access.clone()),
        policies: Policies::new(driven.clone(), access.clone()),
        users: Users::new(driven.clone(), access.clone()),
        access,
        sessions,
        signer: kept.clone(),
        issuer: "https://localhost:8080".into(),
        workspaces: Workspaces::new(driven.clone()),
        state_versions: StateVersions::new(driven.clone()),
        organizations: Organizations::new(driven.clone()),
        projects: Projects::new(driven),
        login,
        sealer: kept.clone(),
        entropy: kept,
        ready: Arc::new(|| Err("storage does not answer".into())),
        addresses: Addresses::new(None, true, 8080),
        max_state_bytes: 1000,
    };
    (doors, alice, bob)
}
