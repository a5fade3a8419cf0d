//! A caller of the cloud API that outlives the server: no answer is an answer too.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::{Value, json};

use crate::client::{JSON_API, Reply, http, md5_hex};
use crate::server::Server;

/// A caller over plain http with one token. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Caller {
    client: Client,
    base: String,
    token: String,
}

/// A finalized state version, as the API lists it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Its place in the history: a part of the id.
    pub ordinal: u64,
    /// Its serial.
    pub serial: u64,
    /// Where its bytes are.
    pub download: String,
}

impl Caller {
    /// A caller without connections yet.
    pub fn new(server: &Server, token: &str) -> Self {
        let client = http(server).build().expect("a client");
        Self { client, base: format!("{}/tfe/api/v2", server.base_http()), token: token.into() }
    }

    /// Any call; `path` begins after the base path. None when the server did not answer to the end.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Option<Reply> {
        let request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        let request = match body {
            Some(body) => request.header(CONTENT_TYPE, JSON_API).body(body.to_string()),
            None => request,
        };
        answer(request).await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Option<Reply> {
        self.call(Method::GET, path, None).await
    }

    /// Lock, unlock or force-unlock.
    pub async fn act(&self, workspace: &str, action: &str) -> Option<StatusCode> {
        let body =
            (action == "lock").then(|| json!({"data": {"type": "", "attributes": {"reason": "a test"}}}));
        let path = format!("/workspaces/{workspace}/actions/{action}");
        Some(self.call(Method::POST, &path, body).await?.status)
    }

    /// Announces a state version.
    pub async fn propose(&self, workspace: &str, state: &[u8]) -> Option<Reply> {
        let document: Value = serde_json::from_slice(state).expect("a state");
        let attributes =
            json!({"serial": document["serial"], "lineage": document["lineage"], "md5": md5_hex(state)});
        let body = json!({"data": {"type": "state-versions", "attributes": attributes}});
        self.call(Method::POST, &format!("/workspaces/{workspace}/state-versions"), Some(body)).await
    }

    /// Sends content to the signed address of a proposal.
    pub async fn upload(&self, proposal: &Reply, state: &[u8]) -> Option<Reply> {
        let url = proposal.json()["data"]["attributes"]["hosted-state-upload-url"].clone();
        let url = url.as_str().unwrap_or_else(|| panic!("no address to upload to: {}", proposal.text()));
        answer(self.client.put(url).body(state.to_vec())).await
    }

    /// The bytes behind an address that the API gave.
    pub async fn download(&self, url: &str) -> Option<Reply> {
        let base = Url::parse(&format!("{}/", self.base)).expect("an address");
        let url = base.join(url).expect("an address");
        answer(self.client.get(url).bearer_auth(&self.token)).await
    }

    /// Every version of a workspace, oldest first.
    ///
    /// Nobody may write meanwhile: a page is a place in the list.
    pub async fn history(&self, organization: &str, name: &str) -> Option<Vec<Listed>> {
        let mut all = Vec::new();
        for page in 1.. {
            let path = format!(
                "/state-versions?filter%5Borganization%5D%5Bname%5D={organization}\
                 &filter%5Bworkspace%5D%5Bname%5D={name}&page%5Bsize%5D=100&page%5Bnumber%5D={page}"
            );
            let reply = self.get(&path).await?.expect(StatusCode::OK).json();
            let items = reply["data"].as_array().expect("a list");
            all.extend(items.iter().map(Listed::read));
            if page >= reply["meta"]["pagination"]["total-pages"].as_u64().expect("a number of pages") {
                break;
            }
        }
        all.reverse();
        Some(all)
    }
}

impl Listed {
    /// Reads one item of a list, or the whole document of one version.
    pub fn read(item: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("no text in {item}")).to_owned();
        let id = text(&item["id"]);
        // sv-, 26 characters of the workspace, 10 digits, 10 characters of chance.
        let ordinal = id.get(29..39).and_then(|digits| digits.parse().ok());
        Self {
            ordinal: ordinal.unwrap_or_else(|| panic!("no ordinal in {id}")),
            serial: item["attributes"]["serial"].as_u64().unwrap_or_else(|| panic!("no serial in {item}")),
            download: text(&item["attributes"]["hosted-state-download-url"]),
            id,
        }
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Option<Reply> {
    let response = request.send().await.ok()?;
    let (status, headers) = (response.status(), response.headers().clone());
    Some(Reply { status, headers, body: response.bytes().await.ok()?.to_vec() })
}
