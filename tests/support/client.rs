//! The cloud API without Terraform: a login, and the few calls that many tests begin with.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use md5::{Digest, Md5};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, ClientBuilder, Method, StatusCode, Url};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::browser::{Answer, Browser, Who, development_ca};
use crate::provider::Provider;
use crate::server::Server;

/// The media type of the cloud API.
pub const JSON_API: &str = "application/vnd.api+json";

/// Where a client of the tests says it listens. Nobody does: the redirect is read, not followed.
pub const REDIRECT: &str = "http://localhost:10004/login";

/// A client that trusts the server's development certificate and no other.
pub fn http(server: &Server) -> ClientBuilder {
    plain().tls_certs_only(development_ca(server))
}

/// A client that talks to loopback addresses over plain http, and trusts no certificate.
pub fn plain() -> ClientBuilder {
    // The first caller wins; that it is already there is what the others want.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().tls_certs_only([])
}

/// One attempt to log in as Terraform does: what is asked, and the secret that proves who asked.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The address that the browser opens.
    pub authorization: String,
    /// The `state` that must come back.
    pub state: String,
    /// The PKCE verifier.
    pub verifier: String,
}

impl Attempt {
    /// Begins an attempt over https.
    pub fn new(server: &Server) -> Self {
        let state = random("state");
        let verifier = random("verifier");
        let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(&verifier));
        let mut url = Url::parse(&server.base_https()).expect("an address");
        url.set_path("/oauth/authorization");
        url.query_pairs_mut().extend_pairs([
            ("client_id", "terraform-cli"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("redirect_uri", REDIRECT),
            ("response_type", "code"),
            ("state", &state),
        ]);
        Self { authorization: url.into(), state, verifier }
    }

    /// The code in the address that the login led to.
    pub fn code(&self, arrived: &Url) -> String {
        assert!(arrived.as_str().starts_with(&format!("{REDIRECT}?")), "redirected to {arrived}");
        let find =
            |key| arrived.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned());
        assert_eq!(find("state").as_deref(), Some(self.state.as_str()), "the state comes back");
        find("code").expect("a code in the redirect")
    }

    /// Exchanges a code.
    pub async fn exchange(&self, server: &Server, code: &str) -> (StatusCode, Value) {
        let form = [
            ("client_id", "terraform-cli"),
            ("code", code),
            ("code_verifier", &self.verifier),
            ("grant_type", "authorization_code"),
            ("redirect_uri", REDIRECT),
        ];
        let client = http(server).build().expect("a client");
        let url = format!("{}/oauth/token", server.base_https());
        let response = client.post(url).form(&form).send().await.expect("an answer");
        (response.status(), response.json().await.expect("JSON"))
    }
}

/// Logs in and gives the token that `terraform login` would store.
pub async fn login(server: &Server, who: &Who) -> String {
    login_in(&Browser::new(server), server, who).await
}

/// Logs in at the provider that the server leads to, in a window of its own, and gives the token.
pub async fn login_through(server: &Server, provider: &Provider, login: &str) -> String {
    login_in(&Browser::through(server, provider), server, &Who::known_as(login)).await
}

