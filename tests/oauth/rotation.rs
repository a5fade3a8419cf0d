//! Keys are replaced while people log in and apply: two servers on one bucket, restarted one after the other.
//!
//! The order is the one that the manual tells: first every server is told of the new key, then one after the other uses it,
//! and the old one stays listed. At every moment of that, either server takes what either has made.

use std::fs;
use std::path::PathBuf;

use opentaco_tests::browser::{Answer, Browser, Who};
use opentaco_tests::client::{Api, Attempt, Reply, http, state};
use opentaco_tests::server::{Options, Server, Storage};
use reqwest::{Client, StatusCode, Url};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::flow::{Shown, exchange_fields, post, session, window, works};
use crate::refusals::{Key, accepted, taco, text, with};

/// What clients call the servers, so that their tokens have one issuer. Nobody listens there: the tests go to each
/// server by its own name.
const PUBLIC: &str = "http://localhost:4443";
const SIGNING: &str = "OPENTACO_TOKENS_PRIVATE_KEY_PEM_PATH";
const LISTED: &str = "OPENTACO_TOKENS_VERIFY_PEM_PATHS";
const SEALING: &str = "OPENTACO_OAUTH_STATE_KEY";

/// Two keys under their thumbprints, in files.
struct Keys {
    old: Key,
    new: Key,
    folder: TempDir,
}

impl Keys {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [old, new] = ["old", "new"].map(|name| Key::named(name).unnamed());
        let keys = Self { old, new, folder };
        fs::write(keys.path("old"), keys.old.pem()).unwrap();
        fs::write(keys.path("new"), keys.new.pem()).unwrap();
        // The half that may be given away is enough to verify.
        fs::write(keys.path("new.pub"), keys.new.public_pem()).unwrap();
        keys
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

/// A server as one person uses it: over http, because each has a certificate of its own.
struct Host<'a> {
    server: &'a Server,
    client: Client,
}

/// What was made by a server and is to be taken by another.
struct Made {
    access: String,
    refresh: String,
    code: Vec<(String, String)>,
    taco_code: Vec<(String, String)>,
    /// A login whose consent is due, in the browser that began it.
    login: (Client, Attempt, String),
    workspace: String,
    proposal: Reply,
    bytes: Vec<u8>,
}

