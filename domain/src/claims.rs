//! What sealed sessions and signed codes say, and when they count.

use std::time::Duration;

use sha2::Digest;
use thiserror::Error;

use crate::actor::Subject;
use crate::id::TokenId;
use crate::oauth::{AuthorizationRequest, Challenge, Client, RedirectUri};
use crate::secret::{Secret, same_bytes};
use crate::time::Timestamp;
use crate::token::Parent;

/// How long a login may take in the browser.
pub const SESSION_LIFE: Duration = Duration::from_mins(5);
/// How long an authorization code lives.
pub const CODE_LIFE: Duration = Duration::from_mins(5);
/// How far clocks may differ.
pub const TOLERANCE: Duration = Duration::from_secs(30);

/// How far a login has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The person has not said who they are.
    Identify,
    /// The person is at the identity provider.
    Away(AtProvider),
    /// The person is known and has not yet allowed or denied.
    Consent(Person),
}

/// What must be the same when a person comes back from the identity provider.
#[derive(Clone, Debug)]
pub struct AtProvider {
    /// Our callback, as the provider was told: an absolute URL.
    pub redirect_uri: String,
    /// What the id token must repeat.
    pub nonce: String,
    /// The secret half of the PKCE pair towards the provider.
    pub verifier: Secret<String>,
}

impl PartialEq for AtProvider {
    fn eq(&self, other: &Self) -> bool {
        self.redirect_uri == other.redirect_uri
            && self.nonce == other.nonce
            && same_bytes(self.verifier.expose().as_bytes(), other.verifier.expose().as_bytes())
    }
}

impl Eq for AtProvider {}

/// Who has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub subject: Subject,
    /// What the person is called on the consent page.
    pub shown: String,
}

/// A login under way, sealed into the page that the browser shows; the server keeps nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSession {
    /// What the client asked for.
    pub request: AuthorizationRequest,
    /// When the login began.
    pub issued_at: Timestamp,
    /// SHA-256 of the browser's login cookie.
    pub browser: [u8; 32],
    /// The id of the code this login is worth: one login gives one token, however often its pages are sent.
    pub jti: [u8; 16],
    /// How far it has come.
    pub stage: Stage,
}

/// SHA-256 of a login cookie: what a session remembers of the browser that began it.
pub fn browser_digest(cookie: &str) -> [u8; 32] {
    sha2::Sha256::digest(cookie.as_bytes()).into()
}

/// Why a sealed session does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SessionError {
    /// It does not open, or is too old.
    #[error(
        "Invalid or expired state: this login took longer than 5 minutes, or began at a server with another OPENTACO_OAUTH_STATE_KEY; start `terraform login` again"
    )]
    Invalid,
    /// It was begun in another browser.
    #[error(
        "Invalid or expired state: this login was begun in another browser; start `terraform login` again, with cookies allowed"
    )]
    OtherBrowser,
}

impl LoginSession {
    /// Whether the session is young enough and this is the browser that began it.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn check(&self, browser: Option<[u8; 32]>, now: Timestamp) -> Result<(), SessionError> {
        if now.since(self.issued_at) > SESSION_LIFE || self.issued_at.since(now) > TOLERANCE {
            return Err(SessionError::Invalid);
        }
        match browser {
            Some(digest) if same_bytes(&digest, &self.browser) => Ok(()),
            _ => Err(SessionError::OtherBrowser),
        }
    }
}

/// What the person decided on the consent page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The client may act as them.
    Allowed,
    /// It may not; the exchange of the code says so, because Terraform's listener knows no error.
    Denied(Denial),
}

/// Why a login that came back to us gives nothing. Its text is the sentence that the command line prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Denial {
    /// The person pressed Deny on our page.
    #[error("the login was denied in the browser")]
    Here,
    /// The person, or the provider itself, refused there.
    #[error("the login was denied at the identity provider")]
    AtProvider,
    /// The provider knows the person, and they may not log in here.
    #[error(
        "this account may not log in here: ask for its e-mail domain (which the provider must have verified) in OPENTACO_AUTH_ALLOWED_DOMAINS, or one of its groups in OPENTACO_AUTH_ALLOWED_GROUPS"
    )]
    NotAllowed,
    /// The account is disabled here.
    #[error("this account is disabled here; ask an administrator")]
    Disabled,
    /// The provider does not allow this server what it asks for.
    #[error(
        "the identity provider refused this server's request: its registration there must allow the redirect address, the scopes in OPENTACO_AUTH_SCOPES and the code flow"
    )]
    Registration,
    /// What the provider said is not believed.
    #[error("the identity provider's answer was refused; the server's log says why")]
    Refused,
    /// The provider does not answer.
    #[error("the identity provider did not answer; try again in a moment")]
    Unavailable,
}

