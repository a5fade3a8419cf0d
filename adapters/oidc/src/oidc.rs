//! Ordinary `OpenID` Connect: the authorization-code flow with PKCE.

use std::borrow::Cow;
use std::sync::Arc;

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreErrorResponseType, CoreJsonWebKeySet, CoreRequestTokenError,
    CoreTokenResponse,
};
use openidconnect::http::{HeaderValue, header};
use openidconnect::{
    AccessToken, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, Nonce,
    OAuth2TokenResponse, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse, TokenUrl,
};
use opentaco_domain::user::Identity;
use opentaco_ports::driven::Clock;
use opentaco_ports::driven::idp::{Ask, IdpError, ProviderFacts};
use url::Url;

use crate::claims::Claims;
use crate::fetch::{Fetch, FetchError, get};
use crate::provider::{challenge, failed, identity, refused};
use crate::settings::{OpenError, ProviderSettings};
use crate::source::{ClientAuth, Endpoints, Known, Naming, Source};
use crate::verify::{Expected, believe, parse};

/// People of an `OpenID` Connect provider.
pub(crate) struct Oidc {
    settings: ProviderSettings,
    source: Source,
    fetch: Fetch,
    clock: Arc<dyn Clock>,
}

impl Oidc {
    pub(crate) fn new(
        settings: ProviderSettings,
        fetch: Fetch,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let given = Endpoints {
            authorization: settings.auth_url.clone(),
            token: settings.token_url.clone(),
            keys: settings.jwks_url.clone(),
            userinfo: settings.userinfo_url.clone(),
        };
        let told = given.authorization.is_some() && given.token.is_some();
        if told && given.keys.is_none() && given.userinfo.is_none() {
            return Err(OpenError::NoTrust);
        }
        let (http, time) = (fetch.clone(), Arc::clone(&clock));
        let source = Source::new(&settings.issuer, Naming::EitherSlash, given, http, time)?;
        Ok(Self { settings, source, fetch, clock })
    }

    pub(crate) async fn warm(&self) -> Result<(), IdpError> {
        self.source.get().await.map(|_| ())
    }

    pub(crate) async fn authorization_url(&self, ask: &Ask, state: &str) -> Result<String, IdpError> {
        let endpoint = match &self.settings.auth_url {
            Some(url) => url.clone(),
            None => self.endpoint(self.source.get().await?.endpoints.authorization.clone())?,
        };
        let client = self.client().set_auth_uri(AuthUrl::from_url(endpoint));
        let (state, nonce) = (state.to_owned(), ask.nonce.clone());
        let request = client.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            move || CsrfToken::new(state),
            move || Nonce::new(nonce),
        );
        let (url, ..) = request
            .add_scopes(self.settings.scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(challenge(ask)?)
            .set_redirect_uri(Cow::Owned(redirect(ask)?))
            .url();
        Ok(url.into())
    }

    pub(crate) async fn identify(&self, ask: &Ask, code: &str) -> Result<Identity, IdpError> {
        let known = self.source.get().await?;
        let tokens = self.exchange(&known, ask, code).await?;
        let signed = self.id_token(&known, ask, &tokens).await?;
        let lacks = signed.as_ref().is_none_or(|claims| self.lacks(claims));
        let told = match &known.endpoints.userinfo {
            Some(url) if lacks => Some(self.userinfo(url, tokens.access_token(), signed.as_ref()).await?),
            _ => None,
        };
        let said: Vec<&Claims> = signed.iter().chain(&told).collect();
        let sub = said.first().and_then(|claims| claims.text("sub"));
        let trust = self.settings.email_verified;
        if said.is_empty() {
            return Err(
                self.refused("it sent no id token that can be verified, and no userinfo endpoint is known")
            );
        }
        identity(&self.settings.issuer, sub, &said, self.groups_claim(), trust)
    }

    pub(crate) fn facts(&self) -> ProviderFacts {
        let endpoints = self.source.endpoints();
        ProviderFacts {
            issuer: self.settings.issuer.clone(),
            client_id: self.settings.client_id.clone(),
            scopes: self.settings.scopes.clone(),
            authorization_endpoint: endpoints.authorization.map(String::from),
            token_endpoint: endpoints.token.map(String::from),
        }
    }