impl<'a> Host<'a> {
    fn new(server: &'a Server) -> Self {
        Self { server, client: http(server).build().unwrap() }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.base_http())
    }

    /// An attempt to log in, begun here.
    fn attempt(&self) -> Attempt {
        let attempt = Attempt::new(self.server);
        Attempt { authorization: attempt.authorization.replacen("https", "http", 1), ..attempt }
    }

    /// A code for the server's owner.
    async fn code(&self, attempt: &Attempt) -> String {
        let (browser, who) = (Browser::new(self.server), Who::owner(self.server));
        attempt.code(&browser.log_in(&attempt.authorization, &who, Answer::Allow).await)
    }

    async fn token(&self, fields: &[(String, String)]) -> Value {
        accepted(self.client.post(self.url("/oauth/token")).form(fields)).await
    }

    /// One of everything, by the holder of that API token.
    async fn make(&self, api: &str, name: &str) -> Made {
        let attempt = self.attempt();
        let code = exchange_fields(&attempt, &self.code(&attempt).await);
        let [first, second] = [taco(&self.attempt()), taco(&self.attempt())];
        let fields = with(&exchange_fields(&first, &self.code(&first).await), "client_id", "taco");
        let session = self.token(&fields).await;
        let taco_code = with(&exchange_fields(&second, &self.code(&second).await), "client_id", "taco");
        let api = Api::new(self.server, api);
        let workspace = api.create_workspace("default", name).await;
        api.lock(&workspace).await.expect(StatusCode::OK);
        let bytes = state(1, "l", 1, &json!({}));
        let proposal = api.propose(&workspace, &bytes).await.expect(StatusCode::CREATED);
        Made {
            access: text(&session["access_token"]),
            refresh: text(&session["refresh_token"]),
            code,
            taco_code,
            login: self.begin().await,
            workspace,
            proposal,
            bytes,
        }
    }

    /// A login up to the consent page.
    async fn begin(&self) -> (Client, Attempt, String) {
        let (window, attempt) = (window(self.server), self.attempt());
        let shown = Shown::read(window.get(&attempt.authorization).send().await.unwrap()).await;
        let (sealed, proof) = (session(&shown.html), self.server.login_code());
        let fields = [("session", sealed.as_str()), ("proof", &proof)];
        let shown = post(&window, &self.url("/oauth/authorization"), &fields).await;
        (window, attempt, session(&shown.html))
    }

    /// The same login, ended here: the cookie is of the name that both have.
    async fn end(&self, (window, attempt, sealed): &(Client, Attempt, String)) -> Value {
        let fields = [("session", sealed.as_str()), ("verdict", "allow")];
        let shown = post(window, &self.url("/oauth/consent"), &fields).await;
        assert_eq!(shown.status, StatusCode::FOUND, "a login that was begun before ends: {}", shown.html);
        let arrived: Url = shown.headers["location"].to_str().unwrap().parse().unwrap();
        self.token(&exchange_fields(attempt, &attempt.code(&arrived))).await
    }

    /// Takes all of that.
    async fn take(&self, made: &Made, api: &str) {
        accepted(self.client.get(self.url("/v1/auth/me")).bearer_auth(&made.access)).await;
        let refresh = json!({"refresh_token": made.refresh});
        let next = accepted(self.client.post(self.url("/v1/auth/token")).json(&refresh)).await;
        let access = text(&next["access_token"]);
        accepted(self.client.get(self.url("/v1/auth/me")).bearer_auth(&access)).await;
        let token = text(&self.token(&made.code).await["access_token"]);
        assert!(works(self.server, &token).await);
        self.token(&made.taco_code).await;
        self.end(&made.login).await;
        let url = made.proposal.json()["data"]["attributes"]["hosted-state-upload-url"].clone();
        let url = text(&url).replace(PUBLIC, &self.server.base_http());
        let uploaded = self.client.put(url).body(made.bytes.clone()).send().await.unwrap();
        assert_eq!(uploaded.status(), StatusCode::OK);
        let api = Api::new(self.server, api);
        api.unlock(&made.workspace).await.expect(StatusCode::OK);
        let serial =
            api.current(&made.workspace).await.expect(StatusCode::OK).json()["data"]["attributes"]["serial"]
                .clone();
        assert_eq!(serial, 1);
    }

    /// The ids of the keys that this server says it accepts.
    async fn kids(&self) -> Vec<String> {
        let jwks = accepted(self.client.get(self.url("/oidc/jwks.json"))).await;
        jwks["keys"].as_array().unwrap().iter().map(|key| text(&key["kid"])).collect()
    }
}

/// Names and values.
type Settings<'a> = [(&'a str, &'a str)];

/// Two servers on one bucket.
struct Pair {
    servers: [Server; 2],
    /// A token that both know.
    api: String,
    made: usize,
}

impl Pair {
    fn start(options: Options) -> Self {
        let options = options.env("OPENTACO_PUBLIC_BASE_URL", PUBLIC).env("OPENTACO_TLS", "dev");
        let first = Server::start(options);
        let (second, api) = (first.second(), first.admin_token("local:owner"));
        Self { servers: [first, second], api, made: 0 }
    }

    /// Restarts one of them with other settings.
    fn update(&mut self, which: usize, settings: &Settings<'_>) {
        for (name, value) in settings {
            self.servers[which].set(name, value);
        }
        self.servers[which].restart();
    }

    /// One of everything, of each server.
    async fn make(&mut self) -> [Made; 2] {
        self.made += 1;
        let [first, second] = [Host::new(&self.servers[0]), Host::new(&self.servers[1])];
        let name = |server: &str| format!("w{}-{server}", self.made);
        [first.make(&self.api, &name("a")).await, second.make(&self.api, &name("b")).await]
    }

    /// What the one has made is taken by the other.
    async fn cross(&self, [of_first, of_second]: &[Made; 2]) {
        Host::new(&self.servers[1]).take(of_first, &self.api).await;
        Host::new(&self.servers[0]).take(of_second, &self.api).await;
    }

    /// Exchanges everything as things are now, and makes more for later.
    async fn exchange(&mut self) -> [Made; 2] {
        let now = self.make().await;
        self.cross(&now).await;
        self.make().await
    }

