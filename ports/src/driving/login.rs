//! `terraform login` and `taco login`: the authorization-code flow with PKCE, with nothing kept on the server but who
//! logged in and the token.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentaco_domain::actor::{Actor, BadSubject, Door, Subject};
use opentaco_domain::claims::{
    AtProvider, CodeClaims, Denial, LoginSession, Person, RedeemError, SessionError, Stage, Verdict,
    browser_digest,
};
use opentaco_domain::login_code::{LoginCode, LoginCodeError};
use opentaco_domain::oauth::{AuthorizationRequest, Client, OauthError, single};
use opentaco_domain::rbac::Scope;
use opentaco_domain::role::Right;
use opentaco_domain::secret::Secret;
use opentaco_domain::time::Timestamp;
use opentaco_domain::token::{ApiToken, Terms, TokenName, TokenRecord, TokenRefused};
use opentaco_domain::user::{Admission, Identity, User};
use thiserror::Error;

use super::access::{Access, AccessError};
use super::sessions::{Session, Sessions};
use super::{Driven, Failure};
use crate::change::{Decision, change};
use crate::driven::idp::{Ask, IdentityProvider, IdpError, ProviderFacts};
use crate::driven::records::ChangeKind;
use crate::driven::tokens::TokenMade;
use crate::driven::{Sealer, Signer, StoreError, Terminal, random};

/// How a person says who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// With the one-time code from the server's terminal.
    TerminalCode,
    /// With any name: development only.
    AnyName,
    /// At the identity provider.
    Provider,
}

/// The identity provider, and who of its users may log in.
#[derive(Clone)]
pub struct ProviderLogin {
    /// Where they prove who they are.
    pub provider: Arc<dyn IdentityProvider>,
    /// Who of them is let in. Administrators always are.
    pub admission: Admission,
}

