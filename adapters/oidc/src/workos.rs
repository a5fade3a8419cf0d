//! `WorkOS` user management: a login like OAuth's that has neither discovery nor id tokens.

use openidconnect::http::{HeaderValue, Method, header};
use opentaco_domain::user::Identity;
use opentaco_ports::driven::idp::{Ask, IdpError, ProviderFacts};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::claims::Claims;
use crate::fetch::{Fetch, get};
use crate::provider::{challenge, failed, identity};
use crate::settings::{ProviderSettings, is_loopback};
use crate::source::slashless;

/// The path of an issuer that is user management.
const PATH: &str = "/user_management";
/// Where `WorkOS` is.
const HOST: &str = "api.workos.com";

/// People of a `WorkOS` environment, as its own login page knows them. Organizations and roles there are not groups
/// here.
pub(crate) struct WorkOs {
    settings: ProviderSettings,
    authorize: Url,
    authenticate: Url,
    fetch: Fetch,
}

/// The exchange of a code.
#[derive(Serialize)]
struct Exchange<'a> {
    client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    grant_type: &'static str,
    code: &'a str,
    code_verifier: &'a str,
}

/// The answer to it.
#[derive(Deserialize)]
struct Answer {
    user: Claims,
}

impl WorkOs {
    /// Whether an issuer is user management. A fake of it on this machine counts, too.
    pub(crate) fn is(issuer: &Url) -> bool {
        let there = issuer.scheme() == "https" && issuer.host_str() == Some(HOST);
        slashless(issuer.path()) == PATH && (there || is_loopback(issuer))
    }

    pub(crate) fn new(settings: ProviderSettings, issuer: &Url, fetch: Fetch) -> Self {
        let beside = |name: &str| {
            let mut url = issuer.clone();
            url.set_path(&format!("{PATH}/{name}"));
            url
        };
        let authorize = settings.auth_url.clone().unwrap_or_else(|| beside("authorize"));
        let authenticate = settings.token_url.clone().unwrap_or_else(|| beside("authenticate"));
        Self { settings, authorize, authenticate, fetch }
    }

    pub(crate) fn authorization_url(&self, ask: &Ask, state: &str) -> Result<String, IdpError> {
        let challenge = challenge(ask)?;
        let mut url = self.authorize.clone();
        url.query_pairs_mut()
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &ask.redirect_uri)
            .append_pair("response_type", "code")
            .append_pair("provider", "authkit")
            .append_pair("state", state)
            .append_pair("code_challenge", challenge.as_str())
            .append_pair("code_challenge_method", challenge.method().as_str());
        Ok(url.into())
    }

    /// Who the person is. The answer is believed because it came from `WorkOS` itself, over TLS.
    pub(crate) async fn identify(&self, ask: &Ask, code: &str) -> Result<Identity, IdpError> {
        let issuer = &self.settings.issuer;
        let exchange = Exchange {
            client_id: &self.settings.client_id,
            client_secret: self.settings.client_secret.as_ref().map(|secret| secret.expose().as_str()),
            grant_type: "authorization_code",
            code,
            code_verifier: ask.verifier.expose(),
        };
        let mut request = get(&self.authenticate);
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Texts alone always make JSON.
        *request.body_mut() = serde_json::to_vec(&exchange).unwrap_or_default();
        let answer: Answer = self.fetch.json(request).await.map_err(|error| failed(issuer, &error))?;
        let id = answer.user.text("id");
        identity(issuer, id, &[&answer.user], None, self.settings.email_verified)
    }

    pub(crate) fn facts(&self) -> ProviderFacts {
        ProviderFacts {
            issuer: self.settings.issuer.clone(),
            client_id: self.settings.client_id.clone(),
            scopes: Vec::new(),
            authorization_endpoint: Some(self.authorize.to_string()),
            token_endpoint: Some(self.authenticate.to_string()),
        }
    }
}
