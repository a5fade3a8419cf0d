//! Renames: the same workspace under another name, or nothing.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use opentaco_tests::client::{Api, Reply};
use opentaco_tests::server::Options;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{World, names, of, plain, refused, text, total};

const ALL: &str = "/organizations/default/workspaces";

async fn rename(world: &World, id: &str, name: &str) -> Reply {
    world.change(id, json!({"name": name})).await
}

async fn named(world: &World, name: &str) -> Reply {
    world.alice.get(&format!("{ALL}/{name}")).await
}

/// What a rename leaves alone: the picture without name, address and time of the last change.
async fn apart_from_name(world: &World, id: &str) -> Value {
    let mut picture = world.picture(id).await;
    let shown = &mut picture["workspace"]["data"];
    shown["links"].take();
    shown["attributes"]["name"].take();
    shown["attributes"]["updated-at"].take();
    picture
}

#[tokio::test]
async fn a_renamed_workspace_is_found_by_its_new_name_alone_and_is_still_itself() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let tags =
        json!({"data": [{"attributes": {"key": "env", "value": "prod"}}, {"attributes": {"key": "app"}}]});
    world.patch(&format!("/workspaces/{id}/tag-bindings"), tags).await.expect(StatusCode::OK);
    let before = apart_from_name(&world, &id).await;
    let shown = rename(&world, &id, "site").await.expect(StatusCode::OK);
    assert_eq!(
        (shown.id(), text(&shown.json()["data"]["attributes"]["name"])),
        (id.clone(), "site".to_owned())
    );
    assert_eq!(named(&world, "site").await.expect(StatusCode::OK).json(), shown.json());
    refused(&named(&world, "web").await, 404);
    assert_eq!(apart_from_name(&world, &id).await, before, "state, lock, tags and versions stay");
    assert_eq!(names(&world.alice.get(ALL).await), ["site"]);
    assert_eq!(names(&world.ask(ALL, &[("search[name]", "web")]).await), Vec::<String>::new());
    let by_name = [("filter[workspace][name]", "site"), ("filter[organization][name]", "default")];
    assert_eq!(total(&world.ask("/state-versions", &by_name).await.expect(StatusCode::OK)), 1);
    // The lock is still alice's, and the address that frees it is the new one.
    let bob = world.person("bob").await;
    assert!(refused(&bob.lock(&id).await, 409).contains("default/site"));
    world.alice.unlock(&id).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_taken_name_is_refused_and_nothing_changes() {
    let world = World::new().await;
    let (web, app) = (world.locked("web").await, world.locked("app").await);
    let before = (world.picture(&web).await, world.picture(&app).await, world.alice.get(ALL).await.json());
    let detail = refused(&rename(&world, &web, "app").await, 422);
    assert!(detail.contains("app") && detail.contains("already exists"), "{detail}");
    let all_of_it = json!({"data": {
        "attributes": {"name": "app", "description": "half", "terraform-version": "1.0.0"},
        "relationships": {"tag-bindings": {"data": [{"attributes": {"key": "half"}}]}},
    }});
    for path in [format!("/workspaces/{web}"), format!("{ALL}/web")] {
        refused(&world.patch(&path, all_of_it.clone()).await, 422);
    }
    assert_eq!(
        (world.picture(&web).await, world.picture(&app).await, world.alice.get(ALL).await.json()),
        before
    );
    assert_eq!((named(&world, "web").await.id(), named(&world, "app").await.id()), (web, app));
}

#[tokio::test]
async fn a_bad_new_name_or_a_bad_setting_beside_it_changes_nothing() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let before = world.picture(&id).await;
    let long = "x".repeat(201);
    for name in
        ["", " ", "a b", "~", "a~", "~a", "a~~b", "..", "a~..", "../../x", "%2e%2e", "größe", "a\u{0}", &long]
    {
        let reply = rename(&world, &id, name).await;
        assert_eq!(reply.status, 422, "{name:?}: {}", reply.text());
        assert!(refused(&reply, 422).contains("name"), "{name:?}");
    }
    for (attributes, related) in [
        (json!({"name": "site", "auto-apply": "yes"}), json!({})),
        (json!({"name": "site", "terraform-version": ""}), json!({})),
        (json!({"name": "site", "execution-mode": "remote"}), json!({})),
        (json!({"name": "site", "description": "x".repeat(4097)}), json!({})),
        (json!({"name": "site"}), json!({"tag-bindings": {"data": [{"attributes": {"key": "a,b"}}]}})),
        (json!({"name": "site"}), json!({"tag-bindings": {"data": 7}})),
        (json!({"name": "site"}), json!({"project": {"data": {"id": 7}}})),
        (json!({"name": ["site"]}), json!({})),
    ] {
        let body = json!({"data": {"attributes": attributes, "relationships": related}});
        refused(&world.patch(&format!("/workspaces/{id}"), body).await, 422);
    }
    let nowhere = json!({"data": {"attributes": {"name": "site"}, "relationships": {"project": {"data": {"id": "prj-x"}}}}});
    refused(&world.patch(&format!("/workspaces/{id}"), nowhere).await, 404);
    assert_eq!(world.picture(&id).await, before);
    refused(&named(&world, "site").await, 404);
    world.workspace("site").await;
}

