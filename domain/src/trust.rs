//! Workload identity: which tokens of CI systems are worth an API token here (RFC 8693).

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

use crate::actor::{BadSubject, Subject};
use crate::name::NamePattern;
use crate::rbac::Scope;
use crate::role::Role;

/// The longest life of a token that a CI system gets.
pub const LONGEST_LIFE: Duration = Duration::from_hours(24);
/// A rule names at least one of these claims, so that it trusts somebody and not a whole CI system.
pub const IDENTIFYING: [&str; 3] = ["sub", "repository_id", "project_path"];

/// Why a trust rule is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadTrustRule {
    /// The name is outside the rule.
    #[error("name must have 1 to 64 lower-case letters, digits or `-`")]
    Name,
    /// The issuer is no https URL.
    #[error("issuer must be an https URL without query and fragment (http only on loopback)")]
    Issuer,
    /// The audience is missing.
    #[error("audience must be set: what the CI system puts into the `aud` of its tokens for this server")]
    Audience,
    /// No claim says whose tokens they are.
    #[error(
        "claims must name at least one of sub, repository_id and project_path, with a pattern that is more than `*`"
    )]
    Claims,
    /// The life is zero or longer than [`LONGEST_LIFE`].
    #[error("ttl must be longer than 0 and at most 24h")]
    Life,
}

/// One `[[trust]]` table: who of an issuer's workloads gets a token, and what the token may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRule {
    name: String,
    issuer: String,
    audience: String,
    claims: BTreeMap<String, NamePattern>,
    role: Role,
    unit: NamePattern,
    life: Duration,
}

/// What a verified token of a CI system says. Signature, issuer and times are checked before there is one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadToken {
    /// `iss`, exactly as the token has it.
    pub issuer: String,
    /// `aud`, one or several.
    pub audiences: Vec<String>,
    /// `sub`.
    pub subject: String,
    /// Every claim that is a text, a number or a truth, as text; `sub` among them.
    pub claims: BTreeMap<String, String>,
}

impl TrustRule {
    /// Checks the parts of a rule.
    ///
    /// # Errors
    /// [`BadTrustRule`] for the first part that is wrong.
    pub fn new(
        name: &str,
        issuer: &str,
        audience: &str,
        claims: BTreeMap<String, NamePattern>,
        scope: (Role, NamePattern),
        life: Duration,
    ) -> Result<Self, BadTrustRule> {
        if !is_rule_name(name) {
            return Err(BadTrustRule::Name);
        }
        if !is_issuer(issuer) {
            return Err(BadTrustRule::Issuer);
        }
        if audience.is_empty() {
            return Err(BadTrustRule::Audience);
        }
        if !IDENTIFYING.iter().any(|claim| claims.get(*claim).is_some_and(NamePattern::is_specific)) {
            return Err(BadTrustRule::Claims);
        }
        if life.is_zero() || life > LONGEST_LIFE {
            return Err(BadTrustRule::Life);
        }
        Ok(Self {
            name: name.to_owned(),
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            claims,
            role: scope.0,
            unit: scope.1,
            life,
        })
    }

    /// The rule's name, for people and for the subjects it makes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The issuer whose tokens it trusts, exactly as their `iss` has it.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// How long a token lives that this rule gives.
    pub fn life(&self) -> Duration {
        self.life
    }

    /// What a token may do that this rule gives.
    pub fn scope(&self) -> Scope {
        Scope { role: Some(self.role), unit: Some(self.unit.clone()) }
    }

    /// Whether the rule trusts that token: issuer exact, audience among the token's, every claim there and of its
    /// pattern.
    pub fn admits(&self, token: &WorkloadToken) -> bool {
        self.issuer == token.issuer
            && token.audiences.contains(&self.audience)
            && self
                .claims
                .iter()
                .all(|(name, pattern)| token.claims.get(name).is_some_and(|value| pattern.matches(value)))
    }

    /// Who the token's bearer is here: `ci:<rule>:<sub>`.
    ///
    /// # Errors
    /// [`BadSubject`] when the token's `sub` is not 1 to 255 printable ASCII characters.
    pub fn subject(&self, token: &WorkloadToken) -> Result<Subject, BadSubject> {
        Subject::workload(&self.name, &token.subject)
    }
}

