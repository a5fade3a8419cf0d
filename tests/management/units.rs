//! Units under their own names, beside the Terraform Cloud API.

use opentaco_tests::browser::Who;
use opentaco_tests::client::{Api, login, md5_hex, state};
use opentaco_tests::server::{Options, Server};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::v1::{V1, answer, problem};

struct World {
    server: Server,
    token: String,
    v1: V1,
    cloud: Api,
}

async fn world() -> World {
    let server = Server::start(Options::memory().dev_login());
    let token = login(&server, &Who::dev("alice")).await;
    let (v1, cloud) = (V1::new(&server, &token), Api::new(&server, &token));
    World { server, token, v1, cloud }
}

impl World {
    /// Commits a state through the Terraform Cloud API.
    async fn push(&self, id: &str, content: &[u8]) {
        self.cloud.lock(id).await.expect(StatusCode::OK);
        let proposal = self.cloud.propose(id, content).await.expect(StatusCode::CREATED);
        self.cloud.upload(&proposal, content).await.expect(StatusCode::OK);
        self.cloud.unlock(id).await.expect(StatusCode::OK);
    }

    async fn patch(&self, path: &str, body: Value) -> opentaco_tests::client::Reply {
        answer(self.v1.request(Method::PATCH, path).json(&body)).await
    }
}

#[tokio::test]
async fn a_unit_is_the_workspace_of_that_name_at_both_doors() {
    let world = world().await;
    let new = json!({"name": "app/prod", "description": "the shop", "terraform_version": "1.11.4", "tags": {"env": "prod"}});
    let made = world.v1.post("/v1/units", &new).await.expect(StatusCode::CREATED).json();
    assert_eq!(
        (&made["name"], &made["org"], &made["tags"]["env"]),
        (&"app/prod".into(), &"default".into(), &"prod".into())
    );
    assert_eq!((&made["lock"], &made["current"]), (&Value::Null, &Value::Null));
    let cloud =
        world.cloud.get("/organizations/default/workspaces/app~prod").await.expect(StatusCode::OK).json();
    assert_eq!(cloud["data"]["id"], made["id"]);
    assert_eq!(world.v1.get("/v1/units/app%2Fprod").await.expect(StatusCode::OK).json(), made);
    assert!(problem(&world.v1.post("/v1/units", &new).await, 409).contains("exists"));
    let changed = world.patch("/v1/units/app%2Fprod", json!({"name": "app/live", "tags": {}})).await;
    let changed = changed.expect(StatusCode::OK).json();
    assert_eq!((&changed["name"], &changed["tags"]), (&"app/live".into(), &json!({})));
    assert!(problem(&world.v1.get("/v1/units/app%2Fprod").await, 404).contains("app/prod"));
    assert_eq!(world.v1.delete("/v1/units/app%2Flive").await.status, StatusCode::NO_CONTENT);
    problem(&world.v1.get("/v1/units/app%2Flive").await, 404);
}

#[tokio::test]
async fn a_list_is_in_order_of_names_by_prefix_and_in_pages() {
    let world = world().await;
    for name in ["b", "app/two", "app/one", "apple"] {
        world.v1.post("/v1/units", &json!({"name": name})).await.expect(StatusCode::CREATED);
    }
    world.v1.post("/v1/units?org=acme", &json!({"name": "elsewhere"})).await.expect(StatusCode::CREATED);
    let names = async |query: &str| {
        let listed = world.v1.get(&format!("/v1/units{query}")).await.expect(StatusCode::OK).json();
        let units = listed["units"].as_array().unwrap().clone();
        let names: Vec<String> = units.iter().map(|unit| unit["name"].as_str().unwrap().to_owned()).collect();
        (names, listed["page"]["total"].as_u64().unwrap())
    };
    assert_eq!(names("").await, (vec!["app/one".into(), "app/two".into(), "apple".into(), "b".into()], 4));
    assert_eq!(names("?prefix=app/").await, (vec!["app/one".into(), "app/two".into()], 2));
    assert_eq!(names("?prefix=*").await, (vec![], 0));
    assert_eq!(names("?page=2&per_page=3").await, (vec!["b".into()], 4));
    assert_eq!(names("?org=acme").await, (vec!["elsewhere".into()], 1));
    problem(&world.v1.get("/v1/units?org=Not_A_Name").await, 422);
}

#[tokio::test]
async fn one_lock_for_both_doors() {
    let world = world().await;
    let made = world.v1.post("/v1/units", &json!({"name": "web"})).await.json();
    let id = made["id"].as_str().unwrap();
    let locked = world.v1.post("/v1/units/web/lock", &json!({"reason": "maintenance"})).await;
    let lock = locked.expect(StatusCode::OK).json()["lock"].clone();
    assert_eq!((&lock["who"], &lock["reason"]), (&"dev:alice".into(), &"maintenance".into()));
    assert_eq!(world.cloud.lock(id).await.status, StatusCode::CONFLICT);
    assert!(problem(&world.v1.delete("/v1/units/web").await, 409).contains("locked"));
    let other = V1::new(&world.server, &login(&world.server, &Who::dev("bob")).await);
    assert!(problem(&other.post("/v1/units/web/lock", &json!({})).await, 409).contains("dev:alice"));
    assert!(problem(&other.delete("/v1/units/web/lock").await, 409).contains("dev:alice"));
    assert_eq!(
        other.delete("/v1/units/web/lock?force=true").await.expect(StatusCode::OK).json()["lock"],
        Value::Null
    );
    problem(&world.v1.delete("/v1/units/web/lock").await, 409);
    world.cloud.lock(id).await.expect(StatusCode::OK);
    // A signed token is as good as the API token that it hangs from.
    let signed = V1::new(&world.server, &V1::new(&world.server, &world.token).access().await);
    signed.delete("/v1/units/web/lock").await.expect(StatusCode::OK);
}

