//! Workspaces that may read another one's state: named, listed, and gone when they are deleted.

use futures_util::future::join_all;
use opentaco_tests::client::Reply;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, names, refused, total};

fn path(workspace: &str) -> String {
    format!("/workspaces/{workspace}/relationships/remote-state-consumers")
}

async fn send(world: &World, method: Method, workspace: &str, ids: &[&str]) -> Reply {
    let items: Vec<Value> = ids.iter().map(|id| json!({"type": "workspaces", "id": id})).collect();
    world.alice.call(method, &path(workspace), Some(json!({"data": items}))).await
}

async fn consumers(world: &World, workspace: &str) -> Vec<String> {
    let list = world.alice.get(&path(workspace)).await;
    let mut names = names(&list);
    assert_eq!(names.len() as u64, total(&list));
    names.sort();
    names
}

#[tokio::test]
async fn consumers_are_added_replaced_and_removed() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    let (a, b, c) =
        (world.workspace("aaa").await, world.workspace("bbb").await, world.workspace("ccc").await);
    assert_eq!(consumers(&world, &id).await, Vec::<String>::new());
    for (method, sent, left) in [
        (Method::POST, vec![&*a, &*b], vec!["aaa", "bbb"]),
        (Method::POST, vec![&*b, &*c, &*c], vec!["aaa", "bbb", "ccc"]),
        (Method::POST, vec![], vec!["aaa", "bbb", "ccc"]),
        (Method::DELETE, vec![&*b], vec!["aaa", "ccc"]),
        (Method::DELETE, vec![&*b], vec!["aaa", "ccc"]),
        (Method::PATCH, vec![&*b, &*id], vec!["bbb", "web"]),
        (Method::PATCH, vec![], vec![]),
    ] {
        send(&world, method.clone(), &id, &sent).await.expect(StatusCode::NO_CONTENT);
        assert_eq!(consumers(&world, &id).await, left, "{method} {sent:?}");
    }
    assert_eq!(consumers(&world, &a).await, Vec::<String>::new(), "it goes one way");
}

#[tokio::test]
async fn unknown_malformed_and_foreign_consumers_are_refused_and_change_nothing() {
    let world = World::new().await;
    let id = world.locked("web").await;
    let good = world.workspace("good").await;
    send(&world, Method::POST, &id, &[&good]).await.expect(StatusCode::NO_CONTENT);
    let fine = world.workspace("fine").await;
    let gone = world.workspace("gone").await;
    world.delete(&format!("/workspaces/{gone}")).await.expect(StatusCode::NO_CONTENT);
    let foreign = world.alice.create_workspace("elsewhere", "web").await;
    let before = world.picture(&id).await;
    for method in [Method::POST, Method::PATCH] {
        for unknown in [&*gone, &foreign, "ws-01ARZ3NDEKTSV4RRFFQ69G5FAV"] {
            let detail = refused(&send(&world, method.clone(), &id, &[&fine, unknown]).await, 404);
            assert!(detail.contains(unknown), "{detail}");
        }
    }
    for method in [Method::POST, Method::PATCH, Method::DELETE] {
        for malformed in ["", "x", "ws-", "ws-1", "sv-1", "\u{0}", "../x", &good.to_lowercase()] {
            refused(&send(&world, method.clone(), &id, &[&fine, malformed]).await, 422);
        }
        for data in
            [json!("x"), json!({"id": fine}), json!([{}]), json!([fine]), json!([{"id": 7}]), json!([null])]
        {
            let reply = world.alice.call(method.clone(), &path(&id), Some(json!({"data": data}))).await;
            assert_eq!(reply.status, 422, "{method} {data}: {}", reply.text());
            refused(&reply, 422);
        }
        for body in ["{", "[]", "7"] {
            refused(&world.send(method.clone(), &path(&id), body).await, 400);
        }
    }
    assert_eq!(world.picture(&id).await, before);
    assert_eq!(consumers(&world, &id).await, ["good"]);
    for unknown in [&*gone, "x", "ws-01ARZ3NDEKTSV4RRFFQ69G5FAV"] {
        for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
            refused(&world.send(method, &path(unknown), "{}").await, 404);
        }
    }
}

#[tokio::test]
async fn a_deleted_consumer_vanishes_and_a_renamed_one_stays() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    let (a, b) = (world.workspace("aaa").await, world.workspace("bbb").await);
    send(&world, Method::POST, &id, &[&a, &b]).await.expect(StatusCode::NO_CONTENT);
    world.delete(&format!("/workspaces/{a}")).await.expect(StatusCode::NO_CONTENT);
    world.change(&b, json!({"name": "ccc"})).await.expect(StatusCode::OK);
    assert_eq!(consumers(&world, &id).await, ["ccc"]);
    world.workspace("aaa").await;
    assert_eq!(consumers(&world, &id).await, ["ccc"], "a new one of the old name is another one");
    let more = world.workspace("ddd").await;
    send(&world, Method::POST, &id, &[&more]).await.expect(StatusCode::NO_CONTENT);
    send(&world, Method::DELETE, &id, &[&a]).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(consumers(&world, &id).await, ["ccc", "ddd"]);
}

#[tokio::test]
async fn pages_of_consumers_miss_none_and_those_added_at_once_are_all_there() {
    let world = World::new().await;
    let id = world.workspace("web").await;
    let mut others = Vec::new();
    for n in 0..25 {
        others.push(world.workspace(&format!("w{n:02}")).await);
    }
    let all = join_all(others.chunks(5).map(|some| {
        let ids: Vec<&str> = some.iter().map(String::as_str).collect();
        let (world, id) = (&world, &id);
        async move { send(world, Method::POST, id, &ids).await }
    }));
    for reply in all.await {
        reply.expect(StatusCode::NO_CONTENT);
    }
    let mut seen = Vec::new();
    for page in ["1", "2", "3", "4"] {
        let list = world.ask(&path(&id), &[("page[size]", "10"), ("page[number]", page)]).await;
        assert_eq!((total(&list), list.json()["meta"]["pagination"]["total-pages"].clone()), (25, json!(3)));
        seen.extend(names(&list));
    }
    seen.sort();
    assert_eq!(seen, (0..25).map(|n| format!("w{n:02}")).collect::<Vec<_>>());
    assert_eq!(names(&world.alice.get(&path(&id)).await).len(), 20, "20 a page unless asked");
}
