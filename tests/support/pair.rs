//! A server and the provider at which its people log in.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::redirect::Policy;

use crate::browser::{Browser, Page, Stop, Who};
use crate::client::{Attempt, http, login_in};
use crate::provider::{Installed, Provider, ProviderOptions, Reserved, variables};
use crate::server::{Options, Server};
use crate::wait::eventually;

/// How long a server may take to notice that its provider is there.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server and the provider at which its people log in, both running.
pub struct Pair {
    /// The server.
    pub server: Server,
    /// The provider.
    pub provider: Provider,
}

/// A server whose provider has not been started.
pub struct Alone {
    /// The server.
    pub server: Server,
    installed: Installed,
    reserved: Reserved,
}

/// Lets in everybody whom the provider knows.
pub fn everybody(options: Options) -> Options {
    options.env("OPENTACO_AUTH_ALLOWED_DOMAINS", "*")
}

impl Pair {
    /// Starts both and waits until they know each other. None when there is no provider to be had; see
    /// [`Provider::find`].
    pub async fn start(options: Options) -> Option<Self> {
        Self::start_with(options, ProviderOptions::default()).await
    }

    /// The same with a provider that differs from the usual one.
    pub async fn start_with(options: Options, provider: ProviderOptions) -> Option<Self> {
        let pair = Alone::start(options)?.join(&provider);
        pair.know_each_other().await;
        Some(pair)
    }

    /// A window that walks from the server to the provider and back.
    pub fn browser(&self) -> Browser {
        Browser::through(&self.server, &self.provider)
    }

    /// Logs somebody in, in a window of its own, and gives the token.
    pub async fn login(&self, login: &str) -> String {
        login_in(&self.browser(), &self.server, &Who::known_as(login)).await
    }

    /// Does at the provider what this person wants, and gives what follows when that is done: the server's own page, or
    /// the program that asked.
    pub async fn past_provider(&self, browser: &Browser, authorization: &str, who: &Who) -> Stop {
        past_provider(&self.provider, browser, authorization, who).await
    }

    /// Logs in as far as the server's page of consent.
    pub async fn to_consent(&self, browser: &Browser, attempt: &Attempt, login: &str) -> Page {
        let stop = self.past_provider(browser, &attempt.authorization, &Who::known_as(login)).await;
        let page = stop.page();
        assert!(page.html.contains("value=\"allow\""), "the page of consent: {}", page.html);
        page
    }

    /// Waits until the server sends browsers to the provider.
    pub async fn know_each_other(&self) {
        let window = http(&self.server).redirect(Policy::none()).build().expect("a client");
        eventually(PATIENCE, async || {
            let answer = window.get(Attempt::new(&self.server).authorization).send().await;
            let answer = answer.expect("an answer");
            let status = answer.status();
            if status == StatusCode::FOUND { Ok(()) } else { Err(answer.text().await.expect("a body")) }
        })
        .await;
    }
}

impl Alone {
    /// Starts a server that was told of a provider. None when there is none to be had; see [`Provider::find`].
    pub fn start(options: Options) -> Option<Self> {
        let (installed, reserved) = (Provider::find()?, Provider::reserve());
        let told = variables(&reserved.issuer()).into_iter();
        let options = told.fold(options, |options, (name, value)| options.env(name, &value));
        Some(Self { server: Server::start(options), installed, reserved })
    }

    /// The issuer that the server was told.
    pub fn issuer(&self) -> String {
        self.reserved.issuer()
    }

    /// Starts the provider. It sends browsers back to the server over both schemes.
    pub fn join(self, options: &ProviderOptions) -> Pair {
        let Self { server, installed, reserved } = self;
        let bases = [server.base_https(), server.base_http()];
        let redirect_uris = bases.iter().map(|base| callback(base)).collect();
        let options = ProviderOptions { redirect_uris, port: Some(reserved.port()), ..options.clone() };
        Pair { provider: installed.start(&options), server }
    }
}

/// Where a provider sends browsers back to, for a server with that base.
pub fn callback(base: &str) -> String {
    format!("{base}/oauth/oidc-callback")
}

/// Does at the provider what this person wants, and gives what follows when that is done.
pub async fn past_provider(provider: &Provider, browser: &Browser, authorization: &str, who: &Who) -> Stop {
    let mut stop = browser.open(authorization).await;
    // A page of login and one of consent.
    for _ in 0..2 {
        let Stop::Page(page) = &stop else { break };
        if !page.url.as_str().starts_with(&provider.issuer()) {
            break;
        }
        stop = browser.answer_provider(page, who).await;
    }
    stop
}
