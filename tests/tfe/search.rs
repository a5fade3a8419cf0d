//! What a list of workspaces shows: every condition counts, in one order, page by page.

use opentaco_tests::client::Reply;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, names, refused, text, total};

const ALL: &str = "/organizations/default/workspaces";

async fn tagged(world: &World, name: &str, pairs: &[(&str, &str)]) -> String {
    let bindings: Vec<Value> = pairs
        .iter()
        .map(|(key, value)| json!({"type": "tag-bindings", "attributes": {"key": key, "value": value}}))
        .collect();
    let body = json!({"data": {
        "type": "workspaces", "attributes": {"name": name}, "relationships": {"tag-bindings": {"data": bindings}},
    }});
    world.alice.post(ALL, body).await.expect(StatusCode::CREATED).id()
}

/// Four workspaces that differ in names and tags.
async fn four() -> World {
    let world = World::new().await;
    tagged(&world, "app-dev", &[("app", ""), ("env", "dev")]).await;
    tagged(&world, "app-prod", &[("app", ""), ("env", "prod")]).await;
    tagged(&world, "my~app", &[("env", "prod"), ("team", "a")]).await;
    tagged(&world, "net", &[]).await;
    world
}

#[tokio::test]
async fn every_condition_of_a_search_counts() {
    let world = four().await;
    let everything = vec!["app-dev", "app-prod", "my~app", "net"];
    for (query, found) in [
        (vec![("search[name]", "app-")], vec!["app-dev", "app-prod"]),
        (vec![("search[name]", "app")], vec!["app-dev", "app-prod", "my~app"]),
        (vec![("search[name]", "APP")], vec![]),
        (vec![("search[name]", "app-*")], vec!["app-dev", "app-prod"]),
        (vec![("search[name]", "*-prod")], vec!["app-prod"]),
        (vec![("search[name]", "a*p*d")], vec!["app-prod"]),
        (vec![("search[name]", "pp*")], vec![]),
        (vec![("search[name]", "my~")], vec!["my~app"]),
        (vec![("search[name]", "my/app")], vec!["my~app"]),
        (vec![("search[name]", "app.dev")], vec![]),
        (vec![("search[name]", "%")], vec![]),
        (vec![("search[name]", "")], everything.clone()),
        (vec![("search[wildcard-name]", "*prod")], vec!["app-prod"]),
        (vec![("search[wildcard-name]", "*~*")], vec!["my~app"]),
        (vec![("search[wildcard-name]", "*")], everything.clone()),
        (vec![("search[name]", "app"), ("search[wildcard-name]", "*dev")], vec!["app-dev"]),
        (vec![("search[tags]", "env")], vec!["app-dev", "app-prod", "my~app"]),
        (vec![("search[tags]", "env,app")], vec!["app-dev", "app-prod"]),
        (vec![("search[exclude-tags]", "app")], vec!["my~app", "net"]),
        (vec![("search[exclude-tags]", "app,team")], vec!["net"]),
        (vec![("search[exclude-tags]", "nobody")], everything.clone()),
        (vec![("search[tags]", "env"), ("search[exclude-tags]", "team")], vec!["app-dev", "app-prod"]),
        (vec![("search[tags]", "env"), ("search[exclude-tags]", "env")], vec![]),
        (vec![("filter[tagged][0][key]", "env")], vec!["app-dev", "app-prod", "my~app"]),
        (
            vec![("filter[tagged][0][key]", "env"), ("filter[tagged][0][value]", "")],
            vec!["app-dev", "app-prod", "my~app"],
        ),
        (
            vec![("filter[tagged][0][key]", "env"), ("filter[tagged][0][value]", "prod")],
            vec!["app-prod", "my~app"],
        ),
        (vec![("filter[tagged][0][key]", "env"), ("filter[tagged][0][value]", "PROD")], vec![]),
        (vec![("filter[tagged][0][value]", "prod")], everything.clone()),
        (
            vec![
                ("filter[tagged][7][value]", "prod"),
                ("filter[tagged][1][key]", "team"),
                ("filter[tagged][7][key]", "env"),
            ],
            vec!["my~app"],
        ),
        (
            vec![
                ("filter[tagged][0][key]", "env"),
                ("filter[tagged][0][value]", "prod"),
                ("search[name]", "app-"),
            ],
            vec!["app-prod"],
        ),
        (vec![("search[unknown]", "x"), ("filter[agent-pool][id]", "x"), ("include", "x")], everything),
    ] {
        let list = world.ask(ALL, &query).await;
        assert_eq!(
            (names(&list), total(&list)),
            (found.iter().map(ToString::to_string).collect(), found.len() as u64),
            "{query:?}"
        );
    }
}

#[tokio::test]
async fn a_list_is_in_order_of_names_either_way() {
    let world = four().await;
    let (up, down) = (["app-dev", "app-prod", "my~app", "net"], ["net", "my~app", "app-prod", "app-dev"]);
    for sort in ["", "name", "current-run.created-at", "-current-run.created-at"] {
        assert_eq!(names(&world.ask(ALL, &[("sort", sort)]).await), up, "{sort}");
    }
    assert_eq!(names(&world.ask(ALL, &[("sort", "-name")]).await), down);
    for sort in ["names", "NAME", "--name", "name,-name", "id", "\u{0}", "../x"] {
        let detail = refused(&world.ask(ALL, &[("sort", sort)]).await, 422);
        assert!(detail.contains("sort") && detail.contains("-name"), "{detail}");
    }
}

