//! Workspaces: names, settings, pages, and deletion that loses nothing by accident.

use std::collections::BTreeSet;

use opentaco_tests::client::state;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, answer, plain, refused, text};

const ALL: &str = "/organizations/default/workspaces";

fn named(name: &str) -> Value {
    json!({"data": {"type": "workspaces", "attributes": {"name": name}}})
}

#[tokio::test]
async fn a_name_within_the_rule_makes_a_workspace_that_is_found_by_it() {
    let world = World::new().await;
    let longest = "x".repeat(200);
    for name in ["a", "Web", "web", "cp-10-dns-", "app~prod", "a.b:c_d-e", "..x", "default", &longest] {
        let made = world.alice.post(ALL, named(name)).await.expect(StatusCode::CREATED).json();
        let found = world.alice.get(&format!("{ALL}/{name}")).await.expect(StatusCode::OK).json();
        assert_eq!(made["data"]["attributes"]["name"], name);
        assert_eq!(found["data"]["id"], made["data"]["id"]);
        assert_eq!(found["data"]["attributes"]["execution-mode"], "local");
        assert!(found["data"]["attributes"]["permissions"].is_object(), "Terraform crashes without it");
    }
}

#[tokio::test]
async fn a_name_outside_the_rule_is_refused_with_the_rule() {
    let world = World::new().await;
    let too_long = "x".repeat(201);
    let bad = ["", " ", "a b", "~", "a~", "~a", "a~~b", "..", "a~..", ".", "a~.~b", "../../x", "%2e%2e%2fx"]
        .into_iter()
        .chain(["größe", "a\u{0}b", "a\nb", "a\\b", "a?b", "a#b", "<b>", "a'b", "\u{202e}x", &too_long]);
    for name in bad {
        let detail = refused(&world.alice.post(ALL, named(name)).await, 422);
        assert!(detail.contains("name"), "{name:?}: {detail}");
    }
    let list = world.alice.get(ALL).await.json();
    assert_eq!(list["meta"]["pagination"]["total-count"], 0, "nothing was made");
}

#[tokio::test]
async fn a_malformed_workspace_is_refused_and_makes_nothing() {
    let world = World::new().await;
    for body in ["{", "[]", "\"x\"", "null null", "\u{0}", "{\"data\":", "nonsense"] {
        let detail = refused(&world.send(Method::POST, ALL, body).await, 400);
        assert!(detail.contains("JSON"), "{body}: {detail}");
    }
    for body in [
        json!({}),
        json!({"data": []}),
        json!({"data": "x"}),
        json!({"data": {"attributes": []}}),
        json!({"data": {"attributes": {}}}),
        json!({"data": {"attributes": {"name": 7}}}),
        json!({"data": {"attributes": {"name": ["x"]}}}),
        json!({"data": {"attributes": {"name": "x", "terraform-version": {}}}}),
        json!({"data": {"attributes": {"name": "x", "terraform-version": "\u{7}"}}}),
        json!({"data": {"attributes": {"name": "x", "description": 1}}}),
        json!({"data": {"attributes": {"name": "x", "execution-mode": "remote"}}}),
        json!({"data": {"attributes": {"name": "x", "operations": true}}}),
        json!({"data": {"attributes": {"name": "x"}, "relationships": {"tags": {"data": "a"}}}}),
        json!({"data": {"attributes": {"name": "x"}, "relationships": {"tag-bindings": {"data": [1]}}}}),
    ] {
        let reply = world.alice.post(ALL, body.clone()).await;
        assert_eq!(reply.status, 422, "{body}: {}", reply.text());
        refused(&reply, 422);
    }
    assert_eq!(world.alice.get(ALL).await.json()["meta"]["pagination"]["total-count"], 0);
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    let detail = refused(&world.alice.post(ALL, named("web")).await, 422);
    assert!(detail.contains("already exists"), "{detail}");
    assert_eq!(world.alice.get(&format!("{ALL}/web")).await.id(), id);
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_by_any_method() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    world.alice.call(Method::DELETE, &format!("/workspaces/{id}"), None).await.expect(StatusCode::NO_CONTENT);
    let unknown =
        ["ws-aaaaaaaaaaaaaaaaaaaaaaaaaa", "ws-", "x", "..%2f..%2fetc", "%00", "ws-%ff", "sv-1", "%20", &id];
    for id in unknown {
        let at = format!("/workspaces/{id}");
        for (method, path) in [
            (Method::GET, at.clone()),
            (Method::PATCH, at.clone()),
            (Method::DELETE, at.clone()),
            (Method::POST, format!("{at}/actions/safe-delete")),
            (Method::POST, format!("{at}/actions/lock")),
            (Method::POST, format!("{at}/actions/unlock")),
            (Method::POST, format!("{at}/actions/force-unlock")),
            (Method::GET, format!("{at}/current-state-version")),
            (Method::GET, format!("{at}/current-state-version-outputs")),
            (Method::GET, format!("{at}/state-versions")),
            (Method::GET, format!("{at}/tag-bindings")),
            (Method::GET, format!("{at}/relationships/tags")),
            (Method::GET, format!("{at}/vars")),
        ] {
            let reply = world.send(method.clone(), &path, "{}").await;
            assert_eq!(reply.status, 404, "{method} {path}: {}", reply.text());
            refused(&reply, 404);
        }
    }
    refused(&world.alice.get(&format!("{ALL}/nobody")).await, 404);
    refused(&world.alice.get("/organizations/nowhere/workspaces/web").await, 404);
}

