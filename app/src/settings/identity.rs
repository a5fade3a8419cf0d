//! Who comes in: the identity provider, who of its users may log in, who is an administrator, and which proxies are
//! believed about where a request comes from.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use opentaco_domain::principal::Principal;
use opentaco_domain::user::{Admission, Domains};
use opentaco_oidc::EmailVerified;
use url::Url;

use super::error::SettingsError;
use super::layers::Merged;
use super::{Secret, Settings, parse};

/// What only a provider gives a meaning.
const OF_A_PROVIDER: [&str; 11] = [
    "auth_client_id",
    "auth_client_secret",
    "auth_auth_url",
    "auth_token_url",
    "auth_jwks_url",
    "auth_userinfo_url",
    "auth_scopes",
    "auth_groups_claim",
    "auth_email_verified",
    "auth_allowed_domains",
    "auth_allowed_groups",
];

/// An `OpenID` Connect provider. What is `None` among its addresses is to be discovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSettings {
    /// Its issuer, exactly as written: issuers are compared as text.
    pub issuer: String,
    /// How it knows this server.
    pub client_id: String,
    /// What proves it; a public client has none.
    pub client_secret: Option<Secret>,
    /// Where a browser is sent to log in.
    pub auth_url: Option<Url>,
    /// Where a code becomes tokens.
    pub token_url: Option<Url>,
    /// The keys that sign its id tokens.
    pub jwks_url: Option<Url>,
    /// Where it says who somebody is.
    pub userinfo_url: Option<Url>,
    /// What is asked for, `openid` among it; in the order of the setting.
    pub scopes: Vec<String>,
    /// The claim that lists somebody's groups.
    pub groups_claim: String,
    /// When an address counts as verified.
    pub email_verified: EmailVerified,
}

/// The provider, if there is one.
pub(super) fn provider(merged: &Merged) -> Result<Option<ProviderSettings>, SettingsError> {
    let Some(issuer) = merged.optional("auth_issuer", issuer)? else {
        return unused(merged).map(|()| None);
    };
    let Some(client_id) = merged.optional("auth_client_id", client_id)? else {
        return Err(SettingsError::Conflict {
            name: "OPENTACO_AUTH_CLIENT_ID".to_owned(),
            reason: "must be set with OPENTACO_AUTH_ISSUER: the id under which this server is registered with the provider"
                .to_owned(),
        });
    };
    let provider = ProviderSettings {
        issuer,
        client_id,
        client_secret: merged.optional("auth_client_secret", |text| Some(Secret(text.to_owned())))?,
        auth_url: merged.optional("auth_auth_url", endpoint)?,
        token_url: merged.optional("auth_token_url", endpoint)?,
        jwks_url: merged.optional("auth_jwks_url", endpoint)?,
        userinfo_url: merged.optional("auth_userinfo_url", endpoint)?,
        scopes: scopes(merged)?,
        groups_claim: merged.required("auth_groups_claim", claim)?,
        email_verified: merged.required("auth_email_verified", email_verified)?,
    };
    if provider.auth_url.is_some()
        && provider.token_url.is_some()
        && provider.jwks_url.is_none()
        && provider.userinfo_url.is_none()
    {
        return Err(SettingsError::Conflict {
            name: "OPENTACO_AUTH_AUTH_URL and OPENTACO_AUTH_TOKEN_URL".to_owned(),
            reason: "no source of trust for the id token: set OPENTACO_AUTH_JWKS_URL or OPENTACO_AUTH_USERINFO_URL, or leave out the endpoints to have them discovered"
                .to_owned(),
        });
    }
    Ok(Some(provider))
}

/// Nothing that is set may be without effect.
fn unused(merged: &Merged) -> Result<(), SettingsError> {
    for key in OF_A_PROVIDER {
        if let Some(given) = merged.given(key)? {
            return Err(given.conflict("is only used with OPENTACO_AUTH_ISSUER; set that, or unset this"));
        }
    }
    Ok(())
}

/// Who of the provider's users may log in.
pub(super) fn allowed(merged: &Merged) -> Result<Admission, SettingsError> {
    let domains = match merged.found("auth_allowed_domains")? {
        None => None,
        Some(found) if found.value == "*" => Some(Domains::All),
        Some(found) if found.entries().any(|entry| entry == "*") => {
            return Err(found.conflict("* lets everybody in, so it stands alone; leave out * or the domains"));
        }
        Some(_) => Some(Domains::These(merged.listed("auth_allowed_domains", domain)?.into_iter().collect())),
    };
    let groups = merged.listed("auth_allowed_groups", group)?.into_iter().collect();
    Ok(Admission { domains, groups })
}

