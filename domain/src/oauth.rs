//! The authorization request that `terraform login` makes, and its rules (RFC 6749, RFC 7636, RFC 8252).

use sha2::Digest;
use thiserror::Error;
use url::{Host, Url};

use crate::secret::same_bytes;

/// The lowest port of a redirect to the command line.
pub const FIRST_PORT: u16 = 10_000;
/// The highest port of a redirect to the command line.
pub const LAST_PORT: u16 = 10_010;
const MAX_STATE: usize = 512;
const MAX_REDIRECT: usize = 256;

/// Why an authorization or token request is malformed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OauthError {
    /// A parameter is missing, doubled or malformed.
    #[error("{0}")]
    InvalidRequest(String),
    /// The client is not known here.
    #[error("Invalid client_id: this server knows the clients `terraform-cli` and `taco`")]
    UnknownClient,
    /// The redirect address is outside the rule.
    #[error(
        "Invalid redirect_uri: it must be http on localhost, 127.0.0.1 or [::1], with a port from 10000 to 10010, \
         without user, query or fragment"
    )]
    BadRedirect,
    /// Only the code flow is spoken.
    #[error("response_type must be `code`")]
    ResponseType,
    /// Only S256 is accepted.
    #[error("code_challenge_method must be `S256`, with a code_challenge of 43 base64url characters")]
    BadChallenge,
}

/// A program that may ask for a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// `terraform login` and `tofu login`.
    TerraformCli,
    /// `taco login`.
    Taco,
}

impl Client {
    /// The `client_id`.
    pub const fn id(self) -> &'static str {
        match self {
            Self::TerraformCli => "terraform-cli",
            Self::Taco => "taco",
        }
    }

    /// The program, as people call it.
    pub const fn program(self) -> &'static str {
        match self {
            Self::TerraformCli => "Terraform",
            Self::Taco => "taco",
        }
    }

    /// The command that begins a login with it.
    pub const fn command(self) -> &'static str {
        match self {
            Self::TerraformCli => "terraform login",
            Self::Taco => "taco login",
        }
    }

    /// The client of that `client_id`.
    ///
    /// # Errors
    /// [`OauthError::UnknownClient`].
    pub fn from_id(id: &str) -> Result<Self, OauthError> {
        let known = [Self::TerraformCli, Self::Taco];
        known.into_iter().find(|client| client.id() == id).ok_or(OauthError::UnknownClient)
    }
}

/// Where the browser is sent with the code: the command line's own listener on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectUri(Url);

impl RedirectUri {
    /// Reads and checks a redirect address.
    ///
    /// # Errors
    /// [`OauthError::BadRedirect`] unless it is http, on a loopback name, with port 10000 to 10010, without user
    /// information, query and fragment, and at most 256 bytes long.
    pub fn parse(text: &str) -> Result<Self, OauthError> {
        // URL parsers repair backslashes, tabs and line ends; an address that needs repair is refused.
        let plain = text.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'\\');
        let url = Url::parse(text).map_err(|_| OauthError::BadRedirect)?;
        let loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.octets() == [127, 0, 0, 1],
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        let port = url.port().is_some_and(|port| (FIRST_PORT..=LAST_PORT).contains(&port));
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
            && url.query().is_none();
        let literal = ["http://localhost:", "http://127.0.0.1:", "http://[::1]:"];
        let literal = literal.iter().any(|origin| text.starts_with(origin)) && text.len() <= MAX_REDIRECT;
        // Nothing that a parser would have written otherwise: two spellings of one address would be two addresses.
        let canonical = url.as_str() == text || url.as_str().strip_suffix('/') == Some(text);
        if plain && canonical && literal && loopback && port && bare {
            Ok(Self(url))
        } else {
            Err(OauthError::BadRedirect)
        }
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Scheme, host and port, as a content security policy names them. Its language has no IPv6 addresses, and browsers
    /// ignore a source with one, so there the port under any name stands for it.
    pub fn source(&self) -> String {
        match self.0.host() {
            Some(Host::Ipv6(_)) => format!("http://*:{}", self.port()),
            _ => self.0.origin().ascii_serialization(),
        }
    }

    /// The port, for people.
    pub fn port(&self) -> u16 {
        self.0.port().unwrap_or(0)
    }

    /// The address with a code and the client's own state added to its query.
    pub fn with_code(&self, code: &str, state: &str) -> String {
        let mut url = self.0.clone();
        url.query_pairs_mut().append_pair("code", code).append_pair("state", state);
        url.into()
    }
}

/// A PKCE challenge: base64url of the SHA-256 of the verifier (RFC 7636, S256).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(String);

impl Challenge {
    /// Reads a challenge.
    ///
    /// # Errors
    /// [`OauthError::BadChallenge`] unless it is 43 base64url characters.
    pub fn parse(text: &str) -> Result<Self, OauthError> {
        match data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()) {
            Ok(digest) if digest.len() == 32 => Ok(Self(text.to_owned())),
            _ => Err(OauthError::BadChallenge),
        }
    }

    /// The challenge as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a verifier (43 to 128 unreserved characters) answers it.
    pub fn is_met_by(&self, verifier: &str) -> bool {
        let character = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let well_formed = (43..=128).contains(&verifier.len()) && verifier.bytes().all(character);
        let digest = data_encoding::BASE64URL_NOPAD.encode(&sha2::Sha256::digest(verifier.as_bytes()));
        well_formed && same_bytes(digest.as_bytes(), self.0.as_bytes())
    }
}

