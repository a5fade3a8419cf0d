//! An issuer of CI tokens in this process: it publishes its keys on the loopback interface as GitHub Actions does.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jwt_simple::prelude::{
    HS256Key, JWTClaims, MACLike as _, RS256KeyPair, RS256PublicKey, RSAKeyPairLike as _,
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::proxy::read_head;

/// Where a client finds everything else.
const DISCOVERY: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/jwks";
/// How long a caller may be silent in the middle of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// The number of a key that no issuer publishes; theirs come after it.
const STRANGER: usize = 0;

/// What a token says. Take the usual ones from [`Issuer::github`] and bend them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// These and no others; for an issuer that is not like GitHub.
    pub fn only(claims: Value) -> Self {
        match claims {
            Value::Object(claims) => Self(claims),
            other => panic!("claims are an object, and not {other}"),
        }
    }

    /// Sets one claim to anything.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves one out.
    pub fn without(mut self, name: &str) -> Self {
        self.0.remove(name).unwrap_or_else(|| panic!("there is no claim {name} to leave out"));
        self
    }

    /// As if it had been issued so many seconds later, or earlier if negative.
    pub fn shifted(mut self, seconds: i64) -> Self {
        for name in ["iat", "nbf", "exp"] {
            if let Some(time) = self.0.get(name).and_then(Value::as_i64) {
                self.0.insert(name.to_owned(), (time + seconds).into());
            }
        }
        self
    }

    /// What it says under that name.
    pub fn get(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or_else(|| panic!("there is no claim {name}"))
    }
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// By the key that the issuer publishes, under its id.
    Own,
    /// By a key that nobody publishes, under the id of the published one.
    Stranger,
    /// By the published key under an id that nobody knows.
    UnknownKey,
    /// By the published key, without an id.
    NoKeyId,
    /// Not at all: `alg` is `none`.
    None,
    /// `HS256`, with the published key as the secret.
    PublicKeyAsSecret,
}

impl Signature {
    /// Those that nobody may accept.
    pub const FORGED: [Self; 4] = [Self::Stranger, Self::UnknownKey, Self::None, Self::PublicKeyAsSecret];
}

/// An issuer on the loopback interface. It lives as long as the process.
#[derive(Debug)]
pub struct Issuer {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    key: Mutex<usize>,
    broken: Mutex<bool>,
    /// What it answers on each path, made of the above.
    answers: Mutex<BTreeMap<&'static str, Value>>,
    fetched: Mutex<BTreeMap<String, usize>>,
}

