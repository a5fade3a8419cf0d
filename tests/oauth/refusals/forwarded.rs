//! `X-Forwarded-*`: of strangers they change nothing at all, of trusted proxies they do.

use opentaco_tests::browser::{Answer, Browser, Stop, Who};
use opentaco_tests::client::{Api, Attempt, http, login, md5_hex, state};
use opentaco_tests::server::{Options, Server};
use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::{Value, json};

use super::bench::text;
use super::redirects::with_endpoints;
use crate::flow::exchange_fields;

const LOOPBACK: &str = "127.0.0.1/32,::1/128";
const PUBLIC: &str = "https://taco.example";

/// What a proxy says, or somebody who would like to be one.
fn forwarded(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    map
}

/// Everything that a stranger might try, one at a time and all at once.
fn attempts() -> Vec<HeaderMap> {
    let all = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-host", "localhost:1, evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-port", "1"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-server", "evil.example"),
        ("x-original-host", "evil.example"),
        ("x-original-url", "/evil"),
        ("x-real-ip", "203.0.113.7"),
        ("forwarded", "for=203.0.113.7;host=evil.example;proto=http"),
    ];
    let mut each: Vec<HeaderMap> = all.iter().map(|pair| forwarded(&[*pair])).collect();
    each.push(forwarded(&all));
    each
}

/// Somebody who calls with such headers.
struct Caller {
    client: Client,
    base: String,
}

impl Caller {
    fn new(server: &Server, base: &str, headers: HeaderMap) -> Self {
        let client = http(server).redirect(Policy::none()).default_headers(headers).build().unwrap();
        Self { client, base: base.to_owned() }
    }