/// Whether a text names a rule: 1 to 64 lower-case letters, digits or `-`.
pub(crate) fn is_rule_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_issuer(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else { return false };
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    let named = !url.username().is_empty() || url.password().is_some();
    let bare = url.query().is_none() && url.fragment().is_none() && !named;
    bare && (url.scheme() == "https" || (url.scheme() == "http" && loopback))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GITHUB: &str = "https://token.actions.githubusercontent.com";

    fn patterns(claims: &[(&str, &str)]) -> BTreeMap<String, NamePattern> {
        claims.iter().map(|(name, pattern)| ((*name).to_owned(), NamePattern::new(*pattern))).collect()
    }

    fn rule(claims: &[(&str, &str)]) -> Result<TrustRule, BadTrustRule> {
        let scope = (Role::Writer, NamePattern::new("app/*"));
        TrustRule::new("github", GITHUB, "taco", patterns(claims), scope, Duration::from_hours(1))
    }

    fn token(claims: &[(&str, &str)]) -> WorkloadToken {
        WorkloadToken {
            issuer: GITHUB.to_owned(),
            audiences: vec!["taco".to_owned()],
            subject: "repo:acme/web:ref:refs/heads/main".to_owned(),
            claims: claims.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn a_rule_trusts_what_fits_in_every_point_and_nothing_else() {
        let rule = rule(&[("sub", "repo:acme/*:ref:refs/heads/main"), ("environment", "prod")]).unwrap();
        let sub = ("sub", "repo:acme/web:ref:refs/heads/main");
        let good = token(&[sub, ("environment", "prod")]);
        assert!(rule.admits(&good));
        assert_eq!(rule.subject(&good).unwrap().as_str(), "ci:github:repo:acme/web:ref:refs/heads/main");
        for bad in [
            token(&[sub]),
            token(&[sub, ("environment", "prod2")]),
            token(&[("sub", "repo:acme/web:ref:refs/heads/dev"), ("environment", "prod")]),
            token(&[("sub", "repo:evil/web:ref:refs/heads/main"), ("environment", "prod")]),
            WorkloadToken { issuer: format!("{GITHUB}/"), ..good.clone() },
            WorkloadToken { audiences: vec!["other".to_owned()], ..good.clone() },
            WorkloadToken { audiences: Vec::new(), ..good.clone() },
        ] {
            assert!(!rule.admits(&bad), "{bad:?}");
        }
    }

    #[test]
    fn a_rule_that_would_trust_a_whole_ci_system_is_refused() {
        assert_eq!(rule(&[]), Err(BadTrustRule::Claims));
        assert_eq!(rule(&[("ref", "refs/heads/main")]), Err(BadTrustRule::Claims));
        assert_eq!(rule(&[("sub", "*")]), Err(BadTrustRule::Claims));
        assert_eq!(rule(&[("sub", "**")]), Err(BadTrustRule::Claims));
        assert!(rule(&[("repository_id", "17")]).is_ok());
        assert!(rule(&[("project_path", "acme/*")]).is_ok());
    }

    #[test]
    fn every_part_of_a_rule_is_checked() {
        let scope = (Role::Reader, NamePattern::new("*"));
        let new = |name: &str, issuer: &str, audience: &str, hours| {
            let claims = patterns(&[("sub", "repo:acme/*")]);
            TrustRule::new(name, issuer, audience, claims, scope.clone(), Duration::from_hours(hours)).err()
        };
        assert_eq!(new("a", GITHUB, "taco", 24), None);
        assert_eq!(new("a", "http://127.0.0.1:9000/x", "taco", 24), None);
        assert_eq!(new("A b", GITHUB, "taco", 1), Some(BadTrustRule::Name));
        assert_eq!(new("", GITHUB, "taco", 1), Some(BadTrustRule::Name));
        assert_eq!(new("a", "http://ci.example", "taco", 1), Some(BadTrustRule::Issuer));
        assert_eq!(new("a", "https://ci.example/?x", "taco", 1), Some(BadTrustRule::Issuer));
        assert_eq!(new("a", "https://:secret@ci.example", "taco", 1), Some(BadTrustRule::Issuer));
        assert_eq!(new("a", "ci.example", "taco", 1), Some(BadTrustRule::Issuer));
        assert_eq!(new("a", GITHUB, "", 1), Some(BadTrustRule::Audience));
        assert_eq!(new("a", GITHUB, "taco", 0), Some(BadTrustRule::Life));
        assert_eq!(new("a", GITHUB, "taco", 25), Some(BadTrustRule::Life));
    }
}
