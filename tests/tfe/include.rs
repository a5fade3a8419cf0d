//! What else an answer brings along when it is asked to.

use opentaco_tests::client::{Reply, state};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, names, of, text};

const ALL: &str = "/organizations/default/workspaces";

fn included(reply: &Reply) -> Vec<(String, String)> {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let mut all: Vec<_> = match reply.json().get("included") {
        Some(items) => {
            items.as_array().unwrap().iter().map(|item| (text(&item["type"]), text(&item["id"]))).collect()
        }
        None => Vec::new(),
    };
    all.sort();
    all
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(kind, id)| ((*kind).to_owned(), (*id).to_owned())).collect()
}

async fn world_with_web() -> (World, String, String) {
    let world = World::new().await;
    let project = world.project("default", "Team A").await;
    let body = json!({"data": {
        "type": "workspaces", "attributes": {"name": "web"},
        "relationships": {
            "project": {"data": {"type": "projects", "id": project}},
            "tag-bindings": {"data": [
                {"type": "tag-bindings", "attributes": {"key": "env", "value": "prod"}},
                {"type": "tag-bindings", "attributes": {"key": "app"}},
            ]},
        },
    }});
    let id = world.alice.post(ALL, body).await.expect(StatusCode::CREATED).id();
    world.alice.lock(&id).await.expect(StatusCode::OK);
    (world, id, project)
}

#[tokio::test]
async fn a_workspace_brings_along_what_is_asked_for() {
    let (world, id, project) = world_with_web().await;
    let account = world.alice.get("/account/details").await.id();
    let bindings = [format!("{id}-app"), format!("{id}-env")];
    let tags = bindings.each_ref().map(|binding| ("effective-tag-bindings", binding.as_str()));
    for (include, expected) in [
        ("organization", vec![("organizations", "default")]),
        ("project", vec![("projects", project.as_str())]),
        ("locked_by", vec![("users", account.as_str())]),
        ("locked-by", vec![("users", account.as_str())]),
        ("effective_tag_bindings", tags.to_vec()),
        ("effective-tag-bindings", tags.to_vec()),
        ("organization,project", vec![("organizations", "default"), ("projects", &project)]),
        (" organization , organization", vec![("organizations", "default")]),
        ("", vec![]),
        (",", vec![]),
        ("current_run,current_configuration_version.ingress_attributes,readme,x,\u{0},outputs", vec![]),
    ] {
        for path in [format!("/workspaces/{id}"), format!("{ALL}/web"), ALL.to_owned()] {
            let reply = world.ask(&path, &[("include", include)]).await;
            assert_eq!(included(&reply), pairs(&expected), "{path} {include}");
        }
    }
    for path in [format!("/workspaces/{id}"), ALL.to_owned()] {
        assert!(
            world.alice.get(&path).await.json().get("included").is_none(),
            "{path} brings nothing unasked"
        );
    }
    let shown = world
        .ask(&format!("/workspaces/{id}"), &[("include", "effective_tag_bindings,project")])
        .await
        .json();
    let linked = &shown["data"]["relationships"]["effective-tag-bindings"]["data"];
    assert_eq!(linked[0], json!({"type": "effective-tag-bindings", "id": bindings[0]}));
    let find = |kind: &str, id: &str| {
        let items = shown["included"].as_array().unwrap();
        items.iter().find(|item| item["type"] == kind && item["id"] == id).unwrap()["attributes"].clone()
    };
    assert_eq!(find("effective-tag-bindings", &bindings[1]), json!({"key": "env", "value": "prod"}));
    assert_eq!(find("projects", &project)["name"], "Team A");
}

#[tokio::test]
async fn a_list_brings_each_thing_along_once() {
    let (world, _, project) = world_with_web().await;
    for name in ["aaa", "bbb"] {
        let id = world.workspace(name).await;
        world.alice.lock(&id).await.expect(StatusCode::OK);
    }
    let account = world.alice.get("/account/details").await.id();
    let list = world.ask(ALL, &[("include", "organization,project,locked_by")]).await;
    let mut expected = pairs(&[
        ("organizations", "default"),
        ("projects", &project),
        ("projects", "prj-default-00000000000000000000000000"),
        ("users", &account),
    ]);
    expected.sort();
    assert_eq!((included(&list), names(&list).len()), (expected, 3));
    let page = world.ask(ALL, &[("include", "project"), ("page[size]", "1")]).await;
    assert_eq!(included(&page).len(), 1, "only what the page needs");
}

#[tokio::test]
async fn nobody_is_brought_along_for_a_lock_that_is_not_held() {
    let (world, id, _) = world_with_web().await;
    world.alice.unlock(&id).await.expect(StatusCode::OK);
    let reply = world.ask(&format!("/workspaces/{id}"), &[("include", "locked_by")]).await;
    assert_eq!(included(&reply), []);
}

#[tokio::test]
async fn a_state_version_brings_outputs_and_author_along_and_no_secret() {
    let (world, id, _) = world_with_web().await;
    let outputs = json!({
        "public": {"value": "a", "type": "string"},
        "secret": {"value": "hunter2", "type": "string", "sensitive": true},
    });
    let bytes = state(1, "kept", 0, &outputs);
    let proposal = world.alice.propose(&id, &bytes).await.expect(StatusCode::CREATED);
    let by_id = format!("/state-versions/{}", proposal.id());
    let pending = world.ask(&by_id, &[("include", "outputs,created_by")]).await;
    assert_eq!(included(&pending), [], "a pending version has nothing to bring");
    world.alice.upload(&proposal, &bytes).await.expect(StatusCode::OK);
    let account = world.alice.get("/account/details").await.id();
    for path in [by_id, format!("/workspaces/{id}/current-state-version")] {
        let reply = world.ask(&path, &[("include", "outputs,created_by,run,created_by.x")]).await;
        assert!(!reply.text().contains("hunter2"), "{path} shows a secret");
        let shown = reply.json();
        let linked = shown["data"]["relationships"]["outputs"]["data"].as_array().unwrap().clone();
        assert_eq!(linked.len(), 2);
        for output in &linked {
            assert!(included(&reply).contains(&(text(&output["type"]), text(&output["id"]))), "{output}");
        }
        assert!(included(&reply).contains(&("users".to_owned(), account.clone())));
        let items = shown["included"].as_array().unwrap();
        let find = |name: &str| items.iter().find(|item| item["attributes"]["name"] == name).unwrap().clone();
        assert_eq!(find("secret")["attributes"]["value"], Value::Null);
        assert_eq!(find("public")["attributes"]["value"], "a");
        assert_eq!(
            included(&world.ask(&path, &[("include", "created-by")]).await),
            pairs(&[("users", &account)])
        );
        assert_eq!(included(&world.ask(&path, &[("include", "x,workspace")]).await), []);
    }
}

#[tokio::test]
async fn a_renamed_project_is_brought_along_by_its_new_name() {
    let (world, id, project) = world_with_web().await;
    let renamed =
        world.patch(&format!("/projects/{project}"), of("projects", json!({"name": "Team B"}))).await;
    renamed.expect(StatusCode::OK);
    let reply = world.ask(&format!("/workspaces/{id}"), &[("include", "project")]).await;
    assert_eq!(reply.json()["included"][0]["attributes"]["name"], "Team B");
}
