//! A server, the people who use it, and what their workspaces look like.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use data_encoding::BASE64;
use opentaco_tests::browser::Who;
use opentaco_tests::client::{Api, JSON_API, Reply, http, login, md5_hex, state};
use opentaco_tests::server::{Options, Server};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use serde_json::{Value, json};

/// A server with the development login, and alice.
pub struct World {
    pub server: Server,
    pub alice: Api,
    pub token: String,
    pub http: Client,
}

impl World {
    /// Starts on storage that forgets.
    pub async fn new() -> Self {
        Self::of(Options::memory()).await
    }

    /// Starts with these options and the development login.
    pub async fn of(options: Options) -> Self {
        let server = Server::start(options.dev_login());
        let token = login(&server, &Who::dev("alice")).await;
        let alice = Api::new(&server, &token);
        let http = http(&server).build().expect("a client");
        Self { server, alice, token, http }
    }

    /// Another person, or another token of the same one.
    pub async fn person(&self, name: &str) -> Api {
        Api::new(&self.server, &login(&self.server, &Who::dev(name)).await)
    }

    /// A fresh workspace of alice's.
    pub async fn workspace(&self, name: &str) -> String {
        self.alice.create_workspace("default", name).await
    }

    /// A workspace with a state of serial 5 and lineage `kept`, locked by alice.
    pub async fn locked(&self, name: &str) -> String {
        let id = self.workspace(name).await;
        self.alice.write(&id, &plain(5)).await;
        self.alice.lock(&id).await.expect(StatusCode::OK);
        id
    }

    /// The start of alice's own request; `path` begins after the base path.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/tfe/api/v2{path}", self.server.base_http());
        self.http.request(method, url).bearer_auth(&self.token)
    }

    /// Bytes that need not be JSON, sent as alice.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<Vec<u8>>) -> Reply {
        answer(self.request(method, path).header(CONTENT_TYPE, JSON_API).body(body.into())).await
    }

    /// A proposal with attributes of one's own.
    pub async fn propose(&self, workspace: &str, attributes: Value) -> Reply {
        let body = json!({"data": {"type": "state-versions", "attributes": attributes}});
        self.alice.post(&format!("/workspaces/{workspace}/state-versions"), body).await
    }

    /// GET as alice, with a query of these pairs.
    pub async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Reply {
        self.alice.get(&asked(path, query)).await
    }

    /// PATCH as alice.
    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.alice.call(Method::PATCH, path, Some(body)).await
    }

    /// DELETE as alice.
    pub async fn delete(&self, path: &str) -> Reply {
        self.alice.call(Method::DELETE, path, None).await
    }

    /// Changes attributes of a workspace.
    pub async fn change(&self, workspace: &str, attributes: Value) -> Reply {
        self.patch(&format!("/workspaces/{workspace}"), of("workspaces", attributes)).await
    }

    /// A fresh project, by its id.
    pub async fn project(&self, organization: &str, name: &str) -> String {
        let path = format!("/organizations/{organization}/projects");
        let made = self.alice.post(&path, of("projects", json!({"name": name}))).await;
        made.expect(StatusCode::CREATED).id()
    }

    /// Sends bytes to a signed address, without a token.
    pub async fn put(&self, url: &str, bytes: impl Into<Vec<u8>>) -> Reply {
        answer(self.http.put(url).body(bytes.into())).await
    }

    /// Goes back to an old state version.
    pub async fn roll_back(&self, workspace: &str, version: &str) -> Reply {
        let related = json!({"rollback-state-version": {"data": {"type": "state-versions", "id": version}}});
        let body = json!({"data": {"type": "state-versions", "relationships": related}});
        self.patch(&format!("/workspaces/{workspace}/state-versions"), body).await
    }

    /// The bytes of one version.
    pub async fn bytes(&self, version: &str) -> Vec<u8> {
        let path = format!("/state-versions/{version}/download");
        self.alice.get(&path).await.expect(StatusCode::OK).body
    }

    /// Everything that a refusal must leave alone.
    pub async fn picture(&self, workspace: &str) -> Value {
        let shown = self.alice.get(&format!("/workspaces/{workspace}")).await.expect(StatusCode::OK).json();
        let versions = self.alice.get(&format!("/workspaces/{workspace}/state-versions")).await.json();
        let current = self.alice.current(workspace).await;
        let bytes = match current.status {
            StatusCode::OK => self.alice.download(workspace).await.expect(StatusCode::OK).text(),
            _ => String::new(),
        };
        json!({"workspace": shown, "versions": versions, "current": current.json(), "bytes": bytes})
    }

    /// Waits until alice's token has died, and gives the refusal.
    pub async fn until_expired(&self) -> Reply {
        for _ in 0..1000 {
            let reply = self.alice.get("/account/details").await;
            if reply.status == StatusCode::UNAUTHORIZED {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the token did not expire");
    }

    /// Speaks HTTP by hand, and gives whatever comes back until the server closes.
    pub fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server.port())).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        // A server that has already said no may close before all is sent.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// Sends, and reads to the end.
pub async fn answer(request: RequestBuilder) -> Reply {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    Reply { status, headers, body: response.bytes().await.expect("a body").to_vec() }
}

/// A document of one resource.
pub fn of(kind: &str, attributes: Value) -> Value {
    let mut document = json!({"data": {"type": kind}});
    document["data"]["attributes"] = attributes;
    document
}

/// A path with a query, written as Terraform writes it.
pub fn asked(path: &str, query: &[(&str, &str)]) -> String {
    let url = Url::parse_with_params("http://x", query).expect("an address");
    format!("{path}?{}", url.query().unwrap_or_default())
}

/// The names in a list, in its order.
#[track_caller]
pub fn names(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    reply.json()["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| text(&item["attributes"]["name"]))
        .collect()
}

/// How long a list is over all its pages.
#[track_caller]
pub fn total(reply: &Reply) -> u64 {
    reply.json()["meta"]["pagination"]["total-count"].as_u64().unwrap_or_else(|| panic!("{}", reply.text()))
}

/// Demands an error of that status with a sentence that helps, and gives the sentence.
#[track_caller]
pub fn refused(reply: &Reply, status: u16) -> String {
    let error = reply.expect_error(StatusCode::from_u16(status).expect("a status"));
    let detail = error["detail"].as_str().unwrap_or_else(|| panic!("no detail in {error}"));
    assert!(detail.split_whitespace().count() >= 4, "a sentence, not {detail:?}");
    assert!(reply.headers.contains_key("tfp-api-version"), "every answer tells the API version");
    detail.to_owned()
}

/// A state without secrets, of lineage `kept`.
pub fn plain(serial: u64) -> Vec<u8> {
    state(serial, "kept", 0, &json!({}))
}

/// What a proposal of a state says.
pub fn announced(state: &[u8]) -> Value {
    let document: Value = serde_json::from_slice(state).expect("a state");
    json!({"serial": document["serial"], "lineage": document["lineage"], "md5": md5_hex(state)})
}

/// The same with the state in it, as Terraform up to 1.5 sends it.
pub fn inline(state: &[u8]) -> Value {
    let mut attributes = announced(state);
    attributes["state"] = BASE64.encode(state).into();
    attributes
}

/// The address that a proposal gave for its bytes.
pub fn upload_url(proposal: &Reply) -> String {
    text(&proposal.json()["data"]["attributes"]["hosted-state-upload-url"])
}

/// A string in JSON.
#[track_caller]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
