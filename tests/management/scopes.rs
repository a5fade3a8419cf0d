//! What limited tokens may do at the cloud API: nothing beyond their role, nothing outside their pattern.

use opentaco_tests::browser::Who;
use opentaco_tests::client::{Api, Reply, login, state};
use opentaco_tests::server::{Options, Server};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::v1::V1;

pub const ORG: &str = "/organizations/default";
pub const UNITS: [&str; 4] = ["app~x", "app~y", "apps", "other"];

/// A server with units of alice's, each with a state of serial 1 and an output.
pub struct World {
    pub server: Server,
    pub alice: Api,
    pub maker: V1,
}

impl World {
    pub async fn new() -> Self {
        let server = Server::start(Options::memory().dev_login());
        let token = login(&server, &Who::dev("alice")).await;
        let (alice, maker) = (Api::new(&server, &token), V1::new(&server, &token));
        let world = Self { server, alice, maker };
        for unit in UNITS {
            let id = world.alice.create_workspace("default", unit).await;
            world.alice.write(&id, &bytes(1)).await;
        }
        world
    }

    /// A token of alice's with these limits.
    pub async fn limited(&self, limits: &Value) -> Api {
        let mut wanted = limits.clone();
        wanted["name"] = json!("limited");
        Api::new(&self.server, &self.maker.make(wanted).await.1)
    }

    pub async fn id(&self, unit: &str) -> String {
        self.alice.get(&format!("{ORG}/workspaces/{unit}")).await.expect(StatusCode::OK).id()
    }

    /// Everything that a refusal must leave alone.
    pub async fn picture(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for path in ["/organizations", &format!("{ORG}/workspaces"), &format!("{ORG}/projects")] {
            all.push(self.alice.get(path).await.expect(StatusCode::OK).json());
        }
        for unit in UNITS {
            let id = self.id(unit).await;
            all.push(self.alice.current(&id).await.expect(StatusCode::OK).json());
            all.push(self.alice.get(&format!("/workspaces/{id}/tag-bindings")).await.json());
        }
        all
    }
}

pub fn bytes(serial: u64) -> Vec<u8> {
    state(serial, "kept", 1, &json!({"greeting": {"value": "hello", "type": "string"}}))
}

fn of(kind: &str, attributes: &Value) -> Value {
    json!({"data": {"type": kind, "attributes": attributes}})
}

async fn change(api: &Api, id: &str, attributes: Value) -> Reply {
    api.call(Method::PATCH, &format!("/workspaces/{id}"), Some(of("workspaces", &attributes))).await
}

async fn create(api: &Api, unit: &str) -> Reply {
    api.post(&format!("{ORG}/workspaces"), of("workspaces", &json!({"name": unit}))).await
}

async fn delete(api: &Api, path: &str) -> Reply {
    api.call(Method::DELETE, path, None).await
}

async fn tag(api: &Api, id: &str) -> Reply {
    let binding = json!({"type": "tag-bindings", "attributes": {"key": "env", "value": "prod"}});
    let path = format!("/workspaces/{id}/tag-bindings");
    api.call(Method::PATCH, &path, Some(json!({"data": [binding]}))).await
}

/// Demands that a limited token is told that it is one.
#[track_caller]
fn forbidden(reply: &Reply) {
    let error = reply.expect_error(StatusCode::FORBIDDEN);
    assert!(error["detail"].as_str().is_some_and(|detail| detail.contains("limited")), "{error}");
}