/// A valid authorization request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationRequest {
    /// Who asks.
    pub client: Client,
    /// Where the answer goes.
    pub redirect: RedirectUri,
    /// What the token request must prove.
    pub challenge: Challenge,
    /// The client's own state, handed back as it came; at most 512 bytes.
    pub state: String,
}

/// Takes the one value of a parameter from decoded pairs.
///
/// # Errors
/// [`OauthError::InvalidRequest`] when it is missing or stands there twice (RFC 6749 section 3.1).
pub fn single<'a>(pairs: &'a [(String, String)], name: &str) -> Result<&'a str, OauthError> {
    let mut values = pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Ok(value),
        (Some(_), Some(_)) => Err(OauthError::InvalidRequest(format!("parameter {name} stands there twice"))),
        _ => Err(OauthError::InvalidRequest(format!("parameter {name} is missing"))),
    }
}

impl AuthorizationRequest {
    /// Checks the decoded query of an authorization request.
    ///
    /// # Errors
    /// [`OauthError`] for the first rule that is broken: client, redirect, response type, challenge, state.
    pub fn parse(pairs: &[(String, String)]) -> Result<Self, OauthError> {
        let client = Client::from_id(single(pairs, "client_id")?)?;
        let redirect = RedirectUri::parse(single(pairs, "redirect_uri")?)?;
        if single(pairs, "response_type")? != "code" {
            return Err(OauthError::ResponseType);
        }
        if single(pairs, "code_challenge_method")? != "S256" {
            return Err(OauthError::BadChallenge);
        }
        let challenge = Challenge::parse(single(pairs, "code_challenge")?)?;
        let state = single(pairs, "state")?;
        if state.len() > MAX_STATE {
            return Err(OauthError::InvalidRequest("parameter state is longer than 512 bytes".to_owned()));
        }
        Ok(Self { client, redirect, challenge, state: state.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn redirects_go_to_the_command_line_on_this_machine_and_nowhere_else() {
        for good in ["http://localhost:10000/login", "http://127.0.0.1:10010/", "http://[::1]:10005/x"] {
            assert!(RedirectUri::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "https://localhost:10000/login",
            "http://localhost:9999/login",
            "http://localhost:10011/login",
            "http://localhost/login",
            "http://evil.example:10000/login",
            "http://localhost.evil.example:10000/",
            "http://localhost@evil.example:10000/",
            "http://user@localhost:10000/",
            "http://@localhost:10000/",
            "http://localhost:10000/#x",
            "http://localhost:10000\\@evil.example/",
            "http:/\\evil.example:10000/",
            "http://loc\talhost:10000/",
            "HTTP://localhost:10000/",
            "http://127.0.0.2:10000/",
            "http://0x7f.1:10000/",
            "http://%6cocalhost:10000/",
            "http:///localhost:10000/",
            "http://localhost:10000/login?code=evil",
            "javascript:alert(1)",
            "",
        ] {
            assert_eq!(RedirectUri::parse(bad), Err(OauthError::BadRedirect), "{bad}");
        }
    }

    #[test]
    fn the_code_lands_in_the_query_and_cannot_break_out() {
        let redirect = RedirectUri::parse("http://localhost:10000/login").unwrap();
        assert_eq!(redirect.with_code("a&b", "x#y"), "http://localhost:10000/login?code=a%26b&state=x%23y");
    }

    #[test]
    fn a_request_with_a_doubled_parameter_is_refused() {
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        let mut pairs = vec![
            pair("client_id", "terraform-cli"),
            pair("redirect_uri", "http://localhost:10000/login"),
            pair("response_type", "code"),
            pair("code_challenge_method", "S256"),
            pair("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            pair("state", "s"),
        ];
        assert!(AuthorizationRequest::parse(&pairs).is_ok());
        for i in 0..pairs.len() {
            let mut without = pairs.clone();
            without.remove(i);
            assert!(AuthorizationRequest::parse(&without).is_err(), "without {:?}", pairs[i]);
        }
        pairs.push(pair("redirect_uri", "http://evil.example/"));
        assert!(AuthorizationRequest::parse(&pairs).is_err());
    }

    #[test]
    fn the_example_of_rfc_7636_is_met_by_its_verifier_alone() {
        let challenge = Challenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap();
        assert!(challenge.is_met_by("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert!(!challenge.is_met_by("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl"));
    }

    proptest! {
        #[test]
        fn an_accepted_redirect_is_always_loopback(text in "(http://)?[a-z0-9.@:\\[\\]#/\\\\?]{0,40}") {
            if let Ok(redirect) = RedirectUri::parse(&text) {
                let (text, source) = (redirect.as_str(), redirect.source());
                prop_assert!(["http://localhost:", "http://127.0.0.1:", "http://[::1]:"].iter().any(|o| text.starts_with(o)));
                prop_assert!(["http://localhost:", "http://127.0.0.1:", "http://*:"].iter().any(|o| source.starts_with(o)));
            }
        }
    }
}