#[tokio::test]
async fn a_rename_brings_settings_tags_and_project_along() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    let project = world.project("default", "Team A").await;
    let body = json!({"data": {
        "attributes": {"name": "site", "description": "ours", "auto-apply": true, "terraform-version": "1.11.4"},
        "relationships": {
            "tag-bindings": {"data": [{"attributes": {"key": "env", "value": "prod"}}]},
            "project": {"data": {"type": "projects", "id": project}},
        },
    }});
    let shown = world.patch(&format!("{ALL}/web"), body).await.expect(StatusCode::OK).json();
    assert_eq!(world.alice.get(&format!("/workspaces/{id}")).await.json(), shown);
    let attributes = &shown["data"]["attributes"];
    for (name, value) in [
        ("name", json!("site")),
        ("description", json!("ours")),
        ("auto-apply", json!(true)),
        ("terraform-version", json!("1.11.4")),
        ("tag-names", json!(["env"])),
    ] {
        assert_eq!(attributes[name], value, "{name}");
    }
    let query = [
        ("filter[project][id]", project.as_str()),
        ("search[name]", "site"),
        ("filter[tagged][0][key]", "env"),
        ("filter[tagged][0][value]", "prod"),
    ];
    assert_eq!(names(&world.ask(ALL, &query).await), ["site"], "the list knows at once");
}

#[tokio::test]
async fn a_name_that_was_left_is_anybodys() {
    let world = World::new().await;
    let old = world.workspace("web").await;
    rename(&world, &old, "site").await.expect(StatusCode::OK);
    let new = world.workspace("web").await;
    assert_ne!(old, new);
    refused(&rename(&world, &old, "web").await, 422);
    assert_eq!(
        (named(&world, "web").await.id(), named(&world, "site").await.id()),
        (new.clone(), old.clone())
    );
    world.delete(&format!("/workspaces/{new}")).await.expect(StatusCode::NO_CONTENT);
    rename(&world, &old, "web").await.expect(StatusCode::OK);
    assert_eq!(named(&world, "web").await.id(), old);
    refused(&named(&world, "site").await, 404);
}

#[tokio::test]
async fn a_rename_to_its_own_name_changes_nothing() {
    let world = World::new().await;
    let id = world.locked("app~prod").await;
    let before = world.picture(&id).await;
    for path in [format!("/workspaces/{id}"), format!("{ALL}/app~prod")] {
        world.patch(&path, of("workspaces", json!({"name": "app~prod"}))).await.expect(StatusCode::OK);
        world.patch(&path, of("workspaces", json!({"name": null}))).await.expect(StatusCode::OK);
    }
    assert_eq!(world.picture(&id).await, before);
}

#[tokio::test]
async fn names_with_a_tilde_are_renamed_like_others() {
    let world = World::new().await;
    let id = world.workspace("app~prod").await;
    for name in ["app~dev", "app", "app~x~y", "x~app"] {
        let shown = rename(&world, &id, name).await.expect(StatusCode::OK).json();
        assert_eq!(shown["data"]["attributes"]["name"], name);
        assert_eq!(text(&shown["data"]["links"]["self"]), format!("/tfe/api/v2{ALL}/{name}"));
        assert_eq!(named(&world, name).await.id(), id);
        assert_eq!(names(&world.alice.get(ALL).await), [name]);
    }
    refused(&named(&world, "app~prod").await, 404);
}

#[tokio::test]
async fn two_workspaces_swap_their_names_over_a_third() {
    let world = World::new().await;
    let (web, app) = (world.workspace("web").await, world.workspace("app").await);
    for (id, name) in [(&web, "between"), (&app, "web"), (&web, "app")] {
        rename(&world, id, name).await.expect(StatusCode::OK);
    }
    assert_eq!((named(&world, "app").await.id(), named(&world, "web").await.id()), (web, app));
    refused(&named(&world, "between").await, 404);
}

#[tokio::test]
async fn there_and_back_many_times_is_still_one_workspace_with_one_name() {
    let world = World::of(Options::local()).await;
    let id = world.locked("aaa").await;
    let before = apart_from_name(&world, &id).await;
    for _ in 0..15 {
        for (old, new) in [("aaa", "bbb"), ("bbb", "aaa")] {
            rename(&world, &id, new).await.expect(StatusCode::OK);
            assert_eq!(named(&world, new).await.id(), id);
            refused(&named(&world, old).await, 404);
        }
    }
    assert_eq!(apart_from_name(&world, &id).await, before);
    assert_eq!(names(&world.alice.get(ALL).await), ["aaa"]);
}

