//! `terraform login`: the authorization-code flow with PKCE, with nothing kept on the server but the token.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentaco_domain::actor::{BadSubject, Subject};
use opentaco_domain::claims::{
    CodeClaims, LoginSession, RedeemError, SessionError, Stage, Verdict, browser_digest,
};
use opentaco_domain::login_code::{LoginCode, LoginCodeError};
use opentaco_domain::oauth::{AuthorizationRequest, Client, OauthError, single};
use opentaco_domain::secret::Secret;
use opentaco_domain::time::Timestamp;
use opentaco_domain::token::{ApiToken, TokenRecord};
use thiserror::Error;

use super::Driven;
use crate::driven::tokens::TokenMade;
use crate::driven::{Sealer, Signer, StoreError, Terminal, random};

/// How a person says who they are while no provider is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// With the one-time code from the server's terminal.
    TerminalCode,
    /// With any name: development only.
    AnyName,
}

/// Why a login went no further.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LoginError {
    /// The request is malformed.
    #[error(transparent)]
    Oauth(#[from] OauthError),
    /// The sealed session does not count.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The login code was refused.
    #[error(transparent)]
    Code(#[from] LoginCodeError),
    /// The name was refused.
    #[error(transparent)]
    Name(#[from] BadSubject),
    /// The authorization code was refused.
    #[error(transparent)]
    Redeem(#[from] RedeemError),
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A page of the login: what it asks and the session it carries.
#[derive(Clone)]
pub struct Step {
    /// The session, sealed, for a hidden field.
    pub sealed: String,
    /// The session in clear, for what the page says.
    pub session: LoginSession,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The sealed session is worth a login.
        f.debug_struct("Step").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Use cases of the login.
#[derive(Clone)]
pub struct Login {
    driven: Arc<Driven>,
    signer: Arc<dyn Signer>,
    sealer: Arc<dyn Sealer>,
    terminal: Arc<dyn Terminal>,
    method: Method,
    token_life: Option<Duration>,
    code: Arc<Mutex<LoginCode>>,
}

impl Login {
    /// Use cases over these ports; `token_life` is the life of the tokens it makes, none for ever.
    pub fn new(
        driven: Arc<Driven>,
        signer: Arc<dyn Signer>,
        sealer: Arc<dyn Sealer>,
        terminal: Arc<dyn Terminal>,
        method: Method,
        token_life: Option<Duration>,
    ) -> Self {
        let code = Arc::new(Mutex::new(LoginCode::new(random(&*driven.entropy))));
        Self { driven, signer, sealer, terminal, method, token_life, code }
    }

    /// How people log in here.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Shows the valid login code on the terminal, if this method has one.
    pub fn show_code(&self) {
        if self.method == Method::TerminalCode {
            let code = self.code.lock().unwrap_or_else(PoisonError::into_inner).reveal();
            self.terminal.show_login_code(code.expose());
        }
    }

    /// A fresh value for a browser's login cookie: 32 random bytes in base64url.
    pub fn fresh_cookie(&self) -> String {
        data_encoding::BASE64URL_NOPAD.encode(&random::<32>(&*self.driven.entropy))
    }

    /// Checks an authorization request and begins a login in the browser that has this cookie.
    ///
    /// # Errors
    /// [`LoginError::Oauth`]; the browser must then not be sent anywhere.
    pub fn begin(&self, query: &[(String, String)], cookie: &str) -> Result<Step, LoginError> {
        let request = AuthorizationRequest::parse(query)?;
        Ok(self.seal(LoginSession {
            request,
            issued_at: self.driven.clock.now(),
            browser: browser_digest(cookie),
            jti: random(&*self.driven.entropy),
            stage: Stage::Identify,
        }))
    }

    /// Takes the proof of who the person is: the login code, or a name.
    ///
    /// # Errors
    /// [`LoginError::Session`]; [`LoginError::Code`] or [`LoginError::Name`], after which the same page may be tried
    /// again.
    pub fn identify(&self, sealed: &str, cookie: Option<&str>, proof: &str) -> Result<Step, LoginError> {
        let session = self.open(sealed, cookie)?;
        if session.stage != Stage::Identify {
            return Err(SessionError::Invalid.into());
        }
        let subject = match self.method {
            Method::AnyName => Subject::development(proof.trim())?,
            Method::TerminalCode => {
                let next = random(&*self.driven.entropy);
                let mut code = self.code.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Timestamp::default().plus(self.driven.clock.mono());
                code.try_code(proof, session.browser, next, now)?;
                self.terminal.show_login_code(code.reveal().expose());
                Subject::local_owner()
            }
        };
        Ok(self.seal(LoginSession { stage: Stage::Consent(subject), ..session }))
    }

    /// Opens a session for showing its page again.
    ///
    /// # Errors
    /// [`LoginError::Session`].
    pub fn again(&self, sealed: &str, cookie: Option<&str>) -> Result<Step, LoginError> {
        Ok(self.seal(self.open(sealed, cookie)?))
    }

    /// Takes the person's decision and says where the browser goes with it: always to the command line.
    ///
    /// # Errors
    /// [`LoginError::Session`].
    pub fn decide(&self, sealed: &str, cookie: Option<&str>, verdict: Verdict) -> Result<String, LoginError> {
        let session = self.open(sealed, cookie)?;
        let Stage::Consent(subject) = session.stage else {
            return Err(SessionError::Invalid.into());
        };
        let now = self.driven.clock.now();
        let claims = CodeClaims::new(&session.request, subject, session.jti, verdict, now);
        let code = self.signer.sign_code(&claims);
        Ok(session.request.redirect.with_code(&code, &session.request.state))
    }

    /// Exchanges an authorization code for an API token. A wrong presenter burns nothing; a second valid presentation
    /// ends the token that the first one got (RFC 6749 section 4.1.2).
    ///
    /// # Errors
    /// [`LoginError::Oauth`], [`LoginError::Redeem`], [`LoginError::Store`].
    pub async fn redeem(
        &self,
        form: &[(String, String)],
    ) -> Result<(Secret<String>, TokenRecord), LoginError> {
        let client = Client::from_id(single(form, "client_id")?)?;
        let (code, redirect) = (single(form, "code")?, single(form, "redirect_uri")?);
        let verifier = single(form, "code_verifier")?;
        let now = self.driven.clock.now();
        let claims = self.signer.open_code(code).ok_or(RedeemError::InvalidGrant)?;
        claims.redeem(client, redirect, verifier, now)?;
        let token = ApiToken::new(claims.token_id(), random(&*self.driven.entropy));
        let record = TokenRecord::new(&token, claims.subject, "terraform login", now, self.token_life);
        match self.driven.tokens.create(&record).await? {
            TokenMade::Created => Ok((token.reveal(), record)),
            TokenMade::Taken => {
                self.driven.tokens.revoke(&record.id, &record.owner, now).await?;
                Err(RedeemError::InvalidGrant.into())
            }
        }
    }

    fn seal(&self, session: LoginSession) -> Step {
        let sealed = self.sealer.seal_session(&session, random(&*self.driven.entropy));
        Step { sealed, session }
    }

    fn open(&self, sealed: &str, cookie: Option<&str>) -> Result<LoginSession, SessionError> {
        let session = self.sealer.open_session(sealed).ok_or(SessionError::Invalid)?;
        session.check(cookie.map(browser_digest), self.driven.clock.now())?;
        Ok(session)
    }
}
