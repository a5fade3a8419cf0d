//! What tests may expect of the provider.

use data_encoding::BASE64URL_NOPAD;
use reqwest::RequestBuilder;
use sha2::{Digest, Sha256};

use super::*;
use crate::browser::{Answer, Browser, Stop, Who};
use crate::chromium::Chromium;
use crate::client::plain;

/// On the port of nobody: the redirect is read, not followed.
const CALLBACK: &str = "https://localhost:9/oauth/oidc-callback";
const VERIFIER: &str = "a-verifier-that-is-as-long-as-the-standard-demands";

fn started(options: &ProviderOptions) -> Option<Provider> {
    Some(Provider::find()?.start(options))
}

fn authorization(provider: &Provider) -> String {
    let mut url = Url::parse(&provider.endpoint("auth")).unwrap();
    url.query_pairs_mut().extend_pairs([
        ("client_id", CLIENT_ID),
        ("code_challenge", &BASE64URL_NOPAD.encode(&Sha256::digest(VERIFIER))),
        ("code_challenge_method", "S256"),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", "openid email profile"),
        ("state", "s"),
        ("nonce", "n"),
    ]);
    url.into()
}

/// What comes back to the callback.
async fn arrived(browser: &Browser, provider: &Provider, who: &Who) -> Vec<(String, String)> {
    let url = browser.log_in(&authorization(provider), who, Answer::Allow).await;
    assert!(url.as_str().starts_with(CALLBACK), "{url}");
    url.query_pairs().into_owned().collect()
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    let found = pairs.iter().find(|(key, _)| key == name);
    found.map_or_else(|| panic!("no {name} in {pairs:?}"), |(_, value)| value)
}

async fn json_of(request: RequestBuilder) -> Value {
    request.send().await.unwrap().json().await.unwrap()
}