/// Administrators by name. Who nobody has checked, or who has rights from elsewhere, is refused with the reason.
pub(super) fn admins(merged: &Merged) -> Result<BTreeSet<Principal>, SettingsError> {
    let Some(found) = merged.found("admins")? else { return Ok(BTreeSet::new()) };
    let admin = |entry: &str| {
        let reason = match entry.split_once(':') {
            Some(("dev", _)) => "nobody checks the names of the development login",
            Some(("ci", _)) => "a workload has the rights that its [[trust]] rule gives",
            _ => return entry.parse().map_err(|_| found.refused_entry(entry)),
        };
        Err(found.conflict(format!(
            "{entry:?} cannot be an administrator: {reason}; name verified e-mail addresses or subjects of the provider (oidc:SUB)"
        )))
    };
    found.entries().map(admin).collect()
}

/// A network, or an address, which is the network of that address alone.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.ok().map(|network| network.trunc())
}

impl Settings {
    /// How people log in must be one way, and one that browsers and the provider can follow.
    pub(super) fn check_login(&self, merged: &Merged) -> Result<(), SettingsError> {
        if self.auth_dev_skip_verify
            && let Some(skip) = merged.found("auth_dev_skip_verify")?
        {
            if self.provider.is_some() {
                return Err(skip.conflict(
                    "true is a way to log in, and OPENTACO_AUTH_ISSUER is another; unset one of the two",
                ));
            }
            if !self.trusted_proxies.is_empty() {
                return Err(skip.conflict(
                    "true is for development: it is not accepted with OPENTACO_TRUSTED_PROXIES; unset one of the two",
                ));
            }
        }
        if !self.listen.is_loopback()
            && self.public_base_url.is_none()
            && let Some(issuer) = merged.found("auth_issuer")?
        {
            return Err(issuer.conflict(format!(
                "with OPENTACO_LISTEN {}, which is not loopback, OPENTACO_PUBLIC_BASE_URL must be set: the provider sends people back to that URL, and tokens name it as their issuer",
                self.listen
            )));
        }
        Ok(())
    }
}

fn scopes(merged: &Merged) -> Result<Vec<String>, SettingsError> {
    let scopes = merged.required("auth_scopes", |text| {
        let mut scopes: Vec<String> = Vec::new();
        for scope in text.split(|c: char| c == ',' || c.is_whitespace()).filter(|scope| !scope.is_empty()) {
            // RFC 6749 section 3.3.
            if !scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\') {
                return None;
            }
            if !scopes.iter().any(|known| known == scope) {
                scopes.push(scope.to_owned());
            }
        }
        Some(scopes)
    })?;
    match merged.found("auth_scopes")? {
        Some(found) if !scopes.iter().any(|scope| scope == "openid") => Err(found.conflict(format!(
            "{:?} does not have openid, without which the provider does not say who somebody is; add it",
            found.value
        ))),
        _ => Ok(scopes),
    }
}

/// An issuer, which stays as it is written.
pub(super) fn issuer(text: &str) -> Option<String> {
    let url = endpoint(text)?;
    url.query().is_none().then(|| text.to_owned())
}

/// A URL to which secrets go, or from which trust comes: nobody between here and there may read or change it.
fn endpoint(text: &str) -> Option<Url> {
    // The parser mends what is not written as a URL, and an issuer is compared as it is written.
    let is_plain = !text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\');
    if !is_plain || !(text.starts_with("https://") || text.starts_with("http://")) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (bare && (url.scheme() == "https" || parse::is_loopback_url(&url))).then_some(url)
}

/// What RFC 6749 appendix A.1 lets a client's id be.
fn client_id(text: &str) -> Option<String> {
    text.bytes().all(|b| b.is_ascii_graphic() || b == b' ').then(|| text.to_owned())
}

fn claim(text: &str) -> Option<String> {
    (!text.chars().any(|c| c.is_whitespace() || c.is_control())).then(|| text.to_owned())
}

fn email_verified(text: &str) -> Option<EmailVerified> {
    match text {
        "claim" => Some(EmailVerified::Claim),
        "always" => Some(EmailVerified::Always),
        _ => None,
    }
}

/// A domain as people write it: `example.com`, or `@example.com`.
fn domain(text: &str) -> Option<String> {
    let bare = text.strip_prefix('@').unwrap_or(text);
    let label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    bare.split('.').all(label).then(|| bare.to_ascii_lowercase())
}

/// A group's name. `*` would be a group of that name, which nobody means.
fn group(text: &str) -> Option<String> {
    (!text.is_empty() && text != "*" && !text.chars().any(char::is_control)).then(|| text.to_owned())
}
