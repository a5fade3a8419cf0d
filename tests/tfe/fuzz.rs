//! Requests that nobody would send: never a 5xx, and the server goes on.
//!
//! `OPENTACO_SEED=N` repeats another run's chances.

use opentaco_tests::client::state;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};

use crate::world::{World, answer, inline};

const REQUESTS: usize = 800;
const METHODS: [&str; 8] = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "LOCK"];
/// `W`, `V` and `J` stand for ids, some of which are real.
const ROUTES: [&str; 34] = [
    "/ping",
    "/account/details",
    "/organizations",
    "/organizations/J",
    "/organizations/default/entitlement-set",
    "/organizations/default/workspaces",
    "/organizations/J/workspaces",
    "/organizations/default/workspaces/J",
    "/organizations/default/workspaces/fuzzed/actions/safe-delete",
    "/workspaces/W",
    "/workspaces/W/actions/lock",
    "/workspaces/W/actions/unlock",
    "/workspaces/W/actions/force-unlock",
    "/workspaces/W/actions/safe-delete",
    "/workspaces/W/tag-bindings",
    "/workspaces/W/relationships/tags",
    "/workspaces/W/vars",
    "/workspaces/W/current-state-version",
    "/workspaces/W/current-state-version-outputs",
    "/workspaces/W/state-versions",
    "/workspaces/W/effective-tag-bindings",
    "/workspaces/W/relationships/remote-state-consumers",
    "/organizations/default/projects",
    "/organizations/J/projects",
    "/projects/P",
    "/state-versions",
    "/state-versions/V",
    "/state-versions/V/json-download",
    "/organizations/default/workspaces/fuzzed",
    "/organizations/default/workspaces?QQ",
    "/state-versions/V/download",
    "/state-versions/V/outputs",
    "/state-version-outputs/J",
    "/uploads/J",
];
/// What bodies, names and queries are made of.
const PIECES: [&str; 47] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "null",
    "true",
    "-1",
    "1e400",
    "99999999999999999999",
    "\u{0}",
    "\\u0000",
    "\\ud800",
    "\"data\"",
    "\"attributes\"",
    "\"relationships\"",
    "\"tags\"",
    "\"name\"",
    "\"serial\"",
    "\"md5\"",
    "\"state\"",
    "\"lineage\"",
    "\"force\"",
    "\"reason\"",
    "\"key\"",
    "../",
    "%00",
    "%ff",
    "é",
    "~",
    " ",
    "page[number]=",
    "\"rollback-state-version\"",
    "\"id\"",
    "\"json-state\"",
    "\"json-state-outputs\"",
    "\"encrypted_data\"",
    "\"value\"",
    "\"type\"",
    "\"project\"",
    "prj-default-00000000000000000000000000",
    "ws-01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "*",
    "e30=",
    "include=",
];
/// Parameters that a query may have.
const PARAMETERS: [&str; 14] = [
    "page[number]",
    "page[size]",
    "search[name]",
    "search[wildcard-name]",
    "search[tags]",
    "search[exclude-tags]",
    "filter[tagged][0][key]",
    "filter[tagged][0][value]",
    "filter[tagged][][key]",
    "filter[project][id]",
    "filter[names]",
    "q",
    "sort",
    "include",
];
/// Values that a parameter may well have.
const VALUES: [&str; 8] = [
    "organization,project,locked_by,effective_tag_bindings,outputs,created_by",
    "-name",
    "prj-default-00000000000000000000000000",
    "Default Project",
    "*",
    "env",
    "fuzzed",
    "18446744073709551615",
];
const SHAPES: [&str; 22] = [
    r#"{"data":{"type":"workspaces","attributes":{"name":"?"}}}"#,
    r#"{"data":{"attributes":{"serial":?,"md5":"d41d8cd98f00b204e9800998ecf8427e","lineage":"?"}}}"#,
    r#"{"data":{"attributes":{"serial":18446744073709551615,"md5":"d41d8cd98f00b204e9800998ecf8427e","state":"e30="}}}"#,
    r#"{"data":{"attributes":{"serial":1,"md5":"99914b932bd37a50b983c5e7c90ae93b","state":"e30="}}}"#,
    r#"{"data":{"attributes":{"serial":1,"md5":"?","state":"?"}}}"#,
    r#"{"data":[{"attributes":{"key":"?","value":"?"}}]}"#,
    r#"{"data":[{"id":"?","attributes":{"name":?}}]}"#,
    r#"{"data":{"attributes":{"reason":"?"}}}"#,
    r#"{"data":{"attributes":{"terraform-version":"?","description":"?","execution-mode":"?"}}}"#,
    r#"{"data":{"relationships":{"tags":{"data":?},"tag-bindings":{"data":[?]}},"attributes":{"name":"x?"}}}"#,
    r#"{"data":{"type":"projects","attributes":{"name":"Team ?","description":"?"}}}"#,
    r#"{"data":{"type":"workspaces","attributes":{"name":"fuzzed~?","auto-apply":?,"trigger-prefixes":["?"],"source-name":"?"}}}"#,
    r#"{"data":{"attributes":{"name":"bystander"?}}}"#,
    r#"{"data":{"attributes":{"vcs-repo":?,"global-remote-state":?,"working-directory":"?"}}}"#,
    r#"{"data":{"attributes":{"name":"x?"},"relationships":{"project":{"data":{"id":"?"}}}}}"#,
    r#"{"data":{"relationships":{"rollback-state-version":{"data":{"type":"state-versions","id":"?V"}}}}}"#,
    r#"{"data":{"relationships":{"rollback-state-version":{"data":?}}}}"#,
    r#"{"data":[{"type":"workspaces","id":"W?"}]}"#,
    r#"{"data":{"attributes":{"serial":?,"md5":"99914b932bd37a50b983c5e7c90ae93b","json-state-outputs":"?","json-state":"?","state":"e30="}}}"#,
    r#"{"data":{"attributes":{"serial":9,"md5":"99914b932bd37a50b983c5e7c90ae93b","json-state-outputs":"eyJhIjp7InZhbHVlIjoxLCJ0eXBlIjoibnVtYmVyIn19"?}}}"#,
    r#"{"data":?}"#,
    "?",
];