fn exchange(provider: &Provider, code: &str) -> RequestBuilder {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let request = plain().build().unwrap().post(provider.endpoint("token"));
    if provider.options.client_auth == ClientAuth::Post {
        let form = [&form[..], &[("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)]].concat();
        return request.form(&form);
    }
    request.form(&form).basic_auth(escaped(CLIENT_ID), Some(escaped(CLIENT_SECRET)))
}

fn escaped(text: &str) -> String {
    let mut url = Url::parse("http://localhost").unwrap();
    url.query_pairs_mut().append_key_only(text);
    url.query().unwrap().to_owned()
}

async fn tokens(provider: &Provider, login: &str) -> Value {
    let pairs = arrived(&Browser::at(provider), provider, &Who::known_as(login)).await;
    assert_eq!(value(&pairs, "state"), "s");
    json_of(exchange(provider, value(&pairs, "code"))).await
}

fn claims(tokens: &Value) -> Value {
    let token = tokens["id_token"].as_str().unwrap_or_else(|| panic!("no id token: {tokens}"));
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap()
}

async fn keys(provider: &Provider) -> Value {
    json_of(plain().build().unwrap().get(provider.endpoint("jwks"))).await
}

#[tokio::test]
async fn discovery_names_the_endpoints_and_one_way_to_prove_oneself() {
    for (client_auth, method) in
        [(ClientAuth::Basic, "client_secret_basic"), (ClientAuth::Post, "client_secret_post")]
    {
        let options = ProviderOptions { client_auth, ..ProviderOptions::to(CALLBACK) };
        let Some(provider) = started(&options) else { return };
        let url = provider.endpoint(".well-known/openid-configuration");
        let found = json_of(plain().build().unwrap().get(url)).await;
        assert_eq!(found["issuer"], provider.issuer());
        assert_eq!(found["token_endpoint_auth_methods_supported"], json!([method]));
        for (name, path) in [("authorization", "auth"), ("token", "token"), ("userinfo", "me")] {
            assert_eq!(found[format!("{name}_endpoint")], provider.endpoint(path));
        }
        assert_eq!(found["jwks_uri"], provider.endpoint("jwks"));
        assert_eq!(claims(&tokens(&provider, "alice").await)["sub"], "alice");
    }
}

#[tokio::test]
async fn a_login_over_its_pages_gives_an_id_token_that_says_who() {
    let Some(mut provider) = started(&ProviderOptions::to(CALLBACK)) else { return };
    let found = claims(&tokens(&provider, "admin-ann").await);
    assert_eq!(found["iss"], provider.issuer());
    assert_eq!(found["aud"], CLIENT_ID);
    assert_eq!(found["nonce"], "n");
    assert_eq!(found["email"], "admin-ann@example.com");
    assert_eq!(found["email_verified"], true);
    assert_eq!(found["groups"], json!(["dev", "ops"]));

    let found = claims(&tokens(&provider, "unverified-bob@elsewhere.test").await);
    assert_eq!(found["email"], "unverified-bob@elsewhere.test");
    assert_eq!(found["email_verified"], false);
    assert_eq!(found["groups"], json!(["dev"]));

    provider.bend("carol", json!({"groups": ["night"], "email_verified": null}));
    let found = claims(&tokens(&provider, "carol").await);
    assert_eq!(found["groups"], json!(["night"]));
    assert!(found.get("email_verified").is_none(), "{found}");
}

#[tokio::test]
async fn claims_may_be_found_at_the_userinfo_endpoint_alone() {
    let options = ProviderOptions { claims: Claims::UserInfo, ..ProviderOptions::to(CALLBACK) };
    let Some(provider) = started(&options) else { return };
    let tokens = tokens(&provider, "alice").await;
    assert!(claims(&tokens).get("email").is_none());
    let token = tokens["access_token"].as_str().unwrap();
    let me = json_of(plain().build().unwrap().get(provider.endpoint("me")).bearer_auth(token)).await;
    assert_eq!((&me["email"], &me["groups"]), (&json!("alice@example.com"), &json!(["dev"])));
}

#[tokio::test]
async fn a_secret_that_was_not_escaped_is_refused() {
    let Some(provider) = started(&ProviderOptions::to(CALLBACK)) else { return };
    let pairs = arrived(&Browser::at(&provider), &provider, &Who::known_as("alice")).await;
    let request = exchange(&provider, value(&pairs, "code"));
    let (client, request) = request.build_split();
    let mut request = request.unwrap();
    request.headers_mut().remove(reqwest::header::AUTHORIZATION);
    let request = RequestBuilder::from_parts(client, request);
    let raw = request.basic_auth(CLIENT_ID, Some(CLIENT_SECRET));
    assert_eq!(json_of(raw).await["error"], "invalid_request");
}

#[tokio::test]
async fn who_cancels_is_sent_back_with_access_denied() {
    let Some(provider) = started(&ProviderOptions::to(CALLBACK)) else { return };
    let pairs = arrived(&Browser::at(&provider), &provider, &Who::cancelling()).await;
    assert_eq!((value(&pairs, "error"), value(&pairs, "state")), ("access_denied", "s"));
}

#[tokio::test]
async fn a_browser_that_is_known_walks_past_the_pages() {
    let Some(provider) = started(&ProviderOptions::to(CALLBACK)) else { return };
    let browser = Browser::at(&provider);
    arrived(&browser, &provider, &Who::known_as("alice")).await;
    let Stop::Elsewhere(url) = browser.open(&authorization(&provider)).await else { panic!("it asks again") };
    assert!(url.query().unwrap().contains("code="), "{url}");
}

#[tokio::test]
async fn a_real_browser_walks_over_the_same_pages() {
    let Some(provider) = started(&ProviderOptions::to(CALLBACK)) else { return };
    let Some(window) = Chromium::find().await else { return };
    window.open(&authorization(&provider)).await;
    window.fill("input[name=login]", "alice").await;
    window.fill("input[name=password]", "any").await;
    window.press("button[type=submit]").await;
    // The page of consent has the same button and nothing to type.
    window.press("form:not(:has(input[name=login])) button[type=submit]").await;
    let arrived = window.wait_for_url(CALLBACK).await;
    assert!(arrived.contains("code="), "{arrived}");
}

#[tokio::test]
async fn a_restart_keeps_issuer_and_keys() {
    let Some(installed) = Provider::find() else { return };
    let reserved = Provider::reserve();
    let options = ProviderOptions { port: Some(reserved.port()), ..ProviderOptions::to(CALLBACK) };
    let mut provider = installed.start(&options);
    assert_eq!(provider.issuer(), reserved.issuer());
    let before = keys(&provider).await;
    provider.stop();
    assert!(plain().build().unwrap().get(provider.issuer()).send().await.unwrap_err().is_connect());
    provider.restart();
    assert_eq!(keys(&provider).await, before);
    assert_eq!(claims(&tokens(&provider, "alice").await)["sub"], "alice");
    provider.restart_with_another_key();
    assert_ne!(keys(&provider).await["keys"][0]["kid"], before["keys"][0]["kid"]);
}

#[test]
fn a_provider_whose_test_was_killed_goes_away() {
    let Some(mut provider) = started(&ProviderOptions::to(CALLBACK)) else { return };
    let mut process = provider.process.take().unwrap();
    drop(process.stdin.take());
    until(PATIENCE, "the provider to end", || process.try_wait().unwrap());
    assert!(!provider.folder.path().exists());
}