impl Denial {
    const ALL: [Self; 7] = [
        Self::Here,
        Self::AtProvider,
        Self::NotAllowed,
        Self::Disabled,
        Self::Registration,
        Self::Refused,
        Self::Unavailable,
    ];

    /// Its name in a code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::AtProvider => "provider",
            Self::NotAllowed => "not-allowed",
            Self::Disabled => "disabled",
            Self::Registration => "registration",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        }
    }

    /// The denial of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|denial| denial.as_str() == name)
    }
}

/// What an authorization code says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeClaims {
    /// Who logged in.
    pub subject: Subject,
    /// The code's own id: 128 random bits.
    pub jti: [u8; 16],
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it dies.
    pub expires_at: Timestamp,
    /// For which client.
    pub client: Client,
    /// Where it was sent.
    pub redirect: RedirectUri,
    /// What its presenter must prove.
    pub challenge: Challenge,
    /// What the person decided.
    pub verdict: Verdict,
}

/// Why a token request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RedeemError {
    /// The code does not count: forged, too old, used, or for another client, redirect or verifier.
    #[error("Invalid or expired authorization code")]
    InvalidGrant,
    /// The login was denied.
    #[error("{0}")]
    Denied(Denial),
}

impl CodeClaims {
    /// The code for a session whose person has decided.
    pub fn new(
        request: &AuthorizationRequest,
        subject: Subject,
        jti: [u8; 16],
        verdict: Verdict,
        now: Timestamp,
    ) -> Self {
        Self {
            subject,
            jti,
            issued_at: now,
            expires_at: now.plus(CODE_LIFE),
            client: request.client,
            redirect: request.redirect.clone(),
            challenge: request.challenge.clone(),
            verdict,
        }
    }

    /// The id of the token this code is worth: derived, so that a code presented twice meets its own token.
    pub fn token_id(&self) -> TokenId {
        let digest =
            sha2::Sha256::new().chain_update(b"opentaco token of code ").chain_update(self.jti).finalize();
        let mut id = [0; 10];
        id.copy_from_slice(&digest[..10]);
        TokenId::from_bytes(id)
    }

    /// Whether the presenter of the code is who it was made for. Nothing is used up here.
    ///
    /// # Errors
    /// [`RedeemError::InvalidGrant`] when client, redirect, verifier or time are wrong; then, only for the rightful
    /// presenter, [`RedeemError::Denied`] with the reason.
    pub fn redeem(
        &self,
        client: Client,
        redirect: &str,
        verifier: &str,
        now: Timestamp,
    ) -> Result<(), RedeemError> {
        let in_time = now <= self.expires_at.plus(TOLERANCE)
            && now.plus(TOLERANCE) >= self.issued_at
            && self.expires_at.since(self.issued_at) <= CODE_LIFE;
        let same_redirect = RedirectUri::parse(redirect).is_ok_and(|given| given == self.redirect);
        if !(in_time && client == self.client && same_redirect && self.challenge.is_met_by(verifier)) {
            return Err(RedeemError::InvalidGrant);
        }
        match self.verdict {
            Verdict::Allowed => Ok(()),
            Verdict::Denied(why) => Err(RedeemError::Denied(why)),
        }
    }
}

/// How long a used refresh token still gets the successor it got, for a client that lost the answer.
pub const REPEAT: Duration = Duration::from_secs(30);

/// What a signed bearer token is for. Each purpose has its own `typ` and audience, and one never counts as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Calls of the management API.
    Access,
    /// Getting the next access token.
    Refresh,
    /// A session of the S3 door.
    S3,
}

/// What a signed bearer token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BearerClaims {
    /// Who bears it.
    pub subject: Subject,
    /// What it hangs from.
    pub parent: Parent,
    /// Its own id: 128 random bits.
    pub jti: [u8; 16],
    /// When it was made, in whole seconds.
    pub issued_at: Timestamp,
    /// When it dies, in whole seconds.
    pub expires_at: Timestamp,
}

/// A bearer token's times are wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expired or not valid yet")]
pub struct OutOfTime;

impl BearerClaims {
    /// Whether it lives now, with [`TOLERANCE`] for clocks that differ.
    ///
    /// # Errors
    /// [`OutOfTime`].
    pub fn check(&self, now: Timestamp) -> Result<(), OutOfTime> {
        let in_time = now <= self.expires_at.plus(TOLERANCE) && now.plus(TOLERANCE) >= self.issued_at;
        if in_time { Ok(()) } else { Err(OutOfTime) }
    }
}