#[tokio::test]
async fn a_reader_reads_and_changes_nothing() {
    let world = World::new().await;
    let reader = world.limited(&json!({"role": "reader", "unit": "app/*"})).await;
    let id = world.id("app~x").await;
    let before = world.picture().await;
    assert_eq!(reader.download(&id).await.expect(StatusCode::OK).body, bytes(1));
    forbidden(&reader.lock(&id).await);
    forbidden(&reader.propose(&id, &bytes(2)).await);
    forbidden(&reader.unlock(&id).await);
    forbidden(&reader.force_unlock(&id).await);
    forbidden(&create(&reader, "app~new").await);
    forbidden(&change(&reader, &id, json!({"description": "mine"})).await);
    forbidden(&change(&reader, &id, json!({"terraform-version": "1.12.0"})).await);
    forbidden(&change(&reader, &id, json!({"name": "app~z"})).await);
    forbidden(&tag(&reader, &id).await);
    forbidden(&delete(&reader, &format!("/workspaces/{id}")).await);
    let safe = format!("/workspaces/{id}/actions/safe-delete");
    forbidden(&reader.call(Method::POST, &safe, None).await);
    forbidden(&reader.post("/organizations", of("organizations", &json!({"name": "acme"}))).await);
    forbidden(&reader.post(&format!("{ORG}/projects"), of("projects", &json!({"name": "Mine"}))).await);
    assert_eq!(world.picture().await, before);
    // Also while alice holds the lock, so that the lock itself tells it nothing more.
    world.alice.lock(&id).await.expect(StatusCode::OK);
    forbidden(&reader.lock(&id).await);
    forbidden(&reader.propose(&id, &bytes(2)).await);
    forbidden(&reader.unlock(&id).await);
    forbidden(&reader.force_unlock(&id).await);
    world.alice.unlock(&id).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_planner_locks_and_writes_nothing() {
    let world = World::new().await;
    let planner = world.limited(&json!({"role": "planner", "unit": "app/*"})).await;
    let id = world.id("app~x").await;
    planner.lock(&id).await.expect(StatusCode::OK);
    forbidden(&planner.propose(&id, &bytes(2)).await);
    forbidden(&tag(&planner, &id).await);
    planner.unlock(&id).await.expect(StatusCode::OK);
    forbidden(&create(&planner, "app~new").await);
    forbidden(&planner.force_unlock(&id).await);
    assert_eq!(world.alice.download(&id).await.body, bytes(1));
}

#[tokio::test]
async fn a_writer_writes_and_manages_nothing() {
    let world = World::new().await;
    let writer = world.limited(&json!({"role": "writer", "unit": "app/*"})).await;
    let id = world.id("app~x").await;
    writer.write(&id, &bytes(2)).await;
    assert_eq!(world.alice.download(&id).await.body, bytes(2));
    tag(&writer, &id).await.expect(StatusCode::OK);
    change(&writer, &id, json!({"terraform-version": "1.12.0"})).await.expect(StatusCode::OK);
    create(&writer, "app~new").await.expect(StatusCode::CREATED);

    let before = world.picture().await;
    forbidden(&change(&writer, &id, json!({"description": "mine"})).await);
    forbidden(&change(&writer, &id, json!({"name": "app~z"})).await);
    forbidden(&delete(&writer, &format!("/workspaces/{id}")).await);
    forbidden(&delete(&writer, &format!("{ORG}/workspaces/app~x")).await);
    for unit in ["other", "apple", "App~x", "app"] {
        let made = create(&writer, unit).await;
        assert!([403, 404, 422].contains(&made.status.as_u16()), "{unit}: {}", made.text());
    }
    assert_eq!(world.picture().await, before);

    world.alice.lock(&id).await.expect(StatusCode::OK);
    forbidden(&writer.force_unlock(&id).await);
    writer.unlock(&id).await.expect_error(StatusCode::CONFLICT);
    writer.lock(&id).await.expect_error(StatusCode::CONFLICT);
    writer.propose(&id, &bytes(3)).await.expect_error(StatusCode::CONFLICT);
    world.alice.unlock(&id).await.expect(StatusCode::OK);
    // The same person is another holder with each token.
    writer.lock(&id).await.expect(StatusCode::OK);
    world.alice.unlock(&id).await.expect_error(StatusCode::CONFLICT);
    writer.unlock(&id).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn an_operator_manages_what_its_pattern_names_and_takes_nothing_out_of_it() {
    let world = World::new().await;
    let operator = world.limited(&json!({"role": "operator", "unit": "app/*"})).await;
    let (id, other) = (world.id("app~x").await, world.id("other").await);
    world.alice.lock(&id).await.expect(StatusCode::OK);
    operator.force_unlock(&id).await.expect(StatusCode::OK);
    change(&operator, &id, json!({"description": "ours", "name": "app~z"})).await.expect(StatusCode::OK);
    assert_eq!(world.id("app~z").await, id);
    delete(&operator, &format!("/workspaces/{}", world.id("app~y").await)).await;
    assert_eq!(world.alice.get(&format!("{ORG}/workspaces/app~y")).await.status, 404);

    for name in ["apps-x", "mine", "others"] {
        forbidden(&change(&operator, &id, json!({"name": name})).await);
        assert_eq!(world.id("app~z").await, id, "{name} is outside the pattern");
        assert_eq!(world.alice.get(&format!("{ORG}/workspaces/{name}")).await.status, 404);
    }
    let taken = change(&operator, &id, json!({"name": "other"})).await;
    forbidden(&taken);
    change(&operator, &other, json!({"name": "app~w"})).await.expect_error(StatusCode::NOT_FOUND);
    forbidden(&operator.post("/organizations", of("organizations", &json!({"name": "acme"}))).await);
    forbidden(&operator.post(&format!("{ORG}/projects"), of("projects", &json!({"name": "Mine"}))).await);
}

#[tokio::test]
async fn an_admin_of_a_pattern_creates_no_organization() {
    let world = World::new().await;
    let body = of("organizations", &json!({"name": "acme", "email": "a@b.c"}));
    for limits in [
        json!({"role": "admin", "unit": "app/*"}),
        json!({"unit": "app/*"}),
        json!({"role": "operator"}),
        json!({"role": "operator", "unit": "*"}),
    ] {
        let limited = world.limited(&limits).await;
        forbidden(&limited.post("/organizations", body.clone()).await);
        let by_use = of("workspaces", &json!({"name": "app~x"}));
        let by_use = limited.post("/organizations/acme/workspaces", by_use).await;
        assert!([403, 404].contains(&by_use.status.as_u16()), "{limits}: {}", by_use.text());
        assert_eq!(limited.get("/organizations/acme/entitlement-set").await.status, 404, "{limits}");
        let all = world.alice.get("/organizations").await.json();
        assert_eq!(all["data"].as_array().unwrap().len(), 1, "{limits}: {all}");
    }
    let whole = world.limited(&json!({"role": "admin", "unit": "*"})).await;
    whole.post("/organizations", body).await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn an_upload_keeps_the_limits_of_the_token_that_announced_it() {
    let world = World::new().await;
    let writer = world.limited(&json!({"role": "writer", "unit": "app/*"})).await;
    let id = world.id("app~x").await;
    writer.lock(&id).await.expect(StatusCode::OK);
    let proposal = writer.propose(&id, &bytes(2)).await.expect(StatusCode::CREATED);
    // Who manages everything takes the unit out of the writer's pattern meanwhile.
    change(&world.alice, &id, json!({"name": "moved"})).await.expect(StatusCode::OK);
    let uploaded = writer.upload(&proposal, &bytes(2)).await;
    assert!([403, 404].contains(&uploaded.status.as_u16()), "{}", uploaded.text());
    assert_eq!(world.alice.download(&id).await.body, bytes(1));
    writer.current(&id).await.expect_error(StatusCode::NOT_FOUND);
}
