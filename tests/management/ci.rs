//! A CI system, and a server that trusts some of its jobs.

use std::fs;

use opentaco_tests::client::{Api, Reply};
use opentaco_tests::issuer::{Claims, Issuer};
use opentaco_tests::server::{Options, Server};
use reqwest::StatusCode;
use reqwest::header::CACHE_CONTROL;
use tempfile::TempDir;

use crate::v1::V1;

pub const PATH: &str = "/v1/auth/token";
pub const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
pub const AUDIENCE: &str = "opentaco-of-acme";
pub const REPOSITORY: &str = "acme/shop";
pub const MAIN: &str = "refs/heads/main";

/// An issuer, a server with trust rules, and the folder with its settings.
pub struct Ci {
    pub issuer: Issuer,
    pub server: Server,
    _settings: TempDir,
}

/// The usual rule: jobs on the main branch of one repository write `app/*`.
pub fn rule(issuer: &Issuer) -> String {
    let sub = format!("repo:{REPOSITORY}:ref:{MAIN}");
    written("shop", issuer, &format!("sub = \"{sub}\""), "role = \"writer\"\nunit = \"app/*\"\nttl = \"15m\"")
}

/// A rule with these claims, and what it gives.
pub fn written(name: &str, issuer: &Issuer, claims: &str, gives: &str) -> String {
    let url = issuer.url();
    format!(
        "[[trust]]\nname = \"{name}\"\nissuer = \"{url}\"\naudience = \"{AUDIENCE}\"\nclaims = {{ {claims} }}\n{gives}\n\n"
    )
}

impl Ci {
    /// With the usual rule, on storage that forgets.
    pub fn start() -> Self {
        Self::with(Options::memory().dev_login(), rule)
    }

    pub fn with(options: Options, rules: impl FnOnce(&Issuer) -> String) -> Self {
        let issuer = Issuer::start();
        let settings = tempfile::tempdir().expect("a temporary folder");
        let file = settings.path().join("opentaco.toml");
        fs::write(&file, rules(&issuer)).expect("a file written");
        let options = options.env("OPENTACO_CONFIG", file.to_str().expect("text"));
        Self { server: Server::start(options), issuer, _settings: settings }
    }

    /// What a job on the main branch says.
    pub fn claims(&self) -> Claims {
        self.issuer.github(REPOSITORY, MAIN, AUDIENCE)
    }

    /// Presents a token as a job does.
    pub async fn exchange(&self, token: &str) -> Reply {
        let fields = [("grant_type", EXCHANGE), ("subject_token", token), ("subject_token_type", JWT)];
        V1::anonymous(&self.server).form(PATH, &fields).await
    }

    /// The token that a job with these claims gets.
    pub async fn token(&self, claims: &Claims) -> String {
        let reply = self.exchange(&self.issuer.sign(claims)).await.expect(StatusCode::OK);
        assert_eq!(reply.headers[CACHE_CONTROL], "no-store");
        let token = reply.json()["access_token"].as_str().expect("a token").to_owned();
        assert!(token.starts_with("otc_tfe_"), "Terraform can use it");
        token
    }

    pub fn cloud(&self, token: &str) -> Api {
        Api::new(&self.server, token)
    }
}
