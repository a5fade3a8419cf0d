//! Who of the provider's users may log in, and who of them is administrator.

use std::time::Duration;

use opentaco_tests::browser::Who;
use opentaco_tests::client::Api;
use opentaco_tests::pair::{Pair, everybody};
use opentaco_tests::server::Options;
use opentaco_tests::wait::eventually;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::flow::{me, outcome, works};

/// Longer than a server believes a policy that it has read.
const PATIENCE: Duration = Duration::from_mins(1);

const DOMAINS: &str = "OPENTACO_AUTH_ALLOWED_DOMAINS";
const GROUPS: &str = "OPENTACO_AUTH_ALLOWED_GROUPS";
const ADMINS: &str = "OPENTACO_ADMINS";

async fn start(settings: &[(&str, &str)]) -> Option<Pair> {
    let set = |options: Options, (name, value): &(&str, &str)| options.env(name, value);
    Pair::start(settings.iter().fold(Options::memory(), set)).await
}

/// Demands that somebody gets in, and gives the token.
async fn admitted(pair: &Pair, login: &str) -> String {
    let token = outcome(pair, &Who::known_as(login)).await;
    let token = token.unwrap_or_else(|sentence| panic!("{login} is not let in: {sentence}"));
    assert!(works(&pair.server, &token).await);
    token
}

/// Demands that somebody is turned away, and that the command line says what would help.
async fn turned_away(pair: &Pair, login: &str) {
    let sentence = outcome(pair, &Who::known_as(login)).await;
    let sentence = sentence.err().unwrap_or_else(|| panic!("{login} is let in"));
    for words in ["this account may not log in here", DOMAINS, GROUPS] {
        assert!(sentence.contains(words), "{login}: {words} is not in {sentence}");
    }
}

/// Whether somebody may create workspaces; a refusal must be a proper one.
async fn creates(api: &Api, name: &str) -> bool {
    let body = json!({"data": {"type": "workspaces", "attributes": {"name": name}}});
    let reply = api.post("/organizations/default/workspaces", body).await;
    if reply.status == StatusCode::CREATED {
        return true;
    }
    reply.expect_error(StatusCode::FORBIDDEN);
    false
}

async fn is_administrator(pair: &Pair, token: &str) -> bool {
    let me = me(&pair.server, token).await;
    assert_eq!(me["access_control"], true);
    me["administrator"].as_bool().unwrap()
}

#[tokio::test]
async fn a_verified_address_of_an_allowed_domain_gets_in_in_any_case_and_no_other_domain_does() {
    let Some(mut pair) = start(&[(DOMAINS, "corp.example, Example.COM")]).await else { return };
    pair.provider.bend("shouting", json!({"email": "Shouting@EXAMPLE.Com"}));
    pair.provider.bend("texting", json!({"email_verified": "true"}));
    for login in ["alice", "bob@corp.example", "shouting", "texting"] {
        admitted(&pair, login).await;
    }
    pair.provider.bend("nameless", json!({"email": null}));
    pair.provider.bend("unsaid", json!({"email_verified": null}));
    pair.provider.bend("two-signs", json!({"email": "mallory@evil.test@example.com"}));
    for login in [
        "carol@sub.example.com",
        "dave@evilexample.com",
        "erin@example.com.evil.test",
        "frank@example.co",
        "grace@example.com.",
        "unverified-heidi",
        "nameless",
        "unsaid",
        "two-signs",
    ] {
        turned_away(&pair, login).await;
    }
    // What is not of the right kind may make the whole answer unusable.
    for (login, claims) in [
        ("judy", json!({"email_verified": "yes"})),
        ("mallory", json!({"email_verified": 1})),
        ("niaj", json!({"email": ["niaj@example.com"]})),
    ] {
        pair.provider.bend(login, claims);
        outcome(&pair, &Who::known_as(login)).await.expect_err(login);
    }
}

#[tokio::test]
async fn an_address_that_the_operator_vouches_for_needs_no_word_of_the_provider() {
    let always = ("OPENTACO_AUTH_EMAIL_VERIFIED", "always");
    let Some(mut pair) = start(&[(DOMAINS, "example.com"), always]).await else { return };
    pair.provider.bend("unsaid", json!({"email_verified": null}));
    for login in ["unverified-eve", "unsaid"] {
        let me = me(&pair.server, &admitted(&pair, login).await).await;
        assert_eq!(me["email_verified"], true, "{me}");
    }
    turned_away(&pair, "bob@elsewhere.test").await;
    pair.provider.bend("nameless", json!({"email": null}));
    turned_away(&pair, "nameless").await;
}

