//! Projects: one that is always there, others by name, and none that vanishes under its workspaces.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, asked, names, of, refused, text, total};

const ALL: &str = "/organizations/default/projects";
const WORKSPACES: &str = "/organizations/default/workspaces";
const DEFAULT: &str = "prj-default-00000000000000000000000000";

fn inside(name: &str, project: &str) -> Value {
    let related = json!({"project": {"data": {"type": "projects", "id": project}}});
    json!({"data": {"type": "workspaces", "attributes": {"name": name}, "relationships": related}})
}

fn into(project: &str) -> Value {
    let related = json!({"project": {"data": {"type": "projects", "id": project}}});
    json!({"data": {"type": "workspaces", "relationships": related}})
}

async fn project_of(world: &World, workspace: &str) -> String {
    let shown = world.alice.get(&format!("/workspaces/{workspace}")).await.expect(StatusCode::OK).json();
    text(&shown["data"]["relationships"]["project"]["data"]["id"])
}

async fn listed_in(world: &World, project: &str) -> Vec<String> {
    names(&world.ask(WORKSPACES, &[("filter[project][id]", project)]).await)
}

#[tokio::test]
async fn the_default_project_is_listed_before_anybody_used_the_organization() {
    let world = World::new().await;
    for organization in ["default", "never-used"] {
        let path = format!("/organizations/{organization}/projects");
        for query in [&[][..], &[("filter[names]", "Default Project")]] {
            let list = world.ask(&path, query).await;
            assert_eq!(names(&list), ["Default Project"], "{organization}");
            assert_eq!(list.json()["data"][0]["id"], format!("prj-{organization}-{}", "0".repeat(26)));
        }
    }
    let shown = world.alice.get("/organizations/default").await.json();
    assert_eq!(shown["data"]["relationships"]["default-project"]["data"]["id"], DEFAULT);
}

#[tokio::test]
async fn a_project_lives_from_create_to_delete() {
    let world = World::new().await;
    let sent = of("projects", json!({"name": "Team A", "description": "ours", "new": 1}));
    let made = world.alice.post(ALL, sent).await.expect(StatusCode::CREATED);
    let at = format!("/projects/{}", made.id());
    assert_eq!(world.alice.get(&at).await.expect(StatusCode::OK).json(), made.json());
    let data = &made.json()["data"];
    assert_eq!(data["type"], "projects");
    assert_eq!(data["relationships"]["organization"]["data"]["id"], "default");
    assert!(data["attributes"]["permissions"].is_object() && data["attributes"]["created-at"].is_string());
    for (change, name, description) in [
        (json!({"name": "Team B"}), "Team B", "ours"),
        (json!({"description": "theirs"}), "Team B", "theirs"),
        (json!({"name": "Team B"}), "Team B", "theirs"),
        (json!({}), "Team B", "theirs"),
        (json!({"name": "Team A", "description": ""}), "Team A", ""),
    ] {
        let shown = world.patch(&at, of("projects", change)).await.expect(StatusCode::OK).json();
        assert_eq!(shown["data"]["id"], made.id());
        assert_eq!(shown["data"]["attributes"]["name"], name);
        assert_eq!(shown["data"]["attributes"]["description"], description);
        assert_eq!(world.alice.get(&at).await.json(), shown);
    }
    assert_eq!(names(&world.alice.get(ALL).await), ["Default Project", "Team A"]);
    world.delete(&at).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(names(&world.alice.get(ALL).await), ["Default Project"]);
    assert_ne!(world.project("default", "Team A").await, made.id(), "a new one is another one");
}