#[tokio::test]
async fn settings_change_as_sent_and_a_refused_change_changes_nothing() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let at = format!("/workspaces/{id}");
    let change = |attributes: Value| json!({"data": {"type": "workspaces", "attributes": attributes}});
    let sent = change(json!({"terraform-version": "~>1.11", "description": "ours", "name": "web"}));
    let shown = world.alice.call(Method::PATCH, &at, Some(sent)).await.expect(StatusCode::OK).json();
    assert_eq!(shown["data"]["attributes"]["terraform-version"], "~>1.11");
    assert_eq!(shown["data"]["attributes"]["description"], "ours");
    let before = world.picture(&id).await;
    for attributes in [
        json!({"name": "a b"}),
        json!({"name": ""}),
        json!({"auto-apply": "yes"}),
        json!({"trigger-prefixes": [1]}),
        json!({"global-remote-state": 1}),
        json!({"vcs-repo": {"identifier": "acme/web"}}),
        json!({"terraform-version": ""}),
        json!({"terraform-version": "x".repeat(101)}),
        json!({"terraform-version": 1.11}),
        json!({"description": "x".repeat(4097)}),
        json!({"execution-mode": "remote"}),
        json!({"execution-mode": "agent", "description": "half"}),
        json!({"operations": "yes"}),
    ] {
        let reply = world.alice.call(Method::PATCH, &at, Some(change(attributes.clone()))).await;
        assert_eq!(reply.status, 422, "{attributes}: {}", reply.text());
        refused(&reply, 422);
    }
    refused(&world.send(Method::PATCH, &at, "{").await, 400);
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn forty_five_workspaces_are_three_pages_and_none_is_missing() {
    let world = World::new().await;
    let empty = world.alice.get(ALL).await.json();
    assert_eq!(empty["meta"]["pagination"]["total-pages"], 1, "a client's loop must end");
    for n in 0..45 {
        world.workspace(&format!("w{n:02}")).await;
    }
    let mut seen = BTreeSet::new();
    for number in 1..=3_u64 {
        let query = format!("{ALL}?page%5Bsize%5D=20&page%5Bnumber%5D={number}");
        let page = world.alice.get(&query).await.expect(StatusCode::OK).json();
        let items = page["data"].as_array().unwrap();
        assert_eq!(items.len(), [20, 20, 5][usize::try_from(number).unwrap() - 1]);
        seen.extend(items.iter().map(|item| text(&item["attributes"]["name"])));
        let meta = &page["meta"]["pagination"];
        assert_eq!((&meta["current-page"], &meta["total-pages"]), (&json!(number), &json!(3)));
        assert_eq!(meta["total-count"], 45);
        assert_eq!(
            meta["next-page"],
            [json!(2), json!(3), Value::Null][usize::try_from(number).unwrap() - 1]
        );
        assert_eq!(
            meta["prev-page"],
            [Value::Null, json!(1), json!(2)][usize::try_from(number).unwrap() - 1]
        );
    }
    assert_eq!(seen.len(), 45);
    let unset = world.alice.get(ALL).await.json();
    assert_eq!(unset["data"].as_array().unwrap().len(), 20, "20 a page unless asked");
    for junk in ["page%5Bnumber%5D=99999999999999999999", "page%5Bsize%5D=-1", "page%5Bnumber%5D=0", "%zz=%"]
    {
        world.alice.get(&format!("{ALL}?{junk}")).await.expect(StatusCode::OK);
    }
    let most = world.alice.get(&format!("{ALL}?page%5Bsize%5D=100000")).await.json();
    assert_eq!(most["meta"]["pagination"]["page-size"], 100, "100 a page at most");
}