#[tokio::test]
async fn a_rename_outlives_a_restart() {
    let mut world = World::of(Options::local()).await;
    let id = world.locked("web").await;
    rename(&world, &id, "site").await.expect(StatusCode::OK);
    world.server.restart();
    world.alice = Api::new(&world.server, &world.token);
    assert_eq!(named(&world, "site").await.expect(StatusCode::OK).id(), id);
    refused(&named(&world, "web").await, 404);
    assert_eq!(names(&world.alice.get(ALL).await), ["site"]);
}

#[tokio::test]
async fn a_lock_binds_the_state_and_not_the_name() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    let bob = world.person("bob").await;
    bob.lock(&id).await.expect(StatusCode::OK);
    let proposal = bob.propose(&id, &plain(1)).await.expect(StatusCode::CREATED);
    rename(&world, &id, "site").await.expect(StatusCode::OK);
    refused(&world.alice.unlock(&id).await, 409);
    bob.upload(&proposal, &plain(1)).await.expect(StatusCode::OK);
    assert_eq!(world.alice.download(&id).await.body, plain(1));
    bob.unlock(&id).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn an_upload_that_was_proposed_before_a_rename_still_commits() {
    let world = World::new().await;
    let id = world.locked("web").await;
    for (serial, name) in [(6, "site"), (7, "web")] {
        let proposal = world.alice.propose(&id, &plain(serial)).await.expect(StatusCode::CREATED);
        rename(&world, &id, name).await.expect(StatusCode::OK);
        world.alice.upload(&proposal, &plain(serial)).await.expect(StatusCode::OK);
        assert_eq!(world.alice.download(&id).await.body, plain(serial));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_who_are_renamed_to_one_name_one_is_and_the_others_still_work() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(world.workspace(&format!("w{n:02}")).await);
    }
    let replies = join_all(ids.iter().map(|id| rename(&world, id, "prize"))).await;
    let winners: Vec<usize> = (0..20).filter(|n| replies[*n].status == StatusCode::OK).collect();
    assert_eq!(winners.len(), 1, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
    let winner = winners[0];
    assert_eq!(named(&world, "prize").await.id(), ids[winner]);
    refused(&named(&world, &format!("w{winner:02}")).await, 404);
    for (n, id) in ids.iter().enumerate().filter(|(n, _)| *n != winner) {
        refused(&replies[n], 422);
        assert_eq!(named(&world, &format!("w{n:02}")).await.id(), *id);
        world.alice.write(id, &plain(1)).await;
        rename(&world, id, &format!("x{n:02}")).await.expect(StatusCode::OK);
    }
    let list = world.ask(ALL, &[("page[size]", "100")]).await;
    assert_eq!(names(&list).into_iter().collect::<BTreeSet<_>>().len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_rename_and_a_creation_for_one_name_one_wins() {
    let world = World::new().await;
    for n in 0..10 {
        let (old, prize) = (format!("old{n}"), format!("prize{n}"));
        let id = world.workspace(&old).await;
        let (renamed, made) = tokio::join!(
            rename(&world, &id, &prize),
            world.alice.post(ALL, of("workspaces", json!({"name": prize})))
        );
        let found = named(&world, &prize).await.expect(StatusCode::OK).id();
        if renamed.status == StatusCode::OK {
            refused(&made, 422);
            assert_eq!(found, id);
            refused(&named(&world, &old).await, 404);
        } else {
            refused(&renamed, 422);
            assert_eq!(found, made.expect(StatusCode::CREATED).id());
            assert_eq!(named(&world, &old).await.id(), id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_that_is_renamed_to_many_names_at_once_ends_with_one() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    for round in 0..5 {
        let wanted: Vec<String> = (0..6).map(|n| format!("r{round}n{n}")).collect();
        for reply in join_all(wanted.iter().map(|name| rename(&world, &id, name))).await {
            if reply.status != StatusCode::OK {
                refused(&reply, 409);
            }
        }
        let shown = world.alice.get(&format!("/workspaces/{id}")).await.expect(StatusCode::OK).json();
        let name = text(&shown["data"]["attributes"]["name"]);
        assert_eq!(named(&world, &name).await.expect(StatusCode::OK).id(), id);
        assert_eq!(names(&world.ask(ALL, &[("search[name]", &format!("r{round}"))]).await), [name.as_str()]);
        for other in wanted.iter().filter(|other| **other != name) {
            refused(&named(&world, other).await, 404);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_rename_many_times_at_once_is_one_rename() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    for reply in join_all((0..8).map(|_| rename(&world, &id, "site"))).await {
        reply.expect(StatusCode::OK);
    }
    assert_eq!(named(&world, "site").await.id(), id);
    assert_ne!(world.workspace("web").await, id);
    refused(&rename(&world, &id, "web").await, 422);
    assert_eq!(named(&world, "site").await.id(), id);
}