#[tokio::test]
async fn pages_are_those_of_what_was_searched_for() {
    let world = World::new().await;
    for n in 0..12 {
        tagged(&world, &format!("w{n:02}"), &[("even", if n % 2 == 0 { "yes" } else { "no" })]).await;
    }
    let mut seen = Vec::new();
    for page in ["1", "2"] {
        let query = [
            ("filter[tagged][0][key]", "even"),
            ("filter[tagged][0][value]", "yes"),
            ("sort", "-name"),
            ("page[size]", "4"),
            ("page[number]", page),
        ];
        let list = world.ask(ALL, &query).await;
        let meta = &list.json()["meta"]["pagination"];
        assert_eq!((&meta["total-count"], &meta["total-pages"]), (&json!(6), &json!(2)));
        seen.extend(names(&list));
    }
    assert_eq!(seen, ["w10", "w08", "w06", "w04", "w02", "w00"]);
}

#[tokio::test]
async fn three_hundred_and_forty_five_workspaces_are_all_found_by_walking_the_pages() {
    let world = World::new().await;
    let indices: Vec<u32> = (0..345).collect();
    for some in indices.chunks(15) {
        futures_util::future::join_all(some.iter().map(|n| {
            let world = &world;
            async move { world.workspace(&format!("w{n:03}")).await }
        }))
        .await;
    }
    for size in [20, 100] {
        let (mut seen, mut page) = (Vec::new(), json!(1));
        while !page.is_null() {
            let (size, number) = (size.to_string(), page.to_string());
            let list =
                world.ask(ALL, &[("page[size]", size.as_str()), ("page[number]", number.as_str())]).await;
            assert_eq!(total(&list), 345);
            seen.extend(names(&list));
            page = list.json()["meta"]["pagination"]["next-page"].clone();
        }
        assert_eq!(seen, (0..345).map(|n| format!("w{n:03}")).collect::<Vec<_>>(), "{size} a page");
    }
}

fn bound(reply: &Reply) -> Vec<(String, String)> {
    let pair = |item: &Value| (text(&item["attributes"]["key"]), text(&item["attributes"]["value"]));
    reply.json()["data"].as_array().unwrap().iter().map(pair).collect()
}

#[tokio::test]
async fn tags_written_one_way_are_found_and_shown_the_other_way() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    let at = format!("/workspaces/{id}");
    let plain = json!({"data": [{"type": "tags", "attributes": {"name": "app"}}, {"type": "tags", "attributes": {"name": "env:prod"}}]});
    world.alice.post(&format!("{at}/relationships/tags"), plain).await.expect(StatusCode::NO_CONTENT);
    let valued = json!({"data": [{"type": "tag-bindings", "attributes": {"key": "team", "value": "a b"}}]});
    world.patch(&format!("{at}/tag-bindings"), valued).await.expect(StatusCode::OK);
    let expected =
        [("app", ""), ("env:prod", ""), ("team", "a b")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    for tail in ["tag-bindings", "effective-tag-bindings"] {
        let list = world.alice.get(&format!("{at}/{tail}")).await.expect(StatusCode::OK);
        assert_eq!(bound(&list), expected);
        assert_eq!(list.json()["data"][0]["type"], tail);
        assert_eq!(total(&list), 3);
    }
    assert_eq!(
        names(&world.alice.get(&format!("{at}/relationships/tags")).await),
        ["app", "env:prod", "team"]
    );
    let shown = world.alice.get(&at).await.json();
    assert_eq!(shown["data"]["attributes"]["tag-names"], json!(["app", "env:prod", "team"]));
    for query in [
        vec![("search[tags]", "app,env:prod,team")],
        vec![("filter[tagged][0][key]", "app")],
        vec![("filter[tagged][0][key]", "team"), ("filter[tagged][0][value]", "a b")],
    ] {
        assert_eq!(names(&world.ask(ALL, &query).await), ["web"], "{query:?}");
    }
    // A name that is added again does not take the value away; a removal takes both.
    let again = json!({"data": [{"type": "tags", "attributes": {"name": "team"}}]});
    world.alice.post(&format!("{at}/relationships/tags"), again.clone()).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(bound(&world.alice.get(&format!("{at}/tag-bindings")).await), expected);
    let gone = world.alice.call(Method::DELETE, &format!("{at}/relationships/tags"), Some(again)).await;
    gone.expect(StatusCode::NO_CONTENT);
    assert_eq!(bound(&world.alice.get(&format!("{at}/effective-tag-bindings")).await), expected[..2]);
    assert_eq!(names(&world.ask(ALL, &[("search[exclude-tags]", "team")]).await), ["web"]);
}

#[tokio::test]
async fn effective_bindings_of_what_does_not_exist_are_not_found() {
    let world = World::new().await;
    for id in ["x", "ws-", "ws-01ARZ3NDEKTSV4RRFFQ69G5FAV", "%00"] {
        refused(&world.alice.get(&format!("/workspaces/{id}/effective-tag-bindings")).await, 404);
    }
    let bare = world.workspace("bare").await;
    let list = world.alice.get(&format!("/workspaces/{bare}/effective-tag-bindings")).await;
    assert_eq!(list.expect(StatusCode::OK).json()["data"], json!([]));
}
