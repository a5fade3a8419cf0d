//! People and machines as their provider describes them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::actor::Subject;
use crate::time::Timestamp;

/// The most groups that are kept of a user; a provider that says more is cut off in order.
pub const MAX_GROUPS: usize = 1_000;
/// The longest name of a group, in bytes; longer ones are left out.
pub const MAX_GROUP: usize = 255;

/// A text that is no e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an e-mail address has one `@` with something printable on both sides, and at most 254 characters")]
pub struct BadEmail;

/// An e-mail address, its ASCII letters in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Email(String);

impl Email {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl FromStr for Email {
    type Err = BadEmail;

    fn from_str(text: &str) -> Result<Self, BadEmail> {
        let (local, domain) = text.split_once('@').ok_or(BadEmail)?;
        let plain = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c != '@' && !c.is_control() && !c.is_whitespace())
        };
        if text.len() <= 254 && plain(local) && plain(domain) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(BadEmail)
        }
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why somebody is not disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UserError {
    /// It is the caller.
    #[error("you cannot disable or enable yourself; ask another administrator")]
    Oneself,
    /// It is the server's owner.
    #[error("the server's owner cannot be disabled: who holds the storage is administrator")]
    Owner,
}

/// What a provider says of somebody who has just logged in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub subject: Subject,
    /// Their e-mail address, if the provider says one.
    pub email: Option<Email>,
    /// Whether the provider vouches for the address.
    pub email_verified: bool,
    /// The groups they are in.
    pub groups: BTreeSet<String>,
}

/// A user as of their newest login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Who.
    pub subject: Subject,
    /// Their e-mail address, if the provider says one.
    pub email: Option<Email>,
    /// Whether the provider vouches for the address.
    pub email_verified: bool,
    /// The groups they are in.
    pub groups: BTreeSet<String>,
    /// When they logged in last.
    pub last_login: Timestamp,
    /// Whether everything they hold is refused.
    pub disabled: bool,
}

impl Identity {
    /// Somebody of whom nothing but the subject is known.
    pub fn bare(subject: Subject) -> Self {
        Self { subject, email: None, email_verified: false, groups: BTreeSet::new() }
    }
}

impl User {
    /// The user after a login: everything is as the provider says now, but who is disabled stays so.
    pub fn after_login(before: Option<&Self>, identity: Identity, now: Timestamp) -> Self {
        let kept = identity.groups.into_iter().filter(|group| group.len() <= MAX_GROUP).take(MAX_GROUPS);
        Self {
            subject: identity.subject,
            email: identity.email,
            email_verified: identity.email_verified,
            groups: kept.collect(),
            last_login: now,
            disabled: before.is_some_and(|before| before.disabled),
        }
    }

    /// Somebody who has not logged in yet.
    pub fn unseen(subject: Subject, now: Timestamp) -> Self {
        Self::after_login(None, Identity::bare(subject), now)
    }

    /// The user with everything they hold refused, or accepted again.
    ///
    /// # Errors
    /// [`UserError::Oneself`]: who does it to themselves could not undo it. [`UserError::Owner`]: who holds the storage is
    /// kept out by nothing.
    pub fn set_disabled(mut self, by: &Subject, disabled: bool) -> Result<Self, UserError> {
        if self.subject == *by {
            return Err(UserError::Oneself);
        }
        if self.subject.is_local_owner() {
            return Err(UserError::Owner);
        }
        self.disabled = disabled;
        Ok(self)
    }

    /// The address, if the provider vouches for it.
    pub fn verified_email(&self) -> Option<&Email> {
        self.email.as_ref().filter(|_| self.email_verified)
    }
}

/// Whose e-mail domains count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domains {
    /// Everybody's, also of those without an address.
    All,
    /// Those with a verified address of one of these domains, in lower case.
    These(BTreeSet<String>),
}

/// Who of the provider's users may log in. Every condition that is stated must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Whose e-mail domain counts; nothing is asked when absent.
    pub domains: Option<Domains>,
    /// One of these groups must be the user's; nothing is asked when there are none.
    pub groups: BTreeSet<String>,
}

impl Admission {
    /// Whether any condition is stated.
    pub fn is_stated(&self) -> bool {
        self.domains.is_some() || !self.groups.is_empty()
    }

    /// Whether that user may log in.
    pub fn admits(&self, user: &User) -> bool {
        let domain = match &self.domains {
            None | Some(Domains::All) => true,
            Some(Domains::These(domains)) => {
                user.verified_email().is_some_and(|email| domains.contains(email.domain()))
            }
        };
        domain && (self.groups.is_empty() || !self.groups.is_disjoint(&user.groups))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_folded_and_has_one_at() {
        let email: Email = "Alice@Example.COM".parse().unwrap();
        assert_eq!((email.as_str(), email.domain()), ("alice@example.com", "example.com"));
        for bad in [
            "",
            "alice",
            "@example.com",
            "alice@",
            "a@b@c",
            "a b@c",
            "a@b\n",
            &format!("a@{}", "x".repeat(254)),
        ] {
            assert_eq!(bad.parse::<Email>(), Err(BadEmail), "{bad}");
        }
    }

    #[test]
    fn groups_are_those_of_the_newest_login_and_a_disabled_user_stays_so() {
        let identity = |groups: &[&str]| Identity {
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..Identity::bare(Subject::local_owner())
        };
        let first = User::after_login(None, identity(&["a", "b"]), Timestamp::from_millis(1));
        let disabled = User { disabled: true, ..first };
        let second = User::after_login(Some(&disabled), identity(&["c"]), Timestamp::from_millis(2));
        assert_eq!((second.groups.len(), second.disabled), (1, true));
        assert!(second.groups.contains("c"));
    }

    #[test]
    fn an_unverified_address_admits_nobody_and_every_stated_condition_must_hold() {
        let user = |email: Option<&str>, verified, groups: &[&str]| {
            let identity = Identity {
                email: email.map(|email| email.parse().unwrap()),
                email_verified: verified,
                groups: groups.iter().map(|group| (*group).to_owned()).collect(),
                ..Identity::bare(Subject::local_owner())
            };
            User::after_login(None, identity, Timestamp::from_millis(0))
        };
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let acme = Admission { domains: Some(Domains::These(set(&["acme.example"]))), groups: set(&[]) };
        assert!(acme.admits(&user(Some("a@ACME.example"), true, &[])));
        assert!(!acme.admits(&user(Some("a@acme.example"), false, &[])));
        assert!(!acme.admits(&user(Some("a@sub.acme.example"), true, &[])));
        assert!(!acme.admits(&user(Some("a@evilacme.example"), true, &[])));
        assert!(!acme.admits(&user(None, true, &[])));
        let both = Admission { groups: set(&["ops", "dev"]), ..acme };
        assert!(both.admits(&user(Some("a@acme.example"), true, &["dev"])));
        assert!(!both.admits(&user(Some("a@acme.example"), true, &["sales"])));
        assert!(!both.admits(&user(Some("a@other.example"), true, &["dev"])));
        let all = Admission { domains: Some(Domains::All), groups: set(&[]) };
        assert!(all.admits(&user(None, false, &[])) && all.is_stated() && !Admission::default().is_stated());
    }
}