#[tokio::test]
async fn a_project_name_outside_the_rule_is_refused_with_the_rule() {
    let world = World::new().await;
    let id = world.project("default", "Team A").await;
    let before = world.alice.get(ALL).await.json();
    let long = "x".repeat(41);
    let bad =
        ["", "ab", "  ", " abc", "abc ", "a/b/c", "a.b.c", "a,b,c", "größe", "a\u{0}bc", "a\nbc", "\tabc"];
    for name in bad.into_iter().chain(["../../x", "<abc>", "abc*", "\u{202e}abc", "a\u{a0}bc", &long]) {
        for reply in [
            world.alice.post(ALL, of("projects", json!({"name": name}))).await,
            world.patch(&format!("/projects/{id}"), of("projects", json!({"name": name}))).await,
        ] {
            assert_eq!(reply.status, 422, "{name:?}: {}", reply.text());
            let detail = refused(&reply, 422);
            assert!(detail.contains("3 to 40"), "{name:?}: {detail}");
        }
    }
    assert_eq!(world.alice.get(ALL).await.json(), before);
    for name in ["abc", "123", "a b", "a-b_c", "---", &"x".repeat(40)] {
        world.project("default", name).await;
    }
}

#[tokio::test]
async fn a_malformed_project_is_refused_and_changes_nothing() {
    let world = World::new().await;
    let at = format!("/projects/{}", world.project("default", "Team A").await);
    let before = world.alice.get(ALL).await.json();
    for body in ["{", "[]", "7", "\u{0}", "{\"data\":"] {
        refused(&world.send(Method::POST, ALL, body).await, 400);
        refused(&world.send(Method::PATCH, &at, body).await, 400);
    }
    for body in [json!({"data": []}), json!({"data": 7}), json!({"data": {"attributes": "x"}})] {
        refused(&world.alice.post(ALL, body.clone()).await, 422);
        refused(&world.patch(&at, body).await, 422);
    }
    for attributes in [
        json!({"name": 7}),
        json!({"name": ["Team B"]}),
        json!({"name": "Team B", "description": 7}),
        json!({"name": "Team B", "description": "x".repeat(257)}),
    ] {
        refused(&world.alice.post(ALL, of("projects", attributes.clone())).await, 422);
        refused(&world.patch(&at, of("projects", attributes)).await, 422);
    }
    for nameless in [json!({}), of("projects", json!({})), of("projects", json!({"name": null}))] {
        assert!(refused(&world.alice.post(ALL, nameless).await, 422).contains("name"));
    }
    assert_eq!(world.alice.get(ALL).await.json(), before);
}

#[tokio::test]
async fn a_project_name_is_taken_once_in_an_organization() {
    let world = World::new().await;
    world.project("default", "Team A").await;
    let other = world.project("default", "team a").await;
    let before = world.alice.get(ALL).await.json();
    for name in ["Team A", "Default Project"] {
        let sent = of("projects", json!({"name": name, "description": "mine now"}));
        for reply in [
            world.alice.post(ALL, sent.clone()).await,
            world.patch(&format!("/projects/{other}"), sent.clone()).await,
        ] {
            let detail = refused(&reply, 422);
            assert!(detail.contains(name) && detail.contains("already exists"), "{detail}");
        }
    }
    let default =
        world.patch(&format!("/projects/{DEFAULT}"), of("projects", json!({"name": "Team A"}))).await;
    refused(&default, 422);
    assert_eq!(world.alice.get(ALL).await.json(), before);
    world.project("elsewhere", "Team A").await;
}

#[tokio::test]
async fn a_filter_finds_whole_names_and_a_query_finds_parts() {
    let world = World::new().await;
    for name in ["Team A", "Team AB", "Net-1", "Net_2"] {
        world.project("default", name).await;
    }
    for (filter, found) in [
        ("Team A", vec!["Team A"]),
        ("Team", vec![]),
        ("team a", vec![]),
        ("Net_2,Team A", vec!["Net_2", "Team A"]),
        ("Team A, Nobody ,Net-1", vec!["Net-1", "Team A"]),
        ("Default Project", vec!["Default Project"]),
        ("*", vec![]),
        ("%", vec![]),
        (",", vec!["Default Project", "Net-1", "Net_2", "Team A", "Team AB"]),
    ] {
        let list = world.ask(ALL, &[("filter[names]", filter)]).await;
        assert_eq!(
            (names(&list), total(&list)),
            (found.iter().map(ToString::to_string).collect(), found.len() as u64)
        );
    }
    // Both ways of writing a space, and brackets as they are.
    for query in ["filter%5Bnames%5D=Team+A", "filter%5Bnames%5D=Team%20A", "filter[names]=Team%20A"] {
        assert_eq!(names(&world.alice.get(&format!("{ALL}?{query}")).await), ["Team A"], "{query}");
    }
    for (part, found) in [("team", vec!["Team A", "Team AB"]), ("AB", vec!["Team AB"]), ("zzz", vec![])] {
        assert_eq!(names(&world.ask(ALL, &[("q", part)]).await), found, "{part}");
    }
}