/// Logs in in that window and gives the token.
pub async fn login_in(browser: &Browser, server: &Server, who: &Who) -> String {
    let attempt = Attempt::new(server);
    let arrived = browser.log_in(&attempt.authorization, who, Answer::Allow).await;
    let (status, answer) = attempt.exchange(server, &attempt.code(&arrived)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let token = answer["access_token"].as_str().expect("an access token");
    assert!(token.starts_with("otc_tfe_"), "the access token of Terraform's client is an opaque one");
    token.to_owned()
}

/// A caller of the cloud API with one token.
pub struct Api {
    client: Client,
    base: String,
    token: Option<String>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its bytes.
    pub body: Vec<u8>,
}

impl Api {
    /// A caller over https.
    pub fn new(server: &Server, token: &str) -> Self {
        let client = http(server).build().expect("a client");
        Self { client, base: format!("{}/tfe/api/v2", server.base_https()), token: Some(token.into()) }
    }

    /// A caller over plain http, of whoever answers at that base.
    pub fn at(base: &str, token: &str) -> Self {
        let client = plain().build().expect("a client");
        Self { client, base: format!("{base}/tfe/api/v2"), token: Some(token.into()) }
    }

    /// A caller without a token.
    pub fn anonymous(server: &Server) -> Self {
        Self { token: None, ..Self::new(server, "") }
    }

    /// Any call; `path` begins after the base path.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, JSON_API).body(body.to_string());
        }
        Reply::read(request.send().await.expect("an answer")).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, None).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Creates a workspace and gives its id.
    pub async fn create_workspace(&self, organization: &str, name: &str) -> String {
        let body = json!({"data": {"type": "workspaces", "attributes": {"name": name}}});
        let reply = self.post(&format!("/organizations/{organization}/workspaces"), body).await;
        reply.expect(StatusCode::CREATED).id()
    }

    /// Locks, as Terraform asks for it.
    pub async fn lock(&self, workspace: &str) -> Reply {
        let body = json!({"data": {"type": "", "attributes": {"reason": "Locked by a test"}}});
        self.post(&format!("/workspaces/{workspace}/actions/lock"), body).await
    }

    /// Unlocks, with the empty body that Terraform sends.
    pub async fn unlock(&self, workspace: &str) -> Reply {
        self.call(Method::POST, &format!("/workspaces/{workspace}/actions/unlock"), None).await
    }

    /// Frees somebody's lock.
    pub async fn force_unlock(&self, workspace: &str) -> Reply {
        self.call(Method::POST, &format!("/workspaces/{workspace}/actions/force-unlock"), None).await
    }

    /// Announces a state version; its content comes by [`Api::upload`].
    pub async fn propose(&self, workspace: &str, state: &[u8]) -> Reply {
        let document: Value = serde_json::from_slice(state).expect("a state");
        let attributes = json!({
            "serial": document["serial"], "lineage": document["lineage"], "md5": md5_hex(state), "force": false,
        });
        let body = json!({"data": {"type": "state-versions", "attributes": attributes}});
        self.post(&format!("/workspaces/{workspace}/state-versions"), body).await
    }

    /// Sends content to the signed address of a proposal, without the token, as Terraform does.
    pub async fn upload(&self, proposal: &Reply, state: &[u8]) -> Reply {
        let url = proposal.json()["data"]["attributes"]["hosted-state-upload-url"].clone();
        let url = url.as_str().unwrap_or_else(|| panic!("no address to upload to: {proposal:?}"));
        let request = self.client.put(url).header(CONTENT_TYPE, "application/octet-stream");
        Reply::read(request.body(state.to_vec()).send().await.expect("an answer")).await
    }

    /// The whole way of a new state: lock, propose, upload, unlock.
    pub async fn write(&self, workspace: &str, state: &[u8]) {
        self.lock(workspace).await.expect(StatusCode::OK);
        let proposal = self.propose(workspace, state).await.expect(StatusCode::CREATED);
        let uploaded = self.upload(&proposal, state).await;
        assert!(uploaded.status.is_success(), "{uploaded:?}");
        self.unlock(workspace).await.expect(StatusCode::OK);
    }

    /// The description of the current state version.
    pub async fn current(&self, workspace: &str) -> Reply {
        self.get(&format!("/workspaces/{workspace}/current-state-version")).await
    }

    /// The bytes of the current state, from where its description points.
    pub async fn download(&self, workspace: &str) -> Reply {
        let current = self.current(workspace).await.expect(StatusCode::OK);
        let url = current.json()["data"]["attributes"]["hosted-state-download-url"].clone();
        let base = Url::parse(&format!("{}/", self.base)).expect("an address");
        let url = base.join(url.as_str().expect("an address to download from")).expect("an address");
        let token = self.token.as_deref().unwrap_or_default();
        Reply::read(self.client.get(url).bearer_auth(token).send().await.expect("an answer")).await
    }
}

impl Reply {
    async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.expect("a body").to_vec() }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("not JSON: {} {}", self.status, self.text()))
    }

    /// The id of the document.
    pub fn id(&self) -> String {
        self.json()["data"]["id"].as_str().unwrap_or_else(|| panic!("no id in {}", self.text())).to_owned()
    }

    /// Passes the reply on if it has this status.
    pub fn expect(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Demands a JSON:API error: status in the line and in the body, a title, the media type.
    pub fn expect_error(&self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        let kind = self.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        assert!(kind.starts_with(JSON_API), "an error of the cloud API is {JSON_API}, not {kind:?}");
        let error = self.json()["errors"][0].clone();
        assert_eq!(error["status"], status.as_u16().to_string(), "{error}");
        assert!(error["title"].as_str().is_some_and(|title| !title.is_empty()), "{error}");
        error
    }
}

/// A state as Terraform writes it: so many resources, and outputs by name.
pub fn state(serial: u64, lineage: &str, resources: usize, outputs: &Value) -> Vec<u8> {
    let resources: Vec<Value> = (0..resources)
        .map(|i| {
            json!({
                "mode": "managed", "type": "terraform_data", "name": format!("r{i}"),
                "provider": "provider[\"terraform.io/builtin/terraform\"]",
                "instances": [{"schema_version": 0, "attributes": {"id": i.to_string()}, "sensitive_attributes": []}],
            })
        })
        .collect();
    let state = json!({
        "version": 4, "terraform_version": "1.11.4", "serial": serial, "lineage": lineage,
        "outputs": outputs, "resources": resources, "check_results": null,
    });
    serde_json::to_vec_pretty(&state).expect("JSON")
}

/// The digest that comes with an upload: MD5 in lower-case hex.
pub fn md5_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Md5::digest(bytes))
}

/// 43 characters that nobody had before; a label keeps two draws of one instant apart.
fn random(label: &str) -> String {
    use std::hash::{BuildHasher, RandomState};
    let mut digest = Sha256::new().chain_update(label);
    for _ in 0..4 {
        // Each RandomState is keyed anew; hashing a constant reveals the key's entropy.
        digest.update(RandomState::new().hash_one(label).to_le_bytes());
    }
    BASE64URL_NOPAD.encode(&digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md5_is_lower_case_hex() {
        assert_eq!(md5_hex(b"abc"), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn two_draws_differ() {
        assert_ne!(random("a"), random("a"));
    }

    #[test]
    fn a_state_says_what_it_was_asked_to() {
        let bytes = state(7, "l", 2, &json!({"a": {"value": 1, "type": "number"}}));
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((&document["serial"], &document["lineage"]), (&json!(7), &json!("l")));
        assert_eq!(document["resources"].as_array().unwrap().len(), 2);
    }
}