    async fn json(&self, path: &str) -> Value {
        let response = self.client.get(format!("{}{path}", self.base)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    /// What the answer to the first step of a login says: cookie, and where to.
    async fn begin(&self, server: &Server) -> (String, Option<Url>) {
        let authorization = Attempt::new(server).authorization;
        let path = authorization.split_once("/oauth").unwrap().1;
        let response = self.client.get(format!("{}/oauth{path}", self.base)).send().await.unwrap();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let cookie = header(SET_COOKIE).unwrap();
        let value = cookie.split_once('=').unwrap().1.split(';').next().unwrap();
        (cookie.replace(value, "VALUE"), header(LOCATION).map(|to| Url::parse(to).unwrap()))
    }

    /// What the provider is told to send people back to.
    async fn callback(&self, server: &Server) -> String {
        let (_, to) = self.begin(server).await;
        let to = to.expect("a redirect to the provider");
        to.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1.into_owned()
    }
}

#[tokio::test]
async fn what_a_stranger_says_about_itself_changes_nothing() {
    let server = Server::start(Options::memory().dev_login());
    let documents = ["/oidc/jwks.json", "/.well-known/terraform.json", "/v1/auth/config", "/oauth/debug"];
    for base in [server.base_https(), server.base_http()] {
        let plain = Caller::new(&server, &base, HeaderMap::new());
        let cookie = plain.begin(&server).await;
        for headers in attempts() {
            let stranger = Caller::new(&server, &base, headers.clone());
            for path in documents {
                assert_eq!(stranger.json(path).await, plain.json(path).await, "{base}{path} {headers:?}");
            }
            assert_eq!(stranger.begin(&server).await, cookie, "{base} {headers:?}");
        }
        assert!(plain.json("/v1/auth/config").await["token_endpoint"].as_str().unwrap().starts_with(&base));
    }
}

#[tokio::test]
async fn nor_does_it_name_the_urls_that_are_handed_out() {
    let server = Server::start(Options::memory().dev_login());
    let token = login(&server, &Who::dev("alice")).await;
    let api = Api::new(&server, &token);
    let base = server.base_https();
    for (number, headers) in attempts().into_iter().enumerate() {
        let workspace = api.create_workspace("default", &format!("w{number}")).await;
        api.lock(&workspace).await.expect(StatusCode::OK);
        let stranger = Caller::new(&server, &base, headers.clone());
        let urls = proposal(&stranger, &token, &workspace).await;
        for url in urls {
            assert!(url.starts_with(&format!("{base}/")), "{url} {headers:?}");
        }
    }
}

/// Every absolute URL in the answer to a proposal.
async fn proposal(caller: &Caller, token: &str, workspace: &str) -> Vec<String> {
    let bytes = state(1, "l", 0, &json!({}));
    let md5 = md5_hex(&bytes);
    let body =
        json!({"data": {"type": "state-versions", "attributes": {"serial": 1, "lineage": "l", "md5": md5}}});
    let url = format!("{}/tfe/api/v2/workspaces/{workspace}/state-versions", caller.base);
    let response =
        caller.client.request(Method::POST, url).bearer_auth(token).json(&body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    let document: Value = response.json().await.unwrap();
    let attributes = document["data"]["attributes"].as_object().unwrap();
    let urls: Vec<String> = attributes
        .values()
        .filter_map(Value::as_str)
        .filter(|text| text.contains("://"))
        .map(str::to_owned)
        .collect();
    assert!(!urls.is_empty(), "{document}");
    urls
}

#[tokio::test]
async fn nor_the_callback_that_the_provider_is_told() {
    let server = Server::start(with_endpoints(Options::memory()));
    for base in [server.base_https(), server.base_http()] {
        for headers in attempts() {
            let stranger = Caller::new(&server, &base, headers.clone());
            let callback = stranger.callback(&server).await;
            assert_eq!(callback, format!("{base}/oauth/oidc-callback"), "{headers:?}");
        }
    }
}

/// A token by the terminal's code, whose exchange comes with such headers; gives the token's name.
async fn named_by(server: &Server, headers: HeaderMap) -> String {
    let attempt = Attempt::new(server);
    let browser = Browser::new(server);
    let arrived = browser.log_in(&attempt.authorization, &Who::owner(server), Answer::Allow).await;
    let fields = exchange_fields(&attempt, &attempt.code(&arrived));
    let caller = Caller::new(server, &server.base_https(), headers);
    let response =
        caller.client.post(format!("{}/oauth/token", caller.base)).form(&fields).send().await.unwrap();
    let answer: Value = response.json().await.unwrap();
    let token = text(&answer["access_token"]);
    let me =
        caller.client.get(format!("{}/v1/auth/me", caller.base)).bearer_auth(&token).send().await.unwrap();
    text(&me.json::<Value>().await.unwrap()["token"]["name"])
}

#[tokio::test]
async fn nor_the_address_it_calls_from() {
    let server = Server::start(Options::memory());
    for headers in [
        forwarded(&[("x-forwarded-for", "203.0.113.7")]),
        forwarded(&[("x-real-ip", "203.0.113.7"), ("forwarded", "for=203.0.113.7")]),
    ] {
        let name = named_by(&server, headers).await;
        assert!(!name.contains("203.0.113.7"), "{name}");
        assert!(name.contains("from 127.0.0.1") || name.contains("from ::1"), "{name}");
    }
}

#[tokio::test]
async fn nor_which_host_it_means() {
    // The Host itself counts, trusted or not: a page elsewhere whose name leads here is turned away.
    for options in [Options::memory(), Options::memory().env("OPENTACO_TRUSTED_PROXIES", LOOPBACK)] {
        let server = Server::start(options);
        let caller = Caller::new(
            &server,
            &server.base_http(),
            forwarded(&[("x-forwarded-host", &server.host()), ("x-forwarded-proto", "http")]),
        );
        let url = format!("{}/v1/auth/config", server.base_http());
        let rebound = caller.client.get(&url).header(HOST, format!("evil.example:{}", server.port()));
        assert_eq!(rebound.send().await.unwrap().status(), StatusCode::MISDIRECTED_REQUEST);
    }
}

#[tokio::test]
async fn a_trusted_proxy_says_how_the_client_sees_the_server() {
    let server = Server::start(with_endpoints(Options::memory()).env("OPENTACO_TRUSTED_PROXIES", LOOPBACK));
    let base = server.base_http();
    let plain = Caller::new(&server, &base, HeaderMap::new());
    let (host, proto) = (("x-forwarded-host", "taco.example"), ("x-forwarded-proto", "https"));
    for (headers, seen) in [
        (forwarded(&[host, proto]), PUBLIC),
        // The proxy next to us writes last, and what its client wrote stands before it.
        (forwarded(&[("x-forwarded-host", "evil.example, taco.example"), proto]), PUBLIC),
        (
            forwarded(&[("x-forwarded-host", "evil.example"), host, ("x-forwarded-proto", "http"), proto]),
            PUBLIC,
        ),
        (forwarded(&[("x-forwarded-host", "taco.example:8443"), proto]), "https://taco.example:8443"),
        (forwarded(&[host]), "http://taco.example"),
        (forwarded(&[host, ("x-forwarded-proto", "javascript")]), "http://taco.example"),
        (forwarded(&[proto]), &base.replace("http://", "https://")),
        (forwarded(&[("x-forwarded-host", "evil.example/path"), ("x-forwarded-proto", "http")]), &base),
        (forwarded(&[("x-forwarded-host", "user@evil.example"), ("x-forwarded-proto", "http")]), &base),
        (forwarded(&[("x-forwarded-host", "\"><script>"), ("x-forwarded-proto", "http")]), &base),
        (forwarded(&[("x-forwarded-host", ""), ("x-forwarded-proto", "http")]), &base),
        (forwarded(&[("forwarded", "host=evil.example;proto=https")]), &base),
    ] {
        let proxied = Caller::new(&server, &base, headers.clone());
        assert_eq!(proxied.callback(&server).await, format!("{seen}/oauth/oidc-callback"), "{headers:?}");
        let config = proxied.json("/v1/auth/config").await;
        assert_eq!(config["token_endpoint"], format!("{seen}/oauth/token"), "{headers:?}");
        let (cookie, _) = proxied.begin(&server).await;
        let flags = if seen.starts_with("https") {
            "__Host-opentaco_login=VALUE; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
        } else {
            "opentaco_login=VALUE; Path=/; Max-Age=600; HttpOnly; SameSite=Lax"
        };
        assert_eq!(cookie, flags, "{headers:?}");
        for path in ["/oidc/jwks.json", "/.well-known/terraform.json"] {
            assert_eq!(proxied.json(path).await, plain.json(path).await, "{path} {headers:?}");
        }
    }
}

#[tokio::test]
async fn a_trusted_proxy_says_who_calls() {
    let server = Server::start(Options::memory().env("OPENTACO_TRUSTED_PROXIES", LOOPBACK));
    for (headers, seen) in [
        (vec![("x-forwarded-for", "203.0.113.7")], "203.0.113.7"),
        // Whoever is furthest right and none of our proxies.
        (vec![("x-forwarded-for", "198.51.100.1, 203.0.113.7, 127.0.0.1")], "203.0.113.7"),
        (vec![("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "203.0.113.7")], "203.0.113.7"),
        (vec![("x-forwarded-for", "::ffff:203.0.113.7")], "203.0.113.7"),
        (vec![("x-forwarded-for", "2001:db8::7")], "2001:db8::7"),
    ] {
        let name = named_by(&server, forwarded(&headers)).await;
        assert!(name.contains(&format!("from {seen}")), "{name} {headers:?}");
    }
    for junk in ["evil", "203.0.113.7, evil", "203.0.113.7:4711, <b>"] {
        let name = named_by(&server, forwarded(&[("x-forwarded-for", junk)])).await;
        assert!(
            !name.contains("evil") && !name.contains("203.0.113.7") && !name.contains('<'),
            "{name} {junk}"
        );
    }
}

#[tokio::test]
async fn uploads_go_where_the_proxy_is_and_tokens_keep_their_issuer() {
    let server = Server::start(Options::memory().env("OPENTACO_TRUSTED_PROXIES", LOOPBACK));
    let token = login(&server, &Who::owner(&server)).await;
    let api = Api::new(&server, &token);
    let workspace = api.create_workspace("default", "web").await;
    api.lock(&workspace).await.expect(StatusCode::OK);
    let headers = forwarded(&[("x-forwarded-host", "taco.example"), ("x-forwarded-proto", "https")]);
    let proxied = Caller::new(&server, &server.base_https(), headers);
    for url in proposal(&proxied, &token, &workspace).await {
        assert!(url.starts_with("https://taco.example/"), "{url}");
    }
    // A token made through the proxy is the same as one made beside it.
    let made = proxied.client.post(format!("{}/v1/auth/token", proxied.base)).bearer_auth(&token);
    let made: Value = made.send().await.unwrap().json().await.unwrap();
    let access = text(&made["access_token"]);
    let claims = data_encoding::BASE64URL_NOPAD.decode(access.split('.').nth(1).unwrap().as_bytes()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["iss"], server.base_https());
    let me = http(&server).build().unwrap().get(format!("{}/v1/auth/me", server.base_https()));
    assert_eq!(me.bearer_auth(&access).send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_public_base_url_needs_nobodys_word() {
    let options = with_endpoints(Options::memory())
        .env("OPENTACO_TRUSTED_PROXIES", LOOPBACK)
        .env("OPENTACO_PUBLIC_BASE_URL", PUBLIC);
    let server = Server::start(options);
    for headers in attempts() {
        let proxied = Caller::new(&server, &server.base_http(), headers.clone());
        assert_eq!(proxied.callback(&server).await, format!("{PUBLIC}/oauth/oidc-callback"), "{headers:?}");
        let (cookie, _) = proxied.begin(&server).await;
        assert!(cookie.starts_with("__Host-") && cookie.ends_with("; Secure"), "{cookie} {headers:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_in_the_list_is_a_stranger() {
    let options = with_endpoints(Options::memory()).env("OPENTACO_TRUSTED_PROXIES", "192.0.2.0/24");
    let server = Server::start(options);
    for headers in attempts() {
        let stranger = Caller::new(&server, &server.base_http(), headers.clone());
        let callback = stranger.callback(&server).await;
        assert_eq!(callback, format!("{}/oauth/oidc-callback", server.base_http()), "{headers:?}");
    }
    // And who is trusted is not because somebody says so.
    let browser = Browser::new(&server);
    let stop = browser.open(&Attempt::new(&server).authorization).await;
    assert!(matches!(stop, Stop::Elsewhere(_)), "the way to the provider");
}