#[tokio::test]
async fn pages_of_projects_miss_none_and_repeat_none() {
    let world = World::new().await;
    for n in 0..24 {
        world.project("default", &format!("team {n:02}")).await;
    }
    let mut seen = Vec::new();
    for page in ["1", "2", "3", "4"] {
        let list = world.ask(ALL, &[("page[size]", "10"), ("page[number]", page)]).await;
        assert_eq!((total(&list), list.json()["meta"]["pagination"]["total-pages"].clone()), (25, json!(3)));
        seen.extend(names(&list));
    }
    let expected: Vec<String> = std::iter::once("Default Project".to_owned())
        .chain((0..24).map(|n| format!("team {n:02}")))
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(names(&world.alice.get(ALL).await).len(), 20, "20 a page unless asked");
}

#[tokio::test]
async fn what_is_no_project_is_not_found_by_any_method() {
    let world = World::new().await;
    let gone = world.project("default", "Team A").await;
    world.delete(&format!("/projects/{gone}")).await.expect(StatusCode::NO_CONTENT);
    let id = world.workspace("web").await;
    let before = world.picture(&id).await;
    let elsewhere = gone.replace("default", "elsewhere");
    let (lower, upper) = (DEFAULT.to_lowercase().replace('0', "o"), DEFAULT.replace("default", "DEFAULT"));
    let unknown =
        ["prj-", "prj", "x", "prj-default-", "prj--", "%00", "prj-%ff", "..%2f..%2fkeys", "%20", "ws-1"];
    for project in unknown.into_iter().chain([&*gone, &*elsewhere, &*lower, &*upper, &*id]) {
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            let reply = world.send(method.clone(), &format!("/projects/{project}"), "{}").await;
            assert_eq!(reply.status, 404, "{method} {project}: {}", reply.text());
            refused(&reply, 404);
        }
    }
    for project in ["prj-", "x", "", "\u{0}", &gone, &elsewhere, &upper] {
        refused(&world.alice.post(WORKSPACES, inside("new", project)).await, 404);
        refused(&world.patch(&format!("/workspaces/{id}"), into(project)).await, 404);
    }
    for malformed in [json!({"id": 7}), json!({}), json!("x"), json!([])] {
        let body = json!({"data": {"attributes": {"name": "new"}, "relationships": {"project": {"data": malformed}}}});
        refused(&world.alice.post(WORKSPACES, body.clone()).await, 422);
        refused(&world.patch(&format!("/workspaces/{id}"), body).await, 422);
    }
    assert_eq!(world.picture(&id).await, before);
    assert_eq!(names(&world.alice.get(WORKSPACES).await), ["web"], "nothing was made");
}

#[tokio::test]
async fn a_project_with_a_workspace_in_it_is_not_deleted() {
    let world = World::new().await;
    let project = world.project("default", "Team A").await;
    let at = format!("/projects/{project}");
    let moved = world.alice.post(WORKSPACES, inside("web", &project)).await.expect(StatusCode::CREATED).id();
    let removed =
        world.alice.post(WORKSPACES, inside("app", &project)).await.expect(StatusCode::CREATED).id();
    let before = world.alice.get(ALL).await.json();
    let detail = refused(&world.delete(&at).await, 409);
    assert!(detail.contains('2') && detail.contains("move or delete"), "{detail}");
    world.patch(&format!("/workspaces/{moved}"), into(DEFAULT)).await.expect(StatusCode::OK);
    refused(&world.delete(&at).await, 409);
    assert_eq!(world.alice.get(ALL).await.json(), before);
    world.delete(&format!("/workspaces/{removed}")).await.expect(StatusCode::NO_CONTENT);
    world.delete(&at).await.expect(StatusCode::NO_CONTENT);
    refused(&world.delete(&at).await, 404);
    assert_eq!(project_of(&world, &moved).await, DEFAULT);
}