#[tokio::test]
async fn a_search_by_name_finds_parts_of_names_and_nothing_else() {
    let world = World::new().await;
    for name in ["app-prod", "my-app-dev", "net"] {
        world.workspace(name).await;
    }
    for (part, found) in [("app-", vec!["app-prod", "my-app-dev"]), ("net", vec!["net"]), ("zzz", vec![])] {
        let list =
            world.alice.get(&format!("{ALL}?search%5Bname%5D={part}")).await.expect(StatusCode::OK).json();
        let mut names: Vec<String> =
            list["data"].as_array().unwrap().iter().map(|item| text(&item["attributes"]["name"])).collect();
        names.sort();
        assert_eq!(names, found, "{part}");
        assert_eq!(list["meta"]["pagination"]["total-count"], found.len());
    }
}

#[tokio::test]
async fn a_page_beyond_the_last_one_is_empty_however_far_it_is() {
    let world = World::new().await;
    let id = world.locked("web").await;
    for number in ["2", "9223372036854775807", "9223372036854775808", "18446744073709551615"] {
        for path in [
            ALL.to_owned(),
            "/organizations".to_owned(),
            format!("/workspaces/{id}/state-versions"),
            format!("/workspaces/{id}/current-state-version-outputs"),
        ] {
            let reply =
                world.alice.get(&format!("{path}?page%5Bsize%5D=100&page%5Bnumber%5D={number}")).await;
            assert_eq!(reply.expect(StatusCode::OK).json()["data"], json!([]), "{path}");
        }
    }
}

#[tokio::test]
async fn a_locked_workspace_is_not_deleted_by_its_holder_nor_by_others() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let bob = world.person("bob").await;
    let before = world.picture(&id).await;
    for api in [&world.alice, &bob] {
        for (method, path) in [
            (Method::DELETE, format!("/workspaces/{id}")),
            (Method::DELETE, format!("{ALL}/web")),
            (Method::POST, format!("/workspaces/{id}/actions/safe-delete")),
            (Method::POST, format!("{ALL}/web/actions/safe-delete")),
        ] {
            let detail = refused(&api.call(method, &path, None).await, 409);
            assert!(detail.contains("locked"), "{detail}");
        }
    }
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn a_workspace_that_manages_something_is_deleted_by_force_alone() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    world.alice.write(&id, &state(1, "kept", 2, &json!({}))).await;
    let before = world.picture(&id).await;
    for path in [format!("/workspaces/{id}/actions/safe-delete"), format!("{ALL}/web/actions/safe-delete")] {
        let detail = refused(&world.alice.call(Method::POST, &path, None).await, 409);
        assert!(detail.contains("not safe to delete") && !detail.contains("locked"), "{detail}");
    }
    assert_eq!(world.picture(&id).await, before);
    let version = world.alice.current(&id).await.id();
    let gone = world.alice.call(Method::DELETE, &format!("{ALL}/web"), None).await;
    gone.expect(StatusCode::NO_CONTENT);
    refused(&world.alice.get(&format!("{ALL}/web")).await, 404);
    for path in [format!("/state-versions/{version}"), format!("/state-versions/{version}/download")] {
        refused(&world.alice.get(&path).await, 404);
    }
}

#[tokio::test]
async fn an_empty_workspace_is_deleted_safely() {
    let world = World::new().await;
    for name in ["never-written", "emptied"] {
        let id = world.workspace(name).await;
        if name == "emptied" {
            world.alice.write(&id, &plain(1)).await;
        }
        let path = format!("/workspaces/{id}/actions/safe-delete");
        world.alice.call(Method::POST, &path, None).await.expect(StatusCode::NO_CONTENT);
        refused(&world.alice.call(Method::POST, &path, None).await, 404);
    }
}

#[tokio::test]
async fn a_workspace_made_again_is_another_one_and_takes_no_old_upload() {
    let world = World::new().await;
    let old = world.locked("web").await;
    let proposal = world.alice.propose(&old, &plain(6)).await.expect(StatusCode::CREATED);
    world.alice.unlock(&old).await.expect(StatusCode::OK);
    world.alice.call(Method::DELETE, &format!("{ALL}/web"), None).await.expect(StatusCode::NO_CONTENT);
    let new = world.workspace("web").await;
    assert_ne!(old, new);
    world.alice.lock(&new).await.expect(StatusCode::OK);
    let before = world.picture(&new).await;
    refused(&world.alice.upload(&proposal, &plain(6)).await, 404);
    refused(&world.alice.current(&new).await, 404);
    refused(&world.alice.current(&old).await, 404);
    assert_eq!(world.picture(&new).await, before);
}

#[tokio::test]
async fn junk_in_the_query_of_a_list_is_no_failure() {
    let world = World::new().await;
    world.workspace("web").await;
    let junk =
        "search%5Btags%5D=&TagBindings=%7B+app+web%7D&TagBindings=x&include=organization&filter%5Bx%5D";
    let reply = answer(world.request(Method::GET, &format!("{ALL}?{junk}"))).await;
    assert_eq!(reply.expect(StatusCode::OK).json()["meta"]["pagination"]["total-count"], 1);
}