    async fn kids(&self) -> [Vec<String>; 2] {
        [Host::new(&self.servers[0]).kids().await, Host::new(&self.servers[1]).kids().await]
    }
}

#[tokio::test]
async fn a_signing_key_is_replaced_one_server_at_a_time() {
    if !Storage::S3.is_there() {
        return;
    }
    let keys = Keys::make();
    let (old_file, new_file, new_public) = (keys.text("old"), keys.text("new"), keys.text("new.pub"));
    let mut pair = Pair::start(Options::s3().env(SIGNING, &old_file));
    let (old, new) = (keys.old.kid().to_owned(), keys.new.kid().to_owned());
    assert_eq!(pair.kids().await, [vec![old.clone()], vec![old.clone()]]);
    let mut before = pair.exchange().await;

    let phases: [(&Settings<'_>, [&str; 2]); 2] = [
        // Everybody is told of the new key before anybody signs with it.
        (&[(LISTED, &new_public)], [&old, &new]),
        // Then one after the other signs with it, and the old key stays listed.
        (&[(SIGNING, &new_file), (LISTED, &old_file)], [&new, &old]),
    ];
    for (settings, kids) in phases {
        for which in 0..2 {
            pair.update(which, settings);
            assert_eq!(pair.kids().await[which], kids);
            pair.cross(&before).await;
            before = pair.exchange().await;
        }
    }
    assert_eq!(pair.kids().await, [vec![new.clone(), old.clone()], vec![new, old]]);
    pair.cross(&before).await;
}

#[tokio::test]
async fn a_sealing_key_is_replaced_one_server_at_a_time() {
    if !Storage::S3.is_there() {
        return;
    }
    let (old, new) = ("the old key is long enough for that", "the new key is long enough for that");
    let mut pair = Pair::start(Options::s3().env(SEALING, old));
    let mut before = pair.exchange().await;
    // Everybody opens with the new key before anybody seals with it.
    for keys in [format!("{old},{new}"), format!("{new},{old}")] {
        for which in 0..2 {
            pair.update(which, &[(SEALING, &keys)]);
            pair.cross(&before).await;
            before = pair.exchange().await;
        }
    }
    // Once nothing is under way that the old key has sealed, it can go.
    for which in 0..2 {
        pair.update(which, &[(SEALING, new)]);
        pair.cross(&before).await;
        before = pair.exchange().await;
    }
}

#[tokio::test]
async fn what_is_under_way_outlives_a_new_sealing_key_before_the_old_one() {
    let (old, new) = ("the old key is long enough for that", "the new key is long enough for that");
    let mut server = Server::start(Options::local().env(SEALING, old));
    let token = server.admin_token("local:owner");
    let made = Host::new(&server).make(&token, "web").await;
    let lost = Host::new(&server).begin().await;
    server.set(SEALING, &format!("{new},{old}"));
    server.restart();
    Host::new(&server).take(&made, &token).await;
    // Without the old one, what it has sealed is lost, and says so.
    server.set(SEALING, new);
    server.restart();
    let (window, _, sealed) = lost;
    let fields = [("session", sealed.as_str()), ("verdict", "allow")];
    let shown = post(&window, &Host::new(&server).url("/oauth/consent"), &fields).await;
    shown.stops(400);
    assert!(shown.html.contains("Invalid or expired state"), "{}", shown.html);
}

/// The key that signed a token.
fn kid(token: &str) -> String {
    let header = data_encoding::BASE64URL_NOPAD.decode(token.split('.').next().unwrap().as_bytes()).unwrap();
    text(&serde_json::from_slice::<Value>(&header).unwrap()["kid"])
}

/// A key file that somebody replaces while the server runs.
struct Live {
    keys: Keys,
    server: Server,
}

impl Live {
    fn start(more: impl FnOnce(&Keys, Options) -> Options) -> Self {
        let keys = Keys::make();
        fs::copy(keys.path("old"), keys.path("live")).unwrap();
        let server = Server::start(more(&keys, Options::local().env(SIGNING, &keys.text("live"))));
        Self { keys, server }
    }

    /// As `mv` does it: at no moment is half of it there.
    fn replace(&self) {
        fs::copy(self.keys.path("new"), self.keys.path("next")).unwrap();
        fs::rename(self.keys.path("next"), self.keys.path("live")).unwrap();
    }
}

#[tokio::test]
async fn a_key_file_that_is_replaced_signs_without_a_restart_and_what_a_listed_key_signed_stays_good() {
    let live = Live::start(|keys, options| options.env(LISTED, &keys.text("old")));
    let (old, new) = (live.keys.old.kid().to_owned(), live.keys.new.kid().to_owned());
    let host = Host::new(&live.server);
    let token = live.server.admin_token("local:owner");
    let made = host.make(&token, "web").await;
    assert_eq!((kid(&made.access), host.kids().await), (old.clone(), vec![old.clone()]));
    live.replace();
    live.server.wait_for("JWT: the changed key files are used from now on");
    assert_eq!(host.kids().await, [new.clone(), old]);
    let later = host.make(&token, "web-2").await;
    for token in [&later.access, &later.refresh] {
        assert_eq!(kid(token), new);
    }
    host.take(&made, &token).await;
    host.take(&later, &token).await;
    let signs = "JWT: Loading Ed25519 private key";
    assert_eq!(live.server.output().matches(signs).count(), 1, "there was no restart");
}

#[tokio::test]
async fn a_key_that_was_replaced_and_is_not_listed_counts_no_more_and_the_log_says_so() {
    let live = Live::start(|_, options| options);
    let host = Host::new(&live.server);
    let token = live.server.admin_token("local:owner");
    let made = host.make(&token, "web").await;
    live.replace();
    live.server.wait_for("JWT: what this key has signed is refused from now on");
    assert_eq!(host.kids().await, [live.keys.new.kid()]);
    let me = host.client.get(host.url("/v1/auth/me")).bearer_auth(&made.access).send().await.unwrap();
    assert_eq!(me.status(), StatusCode::UNAUTHORIZED);
    let code = host.client.post(host.url("/oauth/token")).form(&made.code).send().await.unwrap();
    assert_eq!(code.status(), StatusCode::BAD_REQUEST);
    // What no signature stands behind is not hurt: API tokens, and a login that was begun before.
    assert!(works(&live.server, &token).await);
    host.end(&made.login).await;
}

#[tokio::test]
async fn a_key_file_that_is_replaced_under_an_explicit_kid_is_refused_and_the_old_key_goes_on() {
    let live = Live::start(|_, options| options.env("OPENTACO_TOKENS_KID", "v1"));
    let host = Host::new(&live.server);
    let token = live.server.admin_token("local:owner");
    let jwks = async || accepted(host.client.get(host.url("/oidc/jwks.json"))).await;
    let before = jwks().await;
    let made = host.make(&token, "web").await;
    live.replace();
    live.server.wait_for(
        "JWT: the changed key files are not used, the old keys stay: the kid v1 already names another key",
    );
    let output = live.server.output();
    assert!(!output.contains("PRIVATE KEY"), "{output}");
    assert_eq!(jwks().await, before);
    let later = host.make(&token, "web-2").await;
    assert_eq!(kid(&later.access), "v1");
    host.take(&made, &token).await;
    host.take(&later, &token).await;
}

#[tokio::test]
async fn a_token_of_the_old_key_ends_when_the_old_key_is_listed_no_longer() {
    let keys = Keys::make();
    let mut server = Server::start(Options::local().env(SIGNING, &keys.text("old")));
    let token = server.admin_token("local:owner");
    let made = Host::new(&server).make(&token, "web").await;
    server.set(SIGNING, &keys.text("new"));
    server.set(LISTED, &format!("earlier={}", keys.text("old")));
    server.restart();
    let me = async |server: &Server| {
        let host = Host::new(server);
        let answer = host.client.get(host.url("/v1/auth/me")).bearer_auth(&made.access).send().await.unwrap();
        answer.status()
    };
    // A key goes by one name: under another, it has signed nothing.
    assert_eq!(me(&server).await, StatusCode::UNAUTHORIZED);
    server.set(LISTED, &keys.text("old"));
    server.restart();
    assert_eq!(me(&server).await, StatusCode::OK);
    server.set(LISTED, &keys.text("new.pub"));
    server.restart();
    assert_eq!(me(&server).await, StatusCode::UNAUTHORIZED);
    assert!(works(&server, &token).await, "API tokens hang from no key");
}