#[tokio::test]
async fn one_of_the_allowed_groups_is_enough_and_names_of_groups_are_exact() {
    let Some(mut pair) = start(&[(GROUPS, "night shift,ops")]).await else { return };
    pair.provider.bend("single", json!({"groups": "ops"}));
    pair.provider.bend("spaced", json!({"groups": ["x", "night shift"]}));
    for login in ["admin-ann", "admin-zoe@elsewhere.test", "unverified-but", "single", "spaced"] {
        if login == "unverified-but" {
            pair.provider.bend(login, json!({"groups": ["ops"]}));
        }
        admitted(&pair, login).await;
    }
    for (login, groups) in [
        ("alice", json!(["dev"])),
        ("bob", json!(["OPS"])),
        ("carol", json!(["ops2", "xops", "ops "])),
        ("dave", json!([])),
        ("erin", Value::Null),
        ("frank", json!("ops,dev")),
        ("grace", json!({"ops": true})),
        ("heidi", json!([["ops"], 7])),
    ] {
        pair.provider.bend(login, json!({"groups": groups}));
        turned_away(&pair, login).await;
    }
}

#[tokio::test]
async fn groups_may_have_another_name_at_the_provider() {
    let claim = ("OPENTACO_AUTH_GROUPS_CLAIM", "name");
    let Some(pair) = start(&[(GROUPS, "alice"), claim]).await else { return };
    let me = me(&pair.server, &admitted(&pair, "alice").await).await;
    assert_eq!(me["groups"], json!(["alice"]));
    turned_away(&pair, "bob").await;
}

#[tokio::test]
async fn where_domains_and_groups_are_set_both_must_fit() {
    let Some(pair) = start(&[(DOMAINS, "example.com"), (GROUPS, "ops")]).await else { return };
    admitted(&pair, "admin-ann").await;
    for login in ["alice", "admin-zoe@elsewhere.test", "bob@elsewhere.test", "unverified-eve"] {
        turned_away(&pair, login).await;
    }
}

#[tokio::test]
async fn a_star_lets_in_everybody_whom_the_provider_knows() {
    let Some(mut pair) = start(&[(DOMAINS, "*")]).await else { return };
    pair.provider.bend("nobody", json!({"email": null, "groups": null, "name": null}));
    for login in ["alice", "unverified-bob@elsewhere.test", "nobody"] {
        let api = Api::new(&pair.server, &admitted(&pair, login).await);
        let name = format!("of-{}", login.split('@').next().unwrap());
        assert!(creates(&api, &name).await, "access control is off");
    }
}

#[tokio::test]
async fn who_was_let_in_once_is_turned_away_when_that_no_longer_holds() {
    let Some(mut pair) = start(&[(GROUPS, "dev")]).await else { return };
    admitted(&pair, "alice").await;
    pair.provider.bend("alice", json!({"groups": ["sales"]}));
    turned_away(&pair, "alice").await;
}

#[tokio::test]
async fn administrators_may_everything_and_others_log_in_and_see_nothing() {
    let settings = [(ADMINS, "Boss@Corp.Example,oidc:deputy"), (DOMAINS, "example.com")];
    let Some(mut pair) = start(&settings).await else { return };
    // Neither has an address of the allowed domain.
    pair.provider.bend("deputy", json!({"email": null}));
    let mut workspaces = Vec::new();
    for login in ["boss@corp.example", "deputy"] {
        let token = admitted(&pair, login).await;
        assert!(is_administrator(&pair, &token).await, "{login}");
        let api = Api::new(&pair.server, &token);
        let workspace = api.create_workspace("default", &format!("of-{}", &login[..4])).await;
        api.lock(&workspace).await.expect(StatusCode::OK);
        workspaces.push(workspace);
        for workspace in &workspaces {
            api.force_unlock(workspace).await;
            api.get(&format!("/workspaces/{workspace}")).await.expect(StatusCode::OK);
        }
        let organization = json!({"data": {"type": "organizations", "attributes": {"name": format!("{}-org", &login[..4])}}});
        api.post("/organizations", organization).await.expect(StatusCode::CREATED);
    }

    let token = admitted(&pair, "alice").await;
    assert!(!is_administrator(&pair, &token).await);
    let alice = Api::new(&pair.server, &token);
    assert!(!creates(&alice, "mine").await);
    for workspace in &workspaces {
        let path = format!("/workspaces/{workspace}");
        alice.get(&path).await.expect_error(StatusCode::NOT_FOUND);
        alice.call(Method::DELETE, &path, None).await.expect_error(StatusCode::NOT_FOUND);
        alice.lock(workspace).await.expect_error(StatusCode::NOT_FOUND);
        alice.current(workspace).await.expect_error(StatusCode::NOT_FOUND);
    }
    let list = alice.get("/organizations/default/workspaces").await.expect(StatusCode::OK).json();
    assert_eq!(list["data"], json!([]));
    alice.get("/organizations/default/workspaces/of-boss").await.expect_error(StatusCode::NOT_FOUND);

    // The administrators are no hole in the wall for others.
    for login in ["bob@corp.example", "deputy2@elsewhere.test", "oidc:deputy"] {
        if login == "oidc:deputy" {
            pair.provider.bend(login, json!({"email": null}));
        }
        turned_away(&pair, login).await;
    }
}

