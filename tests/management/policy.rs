//! Access control: on or off in one place.

use opentaco_tests::browser::Who;
use opentaco_tests::client::{Api, login};
use opentaco_tests::server::{Options, Server, Storage};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::v1::{V1, soon, taco_login};

/// Whether access control is on, and whether the caller is administrator.
async fn standing(caller: &V1) -> (bool, bool) {
    let me = caller.me().await;
    (me["access_control"].as_bool().unwrap(), me["administrator"].as_bool().unwrap())
}

async fn becomes(caller: &V1, expected: (bool, bool)) {
    soon(&format!("{expected:?}"), async || standing(caller).await == expected).await;
}

fn warnings(server: &Server) -> Vec<String> {
    let output = server.output();
    output.lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_first_start_that_names_administrators_switches_it_on() {
    let mut server = Server::start(Options::local().env("OPENTACO_ADMINS", "oidc:alice"));
    let alice = V1::new(&server, &server.admin_token("oidc:alice"));
    let mallory = V1::new(&server, &server.admin_token("oidc:mallory"));
    let owner = V1::new(&server, &login(&server, &Who::owner(&server)).await);
    assert_eq!(standing(&alice).await, (true, true));
    assert_eq!(standing(&mallory).await, (true, false));
    assert_eq!(standing(&owner).await, (true, true), "who sits at the terminal always is");
    assert!(!warnings(&server).iter().any(|line| line.contains("access control is off")));

    server.restart_with("OPENTACO_ADMINS", "oidc:mallory,mallory@example.com");
    let warnings = warnings(&server);
    let warned = warnings.iter().find(|line| line.contains("OPENTACO_ADMINS"));
    let warned = warned.unwrap_or_else(|| panic!("no warning: {warnings:?}"));
    for named in ["oidc:mallory", "mallory@example.com", "admin grant"] {
        assert!(warned.contains(named), "{warned}");
    }
    let [alice, mallory] = [alice.again(&server), mallory.again(&server)];
    assert_eq!(standing(&alice).await, (true, true));
    assert_eq!(standing(&mallory).await, (true, false), "a later start changes nothing");
    assert!(warnings.iter().all(|line| !line.contains("oidc:alice")), "{warnings:?}");
}

#[tokio::test]
async fn a_start_without_administrators_leaves_it_off_and_says_so_every_time() {
    let mut server = Server::start(Options::local());
    for _ in 0..2 {
        let said = warnings(&server);
        assert!(said.iter().any(|line| line.contains("access control is off")), "{said:?}");
        let anybody = V1::new(&server, &server.admin_token("oidc:bob"));
        assert_eq!(standing(&anybody).await, (false, true), "everybody may do everything");
        server.restart();
    }
    // No policy was written yet, so this is still the first start that names somebody.
    server.restart_with("OPENTACO_ADMINS", "oidc:alice");
    let anybody = V1::new(&server, &server.admin_token("oidc:bob"));
    assert_eq!(standing(&anybody).await, (true, false));
}

#[tokio::test]
async fn a_grant_beside_a_running_server_counts_until_it_is_opened_again() {
    let mut server = Server::start(Options::local().dev_login());
    let tokens = [
        login(&server, &Who::dev("alice")).await,
        login(&server, &Who::dev("bob")).await,
        taco_login(&server, &Who::dev("bob")).await.access,
    ];
    let [alice, bob, bobs_session] = tokens.each_ref().map(|token| V1::new(&server, token));
    let api = Api::new(&server, &tokens[1]);
    let id = api.create_workspace("default", "web").await;
    assert_eq!(standing(&bob).await, (false, true));

    let said = server.admin(&["grant", "dev:alice"]);
    assert!(said.contains("dev:alice"), "{said}");
    becomes(&bob, (true, false)).await;
    becomes(&alice, (true, true)).await;
    becomes(&bobs_session, (true, false)).await;
    let list = api.get("/organizations/default/workspaces").await.expect(StatusCode::OK).json();
    assert_eq!((&list["data"], &list["meta"]["pagination"]["total-count"]), (&json!([]), &json!(0)));
    let path = format!("/workspaces/{id}");
    api.get(&path).await.expect_error(StatusCode::NOT_FOUND);
    api.get("/organizations/default/workspaces/web").await.expect_error(StatusCode::NOT_FOUND);
    api.lock(&id).await.expect_error(StatusCode::NOT_FOUND);
    api.call(Method::DELETE, &path, None).await.expect_error(StatusCode::NOT_FOUND);
    let body = |name: &str| json!({"data": {"type": "x", "attributes": {"name": name}}});
    let made = api.post("/organizations/default/workspaces", body("mine")).await;
    let error = made.expect_error(StatusCode::FORBIDDEN);
    assert!(error.to_string().contains("dev:bob"), "who lacks what: {error}");
    api.post("/organizations", body("acme")).await.expect_error(StatusCode::FORBIDDEN);
    let alices = Api::new(&server, &tokens[0]);
    alices.get(&path).await.expect(StatusCode::OK);

    // Still known by name, with tokens of their own that are worth as little.
    let (_, token) = bob.make(json!({"name": "more", "role": "admin"})).await;
    Api::new(&server, &token).get(&path).await.expect_error(StatusCode::NOT_FOUND);
    server.restart();
    let [alice, bob, bobs_session] = tokens.each_ref().map(|token| V1::new(&server, token));
    assert_eq!(standing(&bob).await, (true, false), "a restart keeps it");
    assert_eq!(standing(&alice).await, (true, true));

    server.admin(&["open"]);
    becomes(&bob, (false, true)).await;
    becomes(&bobs_session, (false, true)).await;
    Api::new(&server, &tokens[1]).get(&path).await.expect(StatusCode::OK);
    server.restart();
    let [alice, bob] = [alice.again(&server), bob.again(&server)];
    assert_eq!(standing(&bob).await, (false, true));
    // Nobody is forgotten when it is switched on again.
    server.admin(&["grant", "dev:carol"]);
    becomes(&bob, (true, false)).await;
    becomes(&alice, (true, true)).await;
}

#[tokio::test]
async fn an_upload_is_judged_by_the_policy_of_its_commit() {
    let server = Server::start(Options::local().dev_login());
    let api = Api::new(&server, &login(&server, &Who::dev("bob")).await);
    let bob = V1::new(&server, &login(&server, &Who::dev("bob")).await);
    let id = api.create_workspace("default", "web").await;
    let bytes = opentaco_tests::client::state(1, "l", 0, &json!({}));
    api.lock(&id).await.expect(StatusCode::OK);
    let proposal = api.propose(&id, &bytes).await.expect(StatusCode::CREATED);
    server.admin(&["grant", "dev:alice"]);
    becomes(&bob, (true, false)).await;
    let uploaded = api.upload(&proposal, &bytes).await;
    assert!([403, 404].contains(&uploaded.status.as_u16()), "{}", uploaded.text());
    let alice = Api::new(&server, &login(&server, &Who::dev("alice")).await);
    alice.current(&id).await.expect_error(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn servers_on_one_bucket_share_one_policy() {
    if !Storage::S3.is_there() {
        return;
    }
    let here = Server::start(Options::s3().env("OPENTACO_ADMINS", "oidc:alice"));
    let there = here.second();
    let token = here.admin_token("oidc:bob");
    let bob = [V1::new(&here, &token), V1::new(&there, &token)];
    for bob in &bob {
        assert_eq!(standing(bob).await, (true, false));
    }
    there.admin(&["grant", "oidc:bob"]);
    for bob in &bob {
        becomes(bob, (true, true)).await;
    }
    here.admin(&["open"]);
    let other = [V1::new(&here, &here.admin_token("oidc:x")), V1::new(&there, &here.admin_token("oidc:x"))];
    for other in &other {
        becomes(other, (false, true)).await;
    }
}

#[tokio::test]
async fn nobody_becomes_administrator_by_a_name_that_looks_like_an_address() {
    let options = Options::local().env("OPENTACO_ADMINS", "alice@example.com").dev_login();
    let server = Server::start(options);
    let pretender = login(&server, &Who::dev("alice@example.com")).await;
    assert_eq!(standing(&V1::new(&server, &pretender)).await, (true, false));
    let by_subject = V1::new(&server, &server.admin_token("oidc:alice@example.com"));
    assert_eq!(standing(&by_subject).await, (true, false));
    let me: Value = by_subject.me().await;
    assert_eq!((&me["email"], &me["email_verified"]), (&Value::Null, &json!(false)));
}
