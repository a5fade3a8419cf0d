//! E-mail addresses, groups, and the userinfo endpoint that completes them.

use opentaco_ports::driven::idp::IdpError;
use serde_json::{Value, json};

use super::fake::Answer;
use super::world::{ACCESS, World, refusal};
use crate::EmailVerified;

/// A world whose provider has a userinfo endpoint that says that.
fn informed(told: &Value) -> World {
    let world = World::new();
    let mut document = world.document();
    document["userinfo_endpoint"] = world.fake.url("/userinfo").into();
    world.fake.says_json("/.well-known/openid-configuration", &document);
    world.fake.says_json("/userinfo", told);
    world
}

#[tokio::test]
async fn an_address_counts_as_verified_only_when_the_provider_says_so() {
    let world = World::new();
    let cases = [
        (json!(true), true),
        (json!("true"), true),
        (json!(false), false),
        (json!("false"), false),
        (Value::Null, false),
    ];
    for (claim, verified) in cases {
        let identity = world.login_but(&json!({ "email_verified": claim })).await.unwrap();
        assert_eq!(identity.email_verified, verified, "{claim}");
        assert!(identity.email.is_some());
    }
}

#[tokio::test]
async fn a_provider_that_never_says_so_may_be_trusted_all_the_same() {
    let mut world = World::new();
    world.settings.email_verified = EmailVerified::Always;
    for claim in [Value::Null, json!(false), json!(true)] {
        assert!(world.login_but(&json!({ "email_verified": claim })).await.unwrap().email_verified);
    }
    let nobody = world.login_but(&json!({ "email": null })).await.unwrap();
    assert!(nobody.email.is_none() && !nobody.email_verified);
}

#[tokio::test]
async fn an_address_that_is_none_is_no_address() {
    let world = World::new();
    for email in ["alice", "a@b@c", "a b@c", ""] {
        let identity = world.login_but(&json!({ "email": email })).await.unwrap();
        assert!(identity.email.is_none() && !identity.email_verified, "{email}");
    }
}

#[tokio::test]
async fn groups_are_a_list_or_one_text_under_the_name_that_is_set() {
    let mut world = World::new();
    for name in ["groups", "https://taco.example/claims/groups", "cognito:groups", "realm.roles", "name"] {
        world.settings.groups_claim = name.to_owned();
        let cases = [
            (json!(["a", "b"]), vec!["a", "b"]),
            (json!("a"), vec!["a"]),
            (json!(["a", 1, null, ["b"], "c"]), vec!["a", "c"]),
            (json!([]), vec![]),
            (json!(7), vec![]),
            (json!({ "a": true }), vec![]),
            (Value::Null, vec![]),
        ];
        // The library wants the standard's own claims to be texts.
        for (claim, groups) in cases.into_iter().filter(|(claim, _)| name != "name" || claim.is_string()) {
            let mut changes = json!({ "groups": null, "realm": { "roles": ["x"] } });
            changes[name] = claim.clone();
            let identity = world.login_but(&changes).await.unwrap();
            assert_eq!(identity.groups.iter().collect::<Vec<_>>(), groups, "{name}: {claim}");
        }
    }
}

#[tokio::test]
async fn userinfo_completes_what_the_id_token_lacks() {
    let told =
        json!({ "sub": "alice", "email": "info@example.com", "email_verified": "true", "groups": ["info"] });
    let world = informed(&told);
    let identity = world.login_but(&json!({ "email": null, "groups": null })).await.unwrap();
    assert_eq!(identity.email.unwrap().as_str(), "info@example.com");
    assert!(identity.email_verified && identity.groups.contains("info"));
    assert_eq!(world.fake.asked("/userinfo")[0].headers["authorization"], format!("Bearer {ACCESS}"));
    // What the id token says stays: an address and whether it is verified come from the same place.
    let identity = world.login_but(&json!({ "groups": null, "email_verified": null })).await.unwrap();
    assert_eq!(identity.email.unwrap().as_str(), "alice@example.com");
    assert!(!identity.email_verified && identity.groups.contains("info"));
    assert_eq!(world.fake.asked("/userinfo").len(), 2);
    world.login_but(&json!({})).await.unwrap();
    assert_eq!(world.fake.asked("/userinfo").len(), 2, "an id token that says everything needs no userinfo");
}

#[tokio::test]
async fn without_an_id_token_userinfo_says_who_it_is() {
    let world = informed(&json!({ "sub": "bob" }));
    world.answer_token(None);
    assert_eq!(world.login().await.unwrap().subject.as_str(), "oidc:bob");
    let world = World::new();
    world.answer_token(None);
    assert!(refusal(world.login().await).contains("no id token"));
}

#[tokio::test]
async fn userinfo_of_somebody_else_is_refused() {
    for told in [
        json!({ "sub": "mallory", "groups": ["admins"] }),
        json!({ "groups": ["admins"] }),
        json!({ "sub": 1 }),
    ] {
        let world = informed(&told);
        assert!(
            refusal(world.login_but(&json!({ "groups": null })).await).contains("different people"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_login_does_not_go_on_with_half_of_what_is_said() {
    let world = informed(&json!({}));
    let lacking = json!({ "groups": null });
    world.fake.says("/userinfo", Answer::json(503, &json!({})));
    assert_eq!(world.login_but(&lacking).await, Err(IdpError::Unavailable(world.fake.url(""))));
    let elsewhere =
        Answer { status: 302, headers: vec![("Location", world.fake.url("/trap"))], body: vec![] };
    let huge = Answer { status: 200, headers: vec![], body: vec![b' '; 3 * 1024 * 1024] };
    for answer in [Answer::json(401, &json!({})), Answer::json(200, &json!([])), elsewhere, huge] {
        world.fake.says("/userinfo", answer);
        refusal(world.login_but(&lacking).await);
    }
    assert!(world.fake.asked("/trap").is_empty());
}

#[tokio::test]
async fn an_access_token_that_no_header_can_carry_is_refused() {
    let world = informed(&json!({ "sub": "bob" }));
    world.fake.says_json("/token", &json!({ "access_token": "a\r\nX: y", "token_type": "Bearer" }));
    refusal(world.login().await);
    assert!(world.fake.asked("/userinfo").is_empty());
}