/// The refresh token that follows a used one; kept, so that a client that lost the answer gets the same again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// Its id.
    pub jti: [u8; 16],
    /// When it was made, which is when the other was used.
    pub issued_at: Timestamp,
    /// When it dies.
    pub expires_at: Timestamp,
}

impl Successor {
    /// Whether the used token may get this successor once more. Later it was stolen, or its successor was.
    pub fn may_repeat(&self, now: Timestamp) -> bool {
        now.since(self.issued_at) <= REPEAT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const REDIRECT: &str = "http://localhost:10000/login";

    fn request() -> AuthorizationRequest {
        AuthorizationRequest {
            client: Client::TerraformCli,
            redirect: RedirectUri::parse(REDIRECT).unwrap(),
            challenge: Challenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap(),
            state: "s".into(),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1000)
    }

    #[test]
    fn a_code_counts_for_its_presenter_for_five_minutes() {
        let code = CodeClaims::new(&request(), Subject::local_owner(), [0; 16], Verdict::Allowed, at(0));
        let redeem = |redirect, verifier, now| code.redeem(Client::TerraformCli, redirect, verifier, now);
        assert_eq!(redeem(REDIRECT, VERIFIER, at(0)), Ok(()));
        assert_eq!(redeem(REDIRECT, VERIFIER, at(330)), Ok(()));
        assert_eq!(redeem(REDIRECT, VERIFIER, at(331)), Err(RedeemError::InvalidGrant));
        assert_eq!(redeem(REDIRECT, VERIFIER, at(-31)), Err(RedeemError::InvalidGrant));
        assert_eq!(redeem("http://localhost:10001/login", VERIFIER, at(1)), Err(RedeemError::InvalidGrant));
        assert_eq!(redeem(REDIRECT, "wrong", at(1)), Err(RedeemError::InvalidGrant));
    }

    #[test]
    fn a_denial_is_told_only_to_who_could_redeem() {
        let code = CodeClaims::new(
            &request(),
            Subject::local_owner(),
            [0; 16],
            Verdict::Denied(Denial::NotAllowed),
            at(0),
        );
        assert_eq!(
            code.redeem(Client::TerraformCli, REDIRECT, VERIFIER, at(1)),
            Err(RedeemError::Denied(Denial::NotAllowed))
        );
        assert_eq!(code.redeem(Client::TerraformCli, REDIRECT, "x", at(1)), Err(RedeemError::InvalidGrant));
    }

    #[test]
    fn a_session_is_young_and_of_this_browser() {
        let session = LoginSession {
            request: request(),
            issued_at: at(0),
            browser: [7; 32],
            jti: [0; 16],
            stage: Stage::Identify,
        };
        assert_eq!(session.check(Some([7; 32]), at(300)), Ok(()));
        assert_eq!(session.check(Some([7; 32]), at(301)), Err(SessionError::Invalid));
        assert_eq!(session.check(Some([7; 32]), at(-31)), Err(SessionError::Invalid));
        assert_eq!(session.check(Some([8; 32]), at(1)), Err(SessionError::OtherBrowser));
        assert_eq!(session.check(None, at(1)), Err(SessionError::OtherBrowser));
    }

    #[test]
    fn a_bearer_token_is_refused_31_seconds_after_its_end() {
        let claims = BearerClaims {
            subject: Subject::local_owner(),
            parent: Parent::Family(TokenId::from_bytes([1; 10])),
            jti: [0; 16],
            issued_at: at(0),
            expires_at: at(60),
        };
        assert_eq!(claims.check(at(-30)), Ok(()));
        assert_eq!(claims.check(at(90)), Ok(()));
        assert_eq!(claims.check(at(91)), Err(OutOfTime));
        assert_eq!(claims.check(at(-31)), Err(OutOfTime));
    }

    #[test]
    fn a_used_refresh_token_gets_its_successor_again_for_thirty_seconds() {
        let successor = Successor { jti: [0; 16], issued_at: at(0), expires_at: at(60) };
        assert!(successor.may_repeat(at(30)));
        assert!(!successor.may_repeat(at(31)));
    }

    #[test]
    fn every_denial_is_told_in_a_sentence_and_reads_back() {
        for denial in Denial::ALL {
            assert_eq!(Denial::from_name(denial.as_str()), Some(denial));
            assert!(denial.to_string().split(' ').count() > 4, "{denial}");
        }
        assert_eq!(Denial::from_name("maybe"), None);
    }
}