#[tokio::test]
async fn the_default_project_can_be_renamed_and_never_deleted() {
    let world = World::new().await;
    let at = format!("/projects/{DEFAULT}");
    let id = world.workspace("web").await;
    refused(&world.delete(&at).await, 409);
    world.patch(&at, of("projects", json!({"name": "Everything"}))).await.expect(StatusCode::OK);
    assert_eq!(names(&world.alice.get(ALL).await), ["Everything"]);
    assert_eq!(project_of(&world, &id).await, DEFAULT);
    world.project("default", "Default Project").await;
    world.delete(&format!("/workspaces/{id}")).await.expect(StatusCode::NO_CONTENT);
    refused(&world.delete(&at).await, 409);
    assert_eq!(listed_in(&world, DEFAULT).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_workspace_is_made_in_a_project_moved_and_listed_there() {
    let world = World::new().await;
    let (a, b) = (world.project("default", "Team A").await, world.project("default", "Team B").await);
    let foreign = world.project("elsewhere", "Team A").await;
    let web = world.alice.post(WORKSPACES, inside("web", &a)).await.expect(StatusCode::CREATED).id();
    let bare = world.workspace("bare").await;
    assert_eq!(
        (project_of(&world, &web).await, project_of(&world, &bare).await),
        (a.clone(), DEFAULT.to_owned())
    );
    for (project, found) in [(&*a, vec!["web"]), (&*b, vec![]), (DEFAULT, vec!["bare"]), (&*foreign, vec![])]
    {
        assert_eq!(listed_in(&world, project).await, found, "{project}");
    }
    for (method, path) in
        [(Method::POST, WORKSPACES.to_owned()), (Method::PATCH, format!("/workspaces/{web}"))]
    {
        refused(&world.alice.call(method, &path, Some(inside("new", &foreign))).await, 404);
    }
    world.patch(&format!("/workspaces/{web}"), into(&b)).await.expect(StatusCode::OK);
    world.patch(&format!("{WORKSPACES}/bare"), into(&a)).await.expect(StatusCode::OK);
    assert_eq!(listed_in(&world, &a).await, ["bare"]);
    assert_eq!(listed_in(&world, &b).await, ["web"]);
    // Other changes leave it where it is, and so does a project of null.
    world.change(&web, json!({"description": "ours"})).await.expect(StatusCode::OK);
    let null = json!({"data": {"relationships": {"project": {"data": null}}}});
    world.patch(&format!("/workspaces/{web}"), null).await.expect(StatusCode::OK);
    assert_eq!(project_of(&world, &web).await, b);
    for malformed in ["x", "prj-", "prj-DEFAULT-1"] {
        let reply = world.alice.get(&asked(WORKSPACES, &[("filter[project][id]", malformed)])).await;
        assert!(refused(&reply, 422).contains("filter[project][id]"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_make_one_project_one_does() {
    let world = World::new().await;
    let sent = of("projects", json!({"name": "Team A"}));
    let replies = join_all((0..10).map(|_| world.alice.post(ALL, sent.clone()))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == StatusCode::CREATED).count(), 1);
    replies
        .iter()
        .filter(|reply| reply.status != StatusCode::CREATED)
        .for_each(|reply| drop(refused(reply, 422)));
    assert_eq!(names(&world.alice.get(ALL).await), ["Default Project", "Team A"]);
    let all = join_all((0..10).map(|n| {
        let sent = of("projects", json!({"name": format!("team {n}")}));
        world.alice.post(ALL, sent)
    }));
    for reply in all.await {
        reply.expect(StatusCode::CREATED);
    }
    assert_eq!(total(&world.alice.get(ALL).await), 12, "none is lost");
}
