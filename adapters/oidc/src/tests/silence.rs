//! Secrets, codes, tokens and what a provider answers stand in no log and no error.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};

use opentaco_ports::driven::idp::{IdentityProvider, IdpError};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use super::fake::Answer;
use super::world::{ACCESS, CODE, SECRET, VERIFIER, World, ask};

/// Everything that the tests of this process have logged.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false);
    // For the whole process: which events are of interest is remembered for all threads together.
    tracing::subscriber::set_global_default(subscriber.with_max_level(tracing::Level::TRACE).finish())
        .unwrap();
    log
});

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Starts to listen.
pub(super) fn listen() {
    LazyLock::force(&LOG);
}

#[tokio::test]
async fn what_is_secret_stands_in_no_log_and_no_error() {
    let world = World::new();
    let body = "what-the-provider-says";
    let token = world.key.sign("k1", &world.claims_but(&json!({ "nonce": body })));
    let page = || Answer { status: 200, headers: vec![], body: body.as_bytes().to_vec() };
    let mut errors = Vec::new();
    let mut keep = |error: IdpError| errors.push(format!("{error} {error:?}"));
    world.answer_token(Some(&token));
    keep(world.login().await.unwrap_err());
    for answer in [
        Answer::json(400, &json!({ "error": body, "error_description": body })),
        Answer::json(500, &json!(body)),
        Answer::json(200, &json!({ "access_token": ACCESS, "token_type": "Bearer", "id_token": body })),
        page(),
    ] {
        world.fake.says("/token", answer);
        keep(world.login().await.unwrap_err());
    }
    world.fake.is_down(true);
    keep(world.login().await.unwrap_err());
    world.fake.is_down(false);
    world.fake.says_json("/.well-known/openid-configuration", &json!({ "issuer": body }));
    keep(world.login().await.unwrap_err());
    world.fake.says("/.well-known/openid-configuration", page());
    keep(world.provider().authorization_url(&ask(), "state-of-the-login").await.unwrap_err());
    let text = format!("{}{}{:?}", LOG.text(), errors.join("\n"), world.settings);
    assert!(text.contains("OIDC: Configuration loaded"), "{text}");
    assert!(text.contains("OIDC: Configuration not loaded"), "{text}");
    for secret in [SECRET, CODE, ACCESS, VERIFIER, body, "nonce-1", "state-of-the-login", token.as_str()] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