impl Issuer {
    /// Starts an issuer with one key.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback interface");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State {
            key: Mutex::new(STRANGER + 1),
            broken: Mutex::default(),
            answers: Mutex::default(),
            fetched: Mutex::default(),
        });
        let issuer = Self { port, state: state.clone() };
        issuer.publish(DISCOVERY, issuer.discovery());
        issuer.publish_keys(&[STRANGER + 1]);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = state.clone();
                thread::spawn(move || {
                    // Whoever hangs up in the middle gets nothing, and that is all.
                    let _ = state.serve(&client);
                });
            }
        });
        issuer
    }

    /// What its tokens have as `iss`: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What GitHub Actions says in a token for a job on a branch.
    ///
    /// The repository is `OWNER/NAME`, the reference `refs/heads/BRANCH`.
    pub fn github(&self, repository: &str, reference: &str, audience: &str) -> Claims {
        static JOBS: AtomicUsize = AtomicUsize::new(1);
        let job = JOBS.fetch_add(1, Ordering::Relaxed);
        let owner = repository.split('/').next().unwrap_or_default();
        let sha = HEXLOWER.encode(&Sha256::digest(reference)[..20]);
        let workflow = format!("{repository}/.github/workflows/deploy.yml@{reference}");
        let now = now();
        Claims::only(json!({
            "iss": self.url(),
            "sub": format!("repo:{repository}:ref:{reference}"),
            "aud": audience,
            "jti": format!("{:08x}-0000-4000-8000-{job:012x}", std::process::id()),
            "iat": now,
            // GitHub's clocks may be ahead, so it begins earlier than it was issued.
            "nbf": now - 600,
            "exp": now + 300,
            "repository": repository,
            "repository_id": id_of(repository),
            "repository_owner": owner,
            "repository_owner_id": id_of(owner),
            "repository_visibility": "private",
            "ref": reference,
            "ref_type": "branch",
            "ref_protected": "true",
            "head_ref": "",
            "base_ref": "",
            "sha": sha,
            "actor": "octocat",
            "actor_id": id_of("octocat"),
            "event_name": "push",
            "workflow": "deploy",
            "workflow_ref": workflow,
            "workflow_sha": sha,
            "job_workflow_ref": workflow,
            "job_workflow_sha": sha,
            "run_id": (9_000_000_000 + job).to_string(),
            "run_number": job.to_string(),
            "run_attempt": "1",
            "runner_environment": "github-hosted",
        }))
    }

    /// A token as the issuer gives it.
    pub fn sign(&self, claims: &Claims) -> String {
        self.sign_as(Signature::Own, claims)
    }

    /// A token that is signed in another way.
    pub fn sign_as(&self, signature: Signature, claims: &Claims) -> String {
        let number = *lock(&self.state.key);
        let (own, id) = (key(number), key_id(number));
        let filled = filled(claims);
        let signed = match signature {
            Signature::Own => own.with_key_id(&id).sign(filled),
            Signature::Stranger => key(STRANGER).with_key_id(&id).sign(filled),
            Signature::UnknownKey => own.with_key_id(&key_id(STRANGER)).sign(filled),
            Signature::NoKeyId => own.sign(filled),
            Signature::None => return unsigned(&id, claims),
            Signature::PublicKeyAsSecret => {
                let public = own.public_key().to_pem().expect("a public key");
                HS256Key::from_bytes(public.as_bytes()).with_key_id(&id).authenticate(filled)
            }
        };
        signed.expect("a signature")
    }

    /// Signs with a new key from now on, and publishes nothing else.
    pub fn rotate(&self) {
        let mut number = lock(&self.state.key);
        *number += 1;
        self.publish_keys(&[*number]);
    }

    /// Signs with a new key from now on, and goes on publishing the one before it.
    pub fn rotate_and_keep(&self) {
        let mut number = lock(&self.state.key);
        *number += 1;
        self.publish_keys(&[*number - 1, *number]);
    }

    /// Says something else at discovery, such as another `issuer` or `jwks_uri`.
    pub fn bend_discovery(&self, name: &str, value: impl Into<Value>) {
        let mut found = self.discovery();
        found[name] = value.into();
        self.publish(DISCOVERY, found);
    }

    /// Answers 503 to everything.
    pub fn break_down(&self) {
        *lock(&self.state.broken) = true;
    }

    /// Answers again.
    pub fn recover(&self) {
        *lock(&self.state.broken) = false;
    }

    /// How often somebody asked for the keys, answered or not.
    pub fn keys_fetched(&self) -> usize {
        lock(&self.state.fetched).get(JWKS).copied().unwrap_or_default()
    }

    /// How often somebody asked for anything, answered or not.
    pub fn requests(&self) -> usize {
        lock(&self.state.fetched).values().sum()
    }

    fn discovery(&self) -> Value {
        json!({
            "issuer": self.url(),
            "jwks_uri": format!("{}{JWKS}", self.url()),
            "subject_types_supported": ["public", "pairwise"],
            "response_types_supported": ["id_token"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid"],
        })
    }

    fn publish_keys(&self, numbers: &[usize]) {
        let keys = numbers.iter().map(|&number| {
            let public: RS256PublicKey = key(number).with_key_id(&key_id(number)).public_key();
            serde_json::from_str::<Value>(&public.to_jwk()).expect("JSON")
        });
        self.publish(JWKS, json!({"keys": keys.collect::<Vec<_>>()}));
    }

    fn publish(&self, path: &'static str, answer: Value) {
        lock(&self.state.answers).insert(path, answer);
    }
}