struct Chance(ChaCha8Rng);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.0.next_u64() % end as u64).expect("small")
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn junk(&mut self) -> String {
        (0..self.below(6)).map(|_| self.one(&PIECES)).collect()
    }

    /// A query: junk as it is, or parameters that count with values that may.
    fn query(&mut self) -> String {
        if self.below(2) == 0 {
            return self.junk();
        }
        let mut pairs = Vec::new();
        for _ in 0..=self.below(3) {
            let value = if self.below(2) == 0 { self.one(&VALUES).to_owned() } else { self.junk() };
            pairs.push((self.one(&PARAMETERS), value));
        }
        let url = Url::parse_with_params("http://x", pairs).expect("an address");
        url.query().unwrap_or_default().to_owned()
    }

    /// A body; `W` and `V` in it stand for real ids.
    fn body(&mut self, workspace: &str, version: &str) -> Vec<u8> {
        let shape =
            self.one(&SHAPES).replace("\"W", &format!("\"{workspace}")).replace("?V", &format!("{version}?"));
        let mut parts = shape.split('?');
        let mut body = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            body += &self.junk();
            body += part;
        }
        let mut body = body.into_bytes();
        match self.below(6) {
            0 => body.truncate(self.below(body.len() + 1)),
            1 if !body.is_empty() => {
                let place = self.below(body.len());
                body[place] = u8::try_from(self.below(256)).expect("a byte");
            }
            _ => {}
        }
        body
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'%' { "%".to_owned() } else { format!("%{byte:02x}") }).collect()
}

#[expect(clippy::disallowed_methods, reason = "a run is repeated from the terminal")]
fn seed() -> u64 {
    std::env::var("OPENTACO_SEED").map_or(20_251_125, |text| text.parse().expect("a number"))
}