/// How people log in, with what that needs.
#[derive(Clone)]
pub enum How {
    /// As [`Method::TerminalCode`].
    TerminalCode(Arc<dyn Terminal>),
    /// As [`Method::AnyName`].
    AnyName,
    /// As [`Method::Provider`].
    Provider(ProviderLogin),
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
    /// The identity provider does not answer.
    #[error(transparent)]
    Provider(#[from] IdpError),
    /// Storage failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whether the login was written down is unknown.
    #[error("storage did not answer; try again")]
    Unwritten,
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

/// What the browser does next.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, on its way to be rendered")]
pub enum Next {
    /// It shows a page.
    Page(Step),
    /// It goes to the identity provider.
    Provider(String),
    /// It goes to the command line with a denial, because the listener there understands no error.
    Denied(String, Denial),
}

/// What a client says about itself when it redeems a code; for the token's name only.
#[derive(Clone, Debug, Default)]
pub struct Presenter {
    /// The address it calls from.
    pub address: Option<String>,
    /// Its `User-Agent`.
    pub agent: Option<String>,
}

/// What a code is worth.
#[derive(Debug)]
pub enum Redeemed {
    /// For Terraform, which knows no refreshing: an API token.
    Token(Secret<String>, TokenRecord),
    /// For taco: a session.
    Session(Session),
}

/// Use cases of the login.
#[derive(Clone)]
pub struct Login {
    driven: Arc<Driven>,
    access: Access,
    sessions: Sessions,
    signer: Arc<dyn Signer>,
    sealer: Arc<dyn Sealer>,
    how: How,
    token_life: Option<Duration>,
    code: Arc<Mutex<LoginCode>>,
}

impl Login {
    /// Use cases over these ports; `token_life` is the life of the API tokens it makes, none for ever.
    pub fn new(
        driven: Arc<Driven>,
        access: Access,
        sessions: Sessions,
        (signer, sealer): (Arc<dyn Signer>, Arc<dyn Sealer>),
        how: How,
        token_life: Option<Duration>,
    ) -> Self {
        let code = Arc::new(Mutex::new(LoginCode::new(random(&*driven.entropy))));
        Self { driven, access, sessions, signer, sealer, how, token_life, code }
    }

    /// How people log in here.
    pub fn method(&self) -> Method {
        match self.how {
            How::TerminalCode(_) => Method::TerminalCode,
            How::AnyName => Method::AnyName,
            How::Provider(_) => Method::Provider,
        }
    }

    /// What may be told about the identity provider, if there is one.
    pub fn provider(&self) -> Option<ProviderFacts> {
        match &self.how {
            How::Provider(login) => Some(login.provider.facts()),
            How::TerminalCode(_) | How::AnyName => None,
        }
    }

    /// Whether a caller may see how the login is set up: an administrator, and anybody under the development login.
    ///
    /// # Errors
    /// [`Failure::Denied`].
    pub fn may_debug(&self, caller: Option<&Actor>) -> Result<(), Failure> {
        match (self.method(), caller) {
            (Method::AnyName, _) => Ok(()),
            (_, Some(actor)) => Ok(actor.may(Right::RbacManage, None)?),
            (_, None) => Err(Failure::Bearer(AccessError::Refused(TokenRefused::Unknown))),
        }
    }

    /// Shows the valid login code on the terminal, if this method has one.
    pub fn show_code(&self) {
        if let How::TerminalCode(terminal) = &self.how {
            let code = self.code.lock().unwrap_or_else(PoisonError::into_inner).reveal();
            terminal.show_login_code(code.expose());
        }
    }

    /// A fresh value for a browser's login cookie: 32 random bytes in base64url.
    pub fn fresh_cookie(&self) -> String {
        self.random_text()
    }

    /// 32 random bytes in base64url.
    fn random_text(&self) -> String {
        data_encoding::BASE64URL_NOPAD.encode(&random::<32>(&*self.driven.entropy))
    }

    /// Checks an authorization request and begins a login in the browser that has this cookie. `callback` is the absolute
    /// URL of [`Login::returned`], as the browser reaches it.
    ///
    /// # Errors
    /// [`LoginError::Oauth`]: the browser must then not be sent anywhere. [`LoginError::Provider`] while the provider's
    /// endpoints are not known.
    pub async fn begin(
        &self,
        query: &[(String, String)],
        cookie: &str,
        callback: &str,
    ) -> Result<Next, LoginError> {
        let request = AuthorizationRequest::parse(query)?;
        let session = LoginSession {
            request,
            issued_at: self.driven.clock.now(),
            browser: browser_digest(cookie),
            jti: random(&*self.driven.entropy),
            stage: Stage::Identify,
        };
        let How::Provider(login) = &self.how else { return Ok(Next::Page(self.seal(session))) };
        let away = AtProvider {
            redirect_uri: callback.to_owned(),
            nonce: self.random_text(),
            verifier: Secret::new(self.random_text()),
        };
        let ask = ask(&away);
        let step = self.seal(LoginSession { stage: Stage::Away(away), ..session });
        Ok(Next::Provider(login.provider.authorization_url(&ask, &step.sealed).await?))
    }

    /// Takes the proof of who the person is: the login code, or a name.
    ///
    /// # Errors
    /// [`LoginError::Session`]; [`LoginError::Code`] or [`LoginError::Name`], after which the same page may be tried
    /// again; a failing store.
    pub async fn identify(
        &self,
        sealed: &str,
        cookie: Option<&str>,
        proof: &str,
    ) -> Result<Next, LoginError> {
        let session = self.open(sealed, cookie)?;
        if session.stage != Stage::Identify {
            return Err(SessionError::Invalid.into());
        }
        let subject = match &self.how {
            How::AnyName => Subject::development(proof.trim())?,
            How::TerminalCode(terminal) => {
                let next = random(&*self.driven.entropy);
                let mut code = self.code.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Timestamp::default().plus(self.driven.clock.mono());
                code.try_code(proof, session.browser, next, now)?;
                terminal.show_login_code(code.reveal().expose());
                Subject::local_owner()
            }
            How::Provider(_) => return Err(SessionError::Invalid.into()),
        };
        self.admit(session, Identity::bare(subject), &Admission::default()).await
    }

    /// Takes what the identity provider sent the browser back with: the query of our callback.
    ///
    /// # Errors
    /// [`LoginError::Session`], [`LoginError::Oauth`]: the browser must then not be sent anywhere. A failing store.
    pub async fn returned(
        &self,
        query: &[(String, String)],
        cookie: Option<&str>,
    ) -> Result<Next, LoginError> {
        let How::Provider(login) = &self.how else { return Err(SessionError::Invalid.into()) };
        let sealed = single(query, "state").map_err(|_| SessionError::Invalid)?;
        let session = self.open(sealed, cookie)?;
        let Stage::Away(away) = &session.stage else { return Err(SessionError::Invalid.into()) };
        if query.iter().any(|(name, _)| name == "error") {
            let denial = match single(query, "error") {
                Ok("access_denied" | "login_required" | "consent_required" | "interaction_required") => {
                    Denial::AtProvider
                }
                Ok("server_error" | "temporarily_unavailable") => Denial::Unavailable,
                // What the registration of this server there does not allow.
                Ok(
                    "invalid_scope" | "unauthorized_client" | "invalid_request" | "unsupported_response_type",
                ) => Denial::Registration,
                _ => Denial::Refused,
            };
            return Ok(self.deny(&session, denial));
        }
        let identity = match login.provider.identify(&ask(away), single(query, "code")?).await {
            Ok(identity) => identity,
            Err(IdpError::Unavailable(_)) => return Ok(self.deny(&session, Denial::Unavailable)),
            Err(IdpError::Refused(_)) => return Ok(self.deny(&session, Denial::Refused)),
        };
        self.admit(session, identity, &login.admission).await
    }

    /// Writes down who logged in, and asks for consent if they may.
    async fn admit(
        &self,
        session: LoginSession,
        identity: Identity,
        admission: &Admission,
    ) -> Result<Next, LoginError> {
        let policy = self.access.policy().await?;
        let now = self.driven.clock.now();
        let user = User::after_login(None, identity.clone(), now);
        let is_admitted = admission.admits(&user) || policy.is_administrator(&user.subject, Some(&user));
        // Of a stranger nothing is written; who is known must not keep what the provider says no more.
        if !is_admitted && self.access.user(&user.subject).await?.is_none() {
            return Ok(self.deny(&session, Denial::NotAllowed));
        }
        let author = (&user.subject, Door::Login);
        let written = change(
            self.driven.around(),
            &*self.driven.users,
            &user.subject,
            author,
            ChangeKind::LoggedIn,
            |entry, now| {
                let user = User::after_login(entry.map(|entry| &entry.value), identity.clone(), now);
                Ok::<_, Failure>(Decision::Append(user.clone(), user))
            },
        );
        let user = match written.await.map_err(Failure::from) {
            Ok(changed) => changed.answer,
            Err(Failure::Store(error)) => return Err(error.into()),
            Err(_) => return Err(LoginError::Unwritten),
        };
        self.access.forget_user(&user.subject);
        if user.disabled || !is_admitted {
            return Ok(self.deny(&session, if is_admitted { Denial::Disabled } else { Denial::NotAllowed }));
        }
        let shown = user.email.as_ref().map_or(user.subject.display_name(), |email| email.as_str());
        let person = Person { shown: shown.to_owned(), subject: user.subject };
        Ok(Next::Page(self.seal(LoginSession { stage: Stage::Consent(person), ..session })))
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
        let Stage::Consent(person) = &session.stage else {
            return Err(SessionError::Invalid.into());
        };
        Ok(self.answer(&session, person.subject.clone(), verdict))
    }

    fn deny(&self, session: &LoginSession, why: Denial) -> Next {
        // Nobody is named: what is denied is worth nothing to anybody.
        Next::Denied(self.answer(session, Subject::local_owner(), Verdict::Denied(why)), why)
    }

    fn answer(&self, session: &LoginSession, subject: Subject, verdict: Verdict) -> String {
        let now = self.driven.clock.now();
        let claims = CodeClaims::new(&session.request, subject, session.jti, verdict, now);
        let code = self.signer.sign_code(&claims);
        session.request.redirect.with_code(&code, &session.request.state)
    }

    /// Exchanges an authorization code for what its client can use. A wrong presenter burns nothing; a second valid
    /// presentation ends what the first one got (RFC 6749 section 4.1.2).
    ///
    /// # Errors
    /// [`LoginError::Oauth`], [`LoginError::Redeem`], [`LoginError::Store`].
    pub async fn redeem(
        &self,
        form: &[(String, String)],
        presenter: &Presenter,
    ) -> Result<Redeemed, LoginError> {
        let client = Client::from_id(single(form, "client_id")?)?;
        let (code, redirect) = (single(form, "code")?, single(form, "redirect_uri")?);
        let verifier = single(form, "code_verifier")?;
        let now = self.driven.clock.now();
        let claims = self.signer.open_code(code).ok_or(RedeemError::InvalidGrant)?;
        claims.redeem(client, redirect, verifier, now)?;
        let (id, owner) = (claims.token_id(), claims.subject);
        let (address, agent) = (presenter.address.as_deref(), presenter.agent.as_deref());
        let name = TokenName::of_login(client.command(), address, agent);
        let terms = |expires_at| Terms { owner: owner.clone(), name, scope: Scope::full(), expires_at };
        let redeemed = match client {
            Client::TerraformCli => {
                let token = ApiToken::new(id.clone(), random(&*self.driven.entropy));
                let end = self.token_life.map(|life| now.plus(life));
                let record = TokenRecord::api(&token, terms(end), now);
                let made = self.driven.tokens.create(&record).await?;
                (made == TokenMade::Created).then(|| Redeemed::Token(token.reveal(), record))
            }
            Client::Taco => self.sessions.begin(id.clone(), terms(None)).await?.map(Redeemed::Session),
        };
        if redeemed.is_none() {
            self.driven.tokens.revoke(&id, &owner, now).await?;
        }
        Ok(redeemed.ok_or(RedeemError::InvalidGrant)?)
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

fn ask(away: &AtProvider) -> Ask {
    Ask {
        redirect_uri: away.redirect_uri.clone(),
        nonce: away.nonce.clone(),
        verifier: away.verifier.clone(),
    }
}