#[tokio::test]
async fn every_version_comes_back_byte_for_byte_and_an_old_one_can_be_restored() {
    let world = world().await;
    let made = world.v1.post("/v1/units", &json!({"name": "web"})).await.json();
    let id = made["id"].as_str().unwrap();
    problem(&world.v1.get("/v1/units/web/state").await, 404);
    let contents = [(1, 1), (2, 2), (3, 3)].map(|(serial, n)| state(serial, "lineage", n, &json!({})));
    for content in &contents {
        world.push(id, content).await;
    }
    let listed = world.v1.get("/v1/units/web/versions").await.expect(StatusCode::OK).json();
    let versions = listed["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 3);
    for (version, number) in versions.iter().zip([3, 2, 1]) {
        let content = &contents[number - 1];
        assert_eq!((&version["number"], &version["serial"]), (&number.into(), &number.into()));
        assert_eq!((&version["md5"], &version["size"]), (&md5_hex(content).into(), &content.len().into()));
        assert_eq!(
            (&version["current"], &version["created_by"]),
            (&(number == 3).into(), &"dev:alice".into())
        );
        let bytes = world.v1.get(&format!("/v1/units/web/state?version={number}")).await;
        assert_eq!(&bytes.expect(StatusCode::OK).body, content);
    }
    assert_eq!(world.v1.get("/v1/units/web/state").await.body, contents[2]);
    problem(&world.v1.get("/v1/units/web/state?version=4").await, 404);
    problem(&world.v1.get("/v1/units/web/state?version=0").await, 404);
    problem(&world.v1.post("/v1/units/web/restore", &json!({"number": 1})).await, 409);
    world.v1.post("/v1/units/web/lock", &json!({})).await.expect(StatusCode::OK);
    let restored = world.v1.post("/v1/units/web/restore", &json!({"number": 1})).await;
    let restored = restored.expect(StatusCode::OK).json();
    assert_eq!(
        (&restored["number"], &restored["serial"], &restored["restored_from"]),
        (&4.into(), &4.into(), &1.into())
    );
}

#[tokio::test]
async fn outputs_keep_every_digit_and_sensitive_ones_are_shown_on_demand_alone() {
    let world = world().await;
    let made = world.v1.post("/v1/units", &json!({"name": "web"})).await.json();
    let outputs = json!({
        "big": {"value": 12345, "type": "number"},
        "password": {"value": "hunter2", "type": "string", "sensitive": true},
    });
    let content = String::from_utf8(state(1, "lineage", 0, &outputs)).unwrap();
    let content = content.replace("12345", "123456789012345678901234567890.5");
    world.push(made["id"].as_str().unwrap(), content.as_bytes()).await;
    let shown = world.v1.get("/v1/units/web/outputs").await.expect(StatusCode::OK);
    let text = String::from_utf8_lossy(&shown.body).into_owned();
    assert!(text.contains("123456789012345678901234567890.5") && !text.contains("hunter2"), "{text}");
    let shown = world.v1.get("/v1/units/web/outputs?reveal=true").await.expect(StatusCode::OK).json();
    assert_eq!(
        shown["outputs"][1],
        json!({"name": "password", "sensitive": true, "type": "string", "value": "hunter2"})
    );
}

#[tokio::test]
async fn what_may_not_be_seen_is_not_there_and_bad_requests_are_named() {
    let world = world().await;
    world.v1.post("/v1/rbac/init", &json!({})).await.expect(StatusCode::OK);
    world.v1.post("/v1/units", &json!({"name": "secret"})).await.expect(StatusCode::CREATED);
    let bob = V1::new(&world.server, &login(&world.server, &Who::dev("bob")).await);
    for path in [
        "/v1/units/secret",
        "/v1/units/secret/state",
        "/v1/units/secret/versions",
        "/v1/units/secret/outputs",
    ] {
        let (hidden, absent) = (bob.get(path).await, bob.get(&path.replace("secret", "absent")).await);
        assert_eq!(
            problem(&hidden, 404).replace("secret", "absent"),
            problem(&absent, 404),
            "they look the same"
        );
    }
    problem(&bob.post("/v1/units/secret/lock", &json!({})).await, 404);
    problem(&bob.delete("/v1/units/secret").await, 404);
    problem(&bob.post("/v1/units", &json!({"name": "mine"})).await, 403);
    assert_eq!(bob.get("/v1/units").await.json()["units"], json!([]));
    for (body, status) in [
        (json!({}), 422),
        (json!({"name": "a//b"}), 422),
        (json!({"name": "x", "color": "red"}), 400),
        (json!({"name": "x", "tags": {"": "y"}}), 422),
        (json!([]), 400),
    ] {
        problem(&world.v1.post("/v1/units", &body).await, status);
    }
    problem(&world.v1.get("/v1/units/a%2F%2Fb").await, 404);
    problem(&V1::anonymous(&world.server).get("/v1/units").await, 401);
}