#[tokio::test]
async fn no_request_breaks_the_server() {
    let world = World::new().await;
    let seed = seed();
    let mut chance = Chance(ChaCha8Rng::seed_from_u64(seed));
    let victim = world.locked("fuzzed").await;
    let version = world.alice.current(&victim).await.id();
    let project = world.project("default", "Fuzzed").await;
    // Nothing aims at this one, so nothing may hit it.
    let bystander = world.locked("bystander").await;
    let before = world.picture(&bystander).await;
    for n in 0..REQUESTS {
        let method = chance.one(&METHODS);
        let junk = encoded(&chance.junk());
        let projects = [project.clone(), junk.clone(), format!("{project}{junk}")];
        let ids = [victim.clone(), junk.clone(), format!("{victim}{junk}")];
        let versions = [version.clone(), junk.clone(), format!("{version}{junk}")];
        let route = chance.one(&ROUTES);
        let path = route
            .replace("/W", &format!("/{}", ids[chance.below(ids.len())]))
            .replace("/V", &format!("/{}", versions[chance.below(versions.len())]))
            .replace("/P", &format!("/{}", projects[chance.below(projects.len())]))
            .replace("/J", &format!("/{junk}"))
            .replace("QQ", &chance.query());
        let query = if chance.below(3) == 0 { format!("?{}", chance.query()) } else { String::new() };
        let (path, body) = (format!("{path}{query}"), chance.body(&victim, &version));
        let kind =
            chance.one(&["application/vnd.api+json", "text/plain", "application/x-www-form-urlencoded", ""]);
        let told = format!("seed {seed}, request {n}: {method} {path} {}", String::from_utf8_lossy(&body));
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let reply = answer(world.request(method.clone(), &path).header(CONTENT_TYPE, kind).body(body)).await;
        assert!(!reply.status.is_server_error(), "{told}: {} {}", reply.status, reply.text());
        assert!(reply.headers.contains_key("tfp-api-version"), "{told}: every answer tells the API version");
        if reply.status.is_client_error() && method != Method::HEAD {
            reply.expect_error(reply.status);
        }
    }
    assert_eq!(world.picture(&bystander).await, before);
    answer(world.http.get(format!("{}/healthz", world.server.base_http()))).await.expect(StatusCode::OK);
    let output = world.server.output();
    assert!(!output.contains("panicked"), "seed {seed}:\n{output}");
}

/// Puts junk in the place of something in a document.
fn maim(document: &mut Value, chance: &mut Chance) {
    let junk = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(1.5e300),
        json!(u64::MAX),
        json!("x"),
        json!([]),
        json!({}),
        json!([[["x"]]]),
        json!({"value": {"\u{0}": 1}, "type": ["tuple", "string"], "sensitive": "yes"}),
    ];
    let deeper = chance.below(3) > 0;
    match document {
        Value::Object(fields) if deeper && !fields.is_empty() => {
            let place = chance.below(fields.len());
            maim(fields.values_mut().nth(place).expect("a field"), chance);
        }
        Value::Array(items) if deeper && !items.is_empty() => {
            let place = chance.below(items.len());
            maim(&mut items[place], chance);
        }
        other => *other = junk[chance.below(junk.len())].clone(),
    }
}

#[tokio::test]
async fn no_state_breaks_the_server_and_what_is_taken_comes_back_whole() {
    let world = World::new().await;
    let seed = seed();
    let mut chance = Chance(ChaCha8Rng::seed_from_u64(seed));
    let id = world.locked("fuzzed").await;
    let outputs = json!({
        "a": {"value": "x", "type": "string", "sensitive": true},
        "b": {"value": [1, {"c": null}], "type": ["tuple", ["number", ["object", {"c": "string"}]]]},
    });
    let mut current = world.alice.download(&id).await.body;
    for serial in 6..156 {
        let mut document: Value =
            serde_json::from_slice(&state(serial, "kept", 1, &outputs)).expect("a state");
        for _ in 0..=chance.below(3) {
            maim(&mut document, &mut chance);
        }
        let bytes = document.to_string().into_bytes();
        let mut attributes = inline(&bytes);
        (attributes["serial"], attributes["lineage"]) = (serial.into(), "kept".into());
        let reply = world.propose(&id, attributes).await;
        let told = format!("seed {seed}: {document}: {} {}", reply.status, reply.text());
        assert!(!reply.status.is_server_error(), "{told}");
        if reply.status == StatusCode::CREATED {
            current = bytes;
        } else {
            reply.expect_error(reply.status);
        }
        assert_eq!(world.alice.download(&id).await.expect(StatusCode::OK).body, current, "{told}");
        for tail in ["", "/current-state-version-outputs"] {
            world.alice.get(&format!("/workspaces/{id}{tail}")).await.expect(StatusCode::OK);
        }
    }
    assert!(!world.server.output().contains("panicked"), "seed {seed}");
}