#[tokio::test]
async fn an_unverified_address_makes_nobody_administrator() {
    let settings = [(ADMINS, "boss@example.com,unverified-boss@example.com"), (DOMAINS, "*")];
    let Some(mut pair) = start(&settings).await else { return };
    pair.provider.bend("mallory", json!({"email": "boss@example.com", "email_verified": false}));
    pair.provider.bend("trudy", json!({"email": "boss@example.com", "email_verified": null}));
    // The name of a subject is not an address, and an address is not the name of a subject.
    pair.provider.bend("boss@example.com", json!({"email": "somebody@else.test"}));
    for (n, login) in ["mallory", "trudy", "unverified-boss", "boss@example.com"].into_iter().enumerate() {
        let token = admitted(&pair, login).await;
        assert!(!is_administrator(&pair, &token).await, "{login}");
        assert!(!creates(&Api::new(&pair.server, &token), &format!("w{n}")).await, "{login}");
    }
    assert!(is_administrator(&pair, &admitted(&pair, "boss").await).await);
}

#[tokio::test]
async fn who_has_lost_the_address_is_administrator_no_longer_with_no_token() {
    let Some(mut pair) = start(&[(ADMINS, "boss@example.com"), (DOMAINS, "*")]).await else { return };
    let before = admitted(&pair, "boss").await;
    assert!(is_administrator(&pair, &before).await);
    pair.provider.bend("boss", json!({"email": "retired@example.com"}));
    let after = admitted(&pair, "boss").await;
    for token in [&before, &after] {
        assert!(!is_administrator(&pair, token).await);
    }
}

#[tokio::test]
async fn without_allowed_domains_and_groups_everybody_logs_in_where_there_is_an_administrator() {
    let Some(pair) = start(&[(ADMINS, "boss@example.com")]).await else { return };
    let token = admitted(&pair, "stranger@elsewhere.test").await;
    assert!(!creates(&Api::new(&pair.server, &token), "mine").await);
}

#[tokio::test]
async fn who_holds_the_storage_makes_administrators_and_opens_and_a_running_server_soon_knows() {
    let Some(pair) = Pair::start(everybody(Options::local()).env(ADMINS, "boss@example.com")).await else {
        return;
    };
    let [alice, bob] = [admitted(&pair, "alice").await, admitted(&pair, "bob").await];
    let [alice, bob] = [alice, bob].map(|token| Api::new(&pair.server, &token));
    let becomes_able = async |api: &Api, name: &str| {
        eventually(PATIENCE, async || {
            if creates(api, name).await { Ok(()) } else { Err(format!("{name} is refused")) }
        })
        .await;
    };
    assert!(!creates(&alice, "one").await && !creates(&bob, "two").await);

    let said = pair.server.admin(&["grant", "alice@example.com"]);
    assert!(said.contains("access control is on") && said.contains("alice@example.com"), "{said}");
    becomes_able(&alice, "one").await;
    assert!(!creates(&bob, "two").await);

    let said = pair.server.admin(&["open"]);
    assert!(said.contains("access control is off"), "{said}");
    becomes_able(&bob, "two").await;

    pair.server.admin(&["grant", "oidc:bob"]);
    let carol = Api::new(&pair.server, &admitted(&pair, "carol").await);
    eventually(PATIENCE, async || {
        let list = carol.get("/organizations/default/workspaces").await.expect(StatusCode::OK).json();
        if list["data"] == json!([]) { Ok(()) } else { Err(list.to_string()) }
    })
    .await;
    assert!(creates(&bob, "three").await && creates(&alice, "four").await, "grants stay through an open");
}
