//! Tags in their two forms, and the search that wants all of them.

use opentaco_tests::client::Reply;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, names, refused, text};

const ALL: &str = "/organizations/default/workspaces";

async fn with_tags(world: &World, name: &str, tags: &[&str]) -> String {
    let tags: Vec<Value> =
        tags.iter().map(|tag| json!({"type": "tags", "attributes": {"name": tag}})).collect();
    let body = json!({"data": {
        "type": "workspaces", "attributes": {"name": name}, "relationships": {"tags": {"data": tags}},
    }});
    world.alice.post(ALL, body).await.expect(StatusCode::CREATED).id()
}

fn bindings(reply: &Reply) -> Vec<(String, String)> {
    let pair = |item: &Value| (text(&item["attributes"]["key"]), text(&item["attributes"]["value"]));
    reply.json()["data"].as_array().unwrap().iter().map(pair).collect()
}

#[tokio::test]
async fn a_search_finds_what_has_all_the_tags() {
    let world = World::new().await;
    with_tags(&world, "both", &["app", "net"]).await;
    with_tags(&world, "one", &["app"]).await;
    with_tags(&world, "none", &[]).await;
    for (query, found) in [
        ("app", vec!["both", "one"]),
        ("app%2Cnet", vec!["both"]),
        ("net,app", vec!["both"]),
        ("app,nobody", vec![]),
        ("APP", vec![]),
        ("", vec!["both", "none", "one"]),
    ] {
        let reply = world.alice.get(&format!("{ALL}?search%5Btags%5D={query}")).await.expect(StatusCode::OK);
        let mut names = names(&reply);
        names.sort();
        assert_eq!(names, found, "{query}");
        assert_eq!(reply.json()["meta"]["pagination"]["total-count"], found.len());
    }
}

#[tokio::test]
async fn a_search_for_a_bound_value_finds_that_value_alone() {
    let world = World::new().await;
    for (name, value) in [("prod-web", "prod"), ("dev-web", "dev")] {
        let body = json!({"data": {
            "type": "workspaces", "attributes": {"name": name},
            "relationships": {"tag-bindings": {"data": [
                {"type": "tag-bindings", "attributes": {"key": "env", "value": value}},
            ]}},
        }});
        world.alice.post(ALL, body).await.expect(StatusCode::CREATED);
    }
    // What Terraform sends for `tags = { env = "prod" }`.
    let query = "search%5Btags%5D=env&filter%5Btagged%5D%5B0%5D%5Bkey%5D=env\
                 &filter%5Btagged%5D%5B0%5D%5Bvalue%5D=prod&TagBindings=%7B+env+prod%7D";
    let reply = world.alice.get(&format!("{ALL}?{query}")).await.expect(StatusCode::OK);
    assert_eq!(names(&reply), ["prod-web"]);
}

#[tokio::test]
async fn bindings_and_names_are_two_views_of_the_same_tags() {
    let world = World::new().await;
    let id = with_tags(&world, "web", &["app"]).await;
    let at = format!("/workspaces/{id}/tag-bindings");
    let sent = json!({"data": [{"type": "tag-bindings", "attributes": {"key": "env", "value": "prod"}}]});
    let shown = world.alice.call(Method::PATCH, &at, Some(sent)).await.expect(StatusCode::OK);
    let both = vec![("app".to_owned(), String::new()), ("env".to_owned(), "prod".to_owned())];
    assert_eq!(bindings(&shown), both);
    assert_eq!(bindings(&world.alice.get(&at).await), both);
    let shown = world.alice.get(&format!("/workspaces/{id}")).await.json();
    assert_eq!(shown["data"]["attributes"]["tag-names"], json!(["app", "env"]));
    let found = world.alice.get(&format!("{ALL}?search%5Btags%5D=app,env")).await;
    assert_eq!(names(&found), ["web"], "keys with values are found too");

    let plain = format!("/workspaces/{id}/relationships/tags");
    let sent = json!({"data": [{"type": "tags", "attributes": {"name": "net"}}]});
    world.alice.post(&plain, sent).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(names(&world.alice.get(&plain).await), ["app", "env", "net"]);
    let gone =
        json!({"data": [{"type": "tags", "attributes": {"name": "app"}}, {"type": "tags", "id": "net"}]});
    world.alice.call(Method::DELETE, &plain, Some(gone)).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(names(&world.alice.get(&plain).await), ["env"]);
}

#[tokio::test]
async fn bad_tags_are_refused_and_change_nothing() {
    let world = World::new().await;
    let id = with_tags(&world, "web", &["app"]).await;
    let before = world.picture(&id).await;
    let many: Vec<Value> = (0..101).map(|n| json!({"attributes": {"key": format!("k{n}")}})).collect();
    let bound = format!("/workspaces/{id}/tag-bindings");
    for data in [
        json!("x"),
        json!({"a": 1}),
        json!([7]),
        json!([{}]),
        json!([{"attributes": {"key": 7}}]),
        json!([{"attributes": {"key": ""}}]),
        json!([{"attributes": {"key": "a,b"}}]),
        json!([{"attributes": {"key": "<b>"}}]),
        json!([{"attributes": {"key": "x".repeat(129)}}]),
        json!([{"attributes": {"key": "ok", "value": "x".repeat(257)}}]),
        json!([{"attributes": {"key": "ok", "value": []}}]),
        json!([{"attributes": {"key": "good"}}, {"attributes": {"key": " "}}]),
        json!(many),
    ] {
        for method in [Method::PATCH, Method::PUT, Method::POST] {
            let reply = world.alice.call(method, &bound, Some(json!({"data": data.clone()}))).await;
            assert_eq!(reply.status, 422, "{data:.80}: {}", reply.text());
            refused(&reply, 422);
        }
    }
    let plain = format!("/workspaces/{id}/relationships/tags");
    for data in [json!("x"), json!([7]), json!([{}]), json!([{"attributes": {"name": "a\nb"}}])] {
        refused(&world.alice.post(&plain, json!({"data": data})).await, 422);
    }
    for path in [&bound, &plain] {
        refused(&world.send(Method::POST, path, "{").await, 400);
        refused(&world.send(Method::POST, path, "[]").await, 400);
    }
    assert_eq!(world.picture(&id).await, before);
}
