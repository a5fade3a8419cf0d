//! A provider with its keys, a clock, and a login.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use jwt_simple::prelude::{
    Claims, ECDSAP256KeyPairLike, ES256KeyPair, Ed25519KeyPair, EdDSAKeyPairLike, HS256Key, JWTClaims,
    MACLike, PS256KeyPair, RS256KeyPair, RSAKeyPairLike,
};
use opentaco_domain::secret::Secret;
use opentaco_domain::time::Timestamp;
use opentaco_domain::user::Identity;
use opentaco_ports::driven::Clock;
use opentaco_ports::driven::idp::{Ask, IdentityProvider, IdpError};
use serde_json::{Map, Value, json};

use super::fake::Fake;
use crate::{EmailVerified, Provider, ProviderSettings};

pub(super) const CLIENT: &str = "taco-client";
pub(super) const SECRET: &str = "s3cret/with+signs";
pub(super) const CODE: &str = "code-1234567890";
pub(super) const ACCESS: &str = "access-0987654321";
pub(super) const VERIFIER: &str = "verifier-verifier-verifier-verifier-verifier";
/// RSA keys take long to make.
static RSA: LazyLock<RS256KeyPair> = LazyLock::new(|| RS256KeyPair::generate(2048).unwrap());

static EC: LazyLock<ES256KeyPair> = LazyLock::new(ES256KeyPair::generate);

/// Time as a test wants it.
#[derive(Default)]
pub(crate) struct TestClock {
    wall: AtomicI64,
    mono: AtomicU64,
}

impl TestClock {
    pub(super) fn advance(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.mono.fetch_add(millis, Ordering::SeqCst);
        self.wall.fetch_add(i64::try_from(millis).unwrap(), Ordering::SeqCst);
    }

    pub(super) fn secs(&self) -> i64 {
        self.now().as_secs()
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_764_072_000_000 + self.wall.load(Ordering::SeqCst))
    }

    fn mono(&self) -> Duration {
        Duration::from_millis(self.mono.load(Ordering::SeqCst))
    }

    async fn sleep(&self, _: Duration) {}
}

/// A key pair of a provider, by the name of its algorithm.
pub(super) enum Key {
    EdDsa(Box<Ed25519KeyPair>),
    Es256,
    Rs256,
    Ps256,
}

impl Key {
    pub(super) fn new() -> Self {
        Self::EdDsa(Box::new(Ed25519KeyPair::generate()))
    }

    /// A token of that payload, its header naming the key `kid`.
    pub(super) fn sign(&self, kid: &str, payload: &Value) -> String {
        let claims = bare(payload);
        match self {
            Self::EdDsa(key) => Ed25519KeyPair::clone(key).with_key_id(kid).sign(claims),
            Self::Es256 => ES256KeyPair::from_bytes(&EC.to_bytes()).unwrap().with_key_id(kid).sign(claims),
            Self::Rs256 => RSA.clone().with_key_id(kid).sign(claims),
            Self::Ps256 => {
                PS256KeyPair::from_der(&RSA.to_der().unwrap()).unwrap().with_key_id(kid).sign(claims)
            }
        }
        .unwrap()
    }

    /// The public half as a member of a key set.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        let text = match self {
            Self::EdDsa(key) => key.public_key().to_jwk(),
            Self::Es256 => EC.public_key().to_jwk(),
            Self::Rs256 | Self::Ps256 => RSA.public_key().to_jwk(),
        };
        let mut jwk: Value = serde_json::from_str(&text).unwrap();
        jwk["kid"] = kid.into();
        jwk["use"] = "sig".into();
        // One RSA key serves two algorithms here.
        jwk.as_object_mut().unwrap().remove("alg");
        jwk
    }
}

/// A token that is authenticated with a text that anybody may know.
pub(super) fn shared_secret(secret: &str, payload: &Value) -> String {
    HS256Key::from_bytes(secret.as_bytes()).authenticate(bare(payload)).unwrap()
}

fn bare(payload: &Value) -> JWTClaims<Map<String, Value>> {
    let payload = payload.as_object().unwrap().clone();
    let claims = Claims::with_custom_claims(payload, jwt_simple::prelude::Duration::from_secs(1));
    JWTClaims { issued_at: None, expires_at: None, invalid_before: None, ..claims }
}