    async fn exchange(&self, known: &Known, ask: &Ask, code: &str) -> Result<CoreTokenResponse, IdpError> {
        let endpoint = self.endpoint(known.endpoints.token.clone())?;
        let way = match known.client_auth {
            ClientAuth::Basic => AuthType::BasicAuth,
            ClientAuth::Post => AuthType::RequestBody,
        };
        let mut client = self.client().set_token_uri(TokenUrl::from_url(endpoint)).set_auth_type(way);
        if let Some(secret) = &self.settings.client_secret {
            client = client.set_client_secret(ClientSecret::new(secret.expose().clone()));
        }
        let request = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(ask.verifier.expose().clone()))
            .set_redirect_uri(Cow::Owned(redirect(ask)?));
        request.request_async(&self.fetch).await.map_err(|error| self.not_exchanged(&error))
    }

    /// The claims of the id token. One that nobody can verify says nothing: without keys only userinfo counts.
    async fn id_token(
        &self,
        known: &Arc<Known>,
        ask: &Ask,
        tokens: &CoreTokenResponse,
    ) -> Result<Option<Claims>, IdpError> {
        let Some(token) = tokens.id_token().filter(|_| known.keys.is_some()) else { return Ok(None) };
        let token = parse(&token.to_string()).map_err(|why| self.refused(why))?;
        let expected = Expected::Login { client_id: &self.settings.client_id, nonce: &ask.nonce };
        let claims = believe(&token, expected, &self.source, Arc::clone(known), &*self.clock).await;
        claims.map(Some).map_err(|why| self.refused(why))
    }

    /// Whether userinfo may have what the id token has not.
    fn lacks(&self, claims: &Claims) -> bool {
        !claims.has_email() || self.groups_claim().is_some_and(|claim| claims.groups(claim).is_none())
    }

    fn groups_claim(&self) -> Option<&str> {
        Some(self.settings.groups_claim.as_str()).filter(|claim| !claim.is_empty())
    }

    /// What the userinfo endpoint says, which must be of the same person.
    async fn userinfo(
        &self,
        url: &Url,
        token: &AccessToken,
        signed: Option<&Claims>,
    ) -> Result<Claims, IdpError> {
        let bearer = HeaderValue::try_from(format!("Bearer {}", token.secret()));
        let mut bearer = bearer.map_err(|_| self.refused("its access token cannot be sent"))?;
        bearer.set_sensitive(true);
        let mut request = get(url);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        let claims: Claims =
            self.fetch.json(request).await.map_err(|error| failed(&self.settings.issuer, &error))?;
        match signed {
            Some(signed) if signed.text("sub") != claims.text("sub") => {
                Err(self.refused("id token and userinfo are of different people"))
            }
            _ => Ok(claims),
        }
    }

    /// Our side of the flow; the caller says which endpoint it needs.
    fn client(&self) -> CoreClient {
        // The issuer and the keys of this type are for its own verifier, which is not used: ours has the port's clock.
        CoreClient::new(
            ClientId::new(self.settings.client_id.clone()),
            self.source.named(),
            CoreJsonWebKeySet::default(),
        )
        .disable_openid_scope()
    }

    fn endpoint(&self, url: Option<Url>) -> Result<Url, IdpError> {
        url.ok_or_else(|| self.refused("its configuration names no authorization or token endpoint"))
    }

    /// The provider's own words are not passed on; the standard's names of errors are.
    fn not_exchanged(&self, error: &CoreRequestTokenError<FetchError>) -> IdpError {
        use openidconnect::RequestTokenError as Token;

        match error {
            Token::Request(error) => failed(&self.settings.issuer, error),
            Token::ServerResponse(answer) => self.refused(match answer.error() {
                CoreErrorResponseType::InvalidGrant => {
                    "the code is used, old or of another login (invalid_grant)"
                }
                CoreErrorResponseType::InvalidClient => "our client id or secret is wrong (invalid_client)",
                CoreErrorResponseType::UnauthorizedClient => {
                    "our client may not use authorization codes (unauthorized_client)"
                }
                CoreErrorResponseType::InvalidRequest => {
                    "the exchange of the code is malformed (invalid_request)"
                }
                CoreErrorResponseType::InvalidScope => "the scopes are not allowed (invalid_scope)",
                _ => "the exchange of the code was denied",
            }),
            _ => self.refused("the token endpoint's answer is not what OpenID Connect says"),
        }
    }

    fn refused(&self, why: &str) -> IdpError {
        refused(&self.settings.issuer, why)
    }
}

fn redirect(ask: &Ask) -> Result<RedirectUrl, IdpError> {
    let url = RedirectUrl::new(ask.redirect_uri.clone());
    url.map_err(|_| IdpError::Refused("our own callback is not a URL".to_owned()))
}