impl State {
    fn serve(&self, mut client: &TcpStream) -> std::io::Result<()> {
        client.set_read_timeout(Some(PATIENCE))?;
        // Nobody posts anything here, so a request ends with its head.
        let request = read_head(&mut BufReader::new(client))?;
        let path = request.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        *lock(&self.fetched).entry(path.to_owned()).or_default() += 1;
        let (status, body) = match lock(&self.answers).get(path) {
            _ if *lock(&self.broken) => ("503 Service Unavailable", json!("broken")),
            Some(answer) => ("200 OK", answer.clone()),
            None => ("404 Not Found", json!("nothing here")),
        };
        let body = body.to_string();
        let length = body.len();
        write!(
            client,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
    }
}

/// The key of that number, made once in a process: that takes half a second.
fn key(number: usize) -> RS256KeyPair {
    static KEYS: Mutex<BTreeMap<usize, RS256KeyPair>> = Mutex::new(BTreeMap::new());
    let make = || RS256KeyPair::generate(2048).expect("a key");
    lock(&KEYS).entry(number).or_insert_with(make).clone()
}

fn key_id(number: usize) -> String {
    format!("key-{number}")
}

/// The claims as the library takes them, which adds nothing of its own.
fn filled(claims: &Claims) -> JWTClaims<Map<String, Value>> {
    JWTClaims {
        issued_at: None,
        expires_at: None,
        invalid_before: None,
        issuer: None,
        subject: None,
        audiences: None,
        jwt_id: None,
        nonce: None,
        custom: claims.0.clone(),
    }
}

fn unsigned(id: &str, claims: &Claims) -> String {
    let header = json!({"alg": "none", "typ": "JWT", "kid": id});
    let [header, claims] = [header, Value::Object(claims.0.clone())]
        .map(|part| BASE64URL_NOPAD.encode(part.to_string().as_bytes()));
    format!("{header}.{claims}.")
}

/// A number that GitHub might have given to that name; the same for the same name.
fn id_of(name: &str) -> String {
    let digest = Sha256::digest(name);
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]).to_string()
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970");
    since.as_secs().try_into().expect("a time before the end of it")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use jwt_simple::prelude::{RSAPublicKeyLike as _, Token};
    use reqwest::StatusCode;

    use super::*;
    use crate::client::plain;

    async fn get(url: &str) -> (StatusCode, Value) {
        let response = plain().build().unwrap().get(url).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    /// The published keys, found as a client finds them.
    async fn keys(issuer: &Issuer) -> Vec<RS256PublicKey> {
        let (_, found) = get(&format!("{}{DISCOVERY}", issuer.url())).await;
        assert_eq!(found["issuer"], issuer.url());
        let (_, jwks) = get(found["jwks_uri"].as_str().unwrap()).await;
        let keys = jwks["keys"].as_array().unwrap().iter();
        keys.map(|key| RS256PublicKey::from_jwk(&key.to_string()).unwrap()).collect()
    }

    /// By the key that the token names, as a client should do it.
    async fn verifies(issuer: &Issuer, token: &str) -> bool {
        let named = Token::decode_metadata(token).unwrap().key_id().map(str::to_owned);
        keys(issuer).await.iter().filter(|key| named.is_none() || *key.key_id() == named).any(|key| {
            key.verify_token::<Map<String, Value>>(token, None)
                .is_ok_and(|claims| claims.issuer == Some(issuer.url()))
        })
    }

    #[tokio::test]
    async fn a_token_verifies_with_the_published_key() {
        let issuer = Issuer::start();
        let claims = issuer.github("acme/shop", "refs/heads/main", "opentaco").with("actor", "ann");
        let token = issuer.sign(&claims);
        let key = keys(&issuer).await.remove(0);
        assert_eq!(Token::decode_metadata(&token).unwrap().key_id(), key.key_id().as_deref());
        let read = key.verify_token::<Map<String, Value>>(&token, None).unwrap();
        assert_eq!(read.subject.as_deref(), Some("repo:acme/shop:ref:refs/heads/main"));
        assert_eq!(read.custom["actor"], "ann");
        let payload = BASE64URL_NOPAD.decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap();
        assert_eq!(Claims::only(serde_json::from_slice(&payload).unwrap()), claims, "nothing is added");
    }

    #[tokio::test]
    async fn what_is_forged_does_not_verify() {
        let issuer = Issuer::start();
        let claims = issuer.github("acme/shop", "refs/heads/main", "opentaco");
        for forged in Signature::FORGED {
            assert!(!verifies(&issuer, &issuer.sign_as(forged, &claims)).await, "{forged:?}");
        }
        let old = claims.clone().shifted(-7200);
        assert!(!verifies(&issuer, &issuer.sign(&old)).await);
        assert!(verifies(&issuer, &issuer.sign_as(Signature::NoKeyId, &claims)).await);
    }

    #[tokio::test]
    async fn keys_rotate_and_fetches_are_counted() {
        let issuer = Issuer::start();
        let claims = issuer.github("acme/shop", "refs/heads/main", "opentaco");
        let first = issuer.sign(&claims);
        issuer.rotate_and_keep();
        assert!(verifies(&issuer, &first).await && verifies(&issuer, &issuer.sign(&claims)).await);
        issuer.rotate();
        assert!(!verifies(&issuer, &first).await && verifies(&issuer, &issuer.sign(&claims)).await);
        assert_eq!((issuer.keys_fetched(), issuer.requests()), (4, 8));
        issuer.break_down();
        assert_eq!(get(&format!("{}{JWKS}", issuer.url())).await.0, StatusCode::SERVICE_UNAVAILABLE);
        issuer.recover();
        issuer.bend_discovery("issuer", "https://elsewhere.test");
        let (_, found) = get(&format!("{}{DISCOVERY}", issuer.url())).await;
        assert_eq!(found["issuer"], "https://elsewhere.test");
    }
}