/// A provider, somebody who logs in there, and our side.
pub(super) struct World {
    pub(super) fake: Fake,
    pub(super) clock: Arc<TestClock>,
    pub(super) key: Key,
    pub(super) settings: ProviderSettings,
}

impl World {
    /// A provider that discloses everything, and whose id tokens say everything.
    pub(super) fn new() -> Self {
        Self::with_key(Key::new())
    }

    pub(super) fn with_key(key: Key) -> Self {
        prepare();
        let fake = Fake::start();
        let settings = ProviderSettings {
            issuer: fake.url(""),
            client_id: CLIENT.to_owned(),
            client_secret: Some(Secret::new(SECRET.to_owned())),
            auth_url: None,
            token_url: None,
            jwks_url: None,
            userinfo_url: None,
            scopes: ["openid", "email", "profile"].map(str::to_owned).to_vec(),
            groups_claim: "groups".to_owned(),
            email_verified: EmailVerified::Claim,
        };
        let world = Self { fake, clock: Arc::default(), key, settings };
        world.fake.says_json("/.well-known/openid-configuration", &world.document());
        world.fake.says_json("/keys", &json!({ "keys": [world.key.jwk("k1")] }));
        world.answer(&world.claims());
        world
    }

    /// What the provider discloses about itself.
    pub(super) fn document(&self) -> Value {
        json!({
            "issuer": self.fake.url(""),
            "authorization_endpoint": self.fake.url("/authorize"),
            "token_endpoint": self.fake.url("/token"),
            "jwks_uri": self.fake.url("/keys"),
        })
    }

    /// The payload of a good id token.
    pub(super) fn claims(&self) -> Value {
        json!({
            "iss": self.fake.url(""), "aud": CLIENT, "sub": "alice", "nonce": "nonce-1",
            "iat": self.clock.secs(), "exp": self.clock.secs() + 300,
            "email": "Alice@Example.com", "email_verified": true, "groups": ["devs", "ops"],
        })
    }

    /// The same with some claims otherwise; `null` takes one out.
    pub(super) fn claims_but(&self, changes: &Value) -> Value {
        let mut claims = self.claims();
        let members = claims.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                members.remove(name);
            } else {
                members.insert(name.clone(), value.clone());
            }
        }
        claims
    }

    /// The next exchange gives an id token of that payload.
    pub(super) fn answer(&self, claims: &Value) {
        self.answer_token(Some(&self.key.sign("k1", claims)));
    }

    pub(super) fn answer_token(&self, token: Option<&str>) {
        let mut answer = json!({ "access_token": ACCESS, "token_type": "Bearer", "expires_in": 60 });
        if let Some(token) = token {
            answer["id_token"] = token.into();
        }
        self.fake.says_json("/token", &answer);
    }

    pub(super) fn provider(&self) -> Provider {
        let clock: Arc<TestClock> = Arc::clone(&self.clock);
        Provider::new(self.settings.clone(), clock).unwrap()
    }

    /// Logs in at a provider that is met for the first time.
    pub(super) async fn login(&self) -> Result<Identity, IdpError> {
        self.provider().identify(&ask(), CODE).await
    }

    /// Logs in with a token of other claims.
    pub(super) async fn login_but(&self, changes: &Value) -> Result<Identity, IdpError> {
        self.answer(&self.claims_but(changes));
        self.login().await
    }
}

pub(super) fn ask() -> Ask {
    Ask {
        redirect_uri: "https://taco.example/oauth/oidc-callback".to_owned(),
        nonce: "nonce-1".to_owned(),
        verifier: Secret::new(VERIFIER.to_owned()),
    }
}

/// Why a login is refused, as it must be.
pub(super) fn refusal<T: std::fmt::Debug>(outcome: Result<T, IdpError>) -> String {
    match outcome {
        Err(IdpError::Refused(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

/// Every test of a process may be its first.
pub(crate) fn prepare() {
    super::silence::listen();
    let _ = rustls::crypto::ring::default_provider().install_default();
}
