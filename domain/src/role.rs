//! Roles: what may be done, and what must not, under one name.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The longest description of a role, in characters.
pub const MAX_DESCRIPTION: usize = 200;

/// What can be permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// `unit:read`.
    UnitRead,
    /// `unit:lock`.
    UnitLock,
    /// `unit:write`.
    UnitWrite,
    /// `unit:manage`.
    UnitManage,
    /// `org:create`.
    OrgCreate,
    /// `rbac:manage`.
    RbacManage,
    /// `audit:read`.
    AuditRead,
}

/// A text that names no permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a permission is unit:read, unit:lock, unit:write, unit:manage, org:create, rbac:manage or audit:read"
)]
pub struct BadRight;

impl Right {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::UnitRead,
        Self::UnitLock,
        Self::UnitWrite,
        Self::UnitManage,
        Self::OrgCreate,
        Self::RbacManage,
        Self::AuditRead,
    ];

    /// The name in policies and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnitRead => "unit:read",
            Self::UnitLock => "unit:lock",
            Self::UnitWrite => "unit:write",
            Self::UnitManage => "unit:manage",
            Self::OrgCreate => "org:create",
            Self::RbacManage => "rbac:manage",
            Self::AuditRead => "audit:read",
        }
    }
}

impl FromStr for Right {
    type Err = BadRight;

    fn from_str(text: &str) -> Result<Self, BadRight> {
        Self::ALL.into_iter().find(|right| right.as_str() == text).ok_or(BadRight)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RightSet(u8);

impl RightSet {
    /// Nothing.
    pub const fn none() -> Self {
        Self(0)
    }

    /// Whether a permission is in it.
    pub const fn has(self, right: Right) -> bool {
        self.0 & (1 << right as u8) != 0
    }

    /// The set with that permission.
    #[must_use]
    pub const fn with(self, right: Right) -> Self {
        Self(self.0 | (1 << right as u8))
    }

    /// The set without those of another.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The permissions in it, in their order.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL.into_iter().filter(move |right| self.has(*right))
    }
}

impl FromIterator<Right> for RightSet {
    fn from_iter<T: IntoIterator<Item = Right>>(rights: T) -> Self {
        rights.into_iter().fold(Self::none(), Self::with)
    }
}

/// A built-in role. Each one may what the one before it may, and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Reader,
    /// Reads and locks.
    Planner,
    /// Reads, locks and writes.
    Writer,
    /// Does everything with units.
    Operator,
    /// Does everything.
    Admin,
}

/// A name that no built-in role has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a role is reader, planner, writer, operator or admin")]
pub struct BadRole;

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Reader, Self::Planner, Self::Writer, Self::Operator, Self::Admin];

    /// The role's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Planner => "planner",
            Self::Writer => "writer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// What the role is for.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Reader => "reads units, their states and outputs",
            Self::Planner => "reads and locks, as a plan does",
            Self::Writer => "reads, locks and writes, as an apply does",
            Self::Operator => "everything with units: settings, forced unlocks, deletion",
            Self::Admin => "everything",
        }
    }

    /// Whether the role has that right.
    pub fn has(self, right: Right) -> bool {
        let least = match right {
            Right::UnitRead => Self::Reader,
            Right::UnitLock => Self::Planner,
            Right::UnitWrite => Self::Writer,
            Right::UnitManage => Self::Operator,
            Right::OrgCreate | Right::RbacManage | Right::AuditRead => Self::Admin,
        };
        self >= least
    }

    /// What the role may do.
    pub fn rights(self) -> RightSet {
        Right::ALL.into_iter().filter(|right| self.has(*right)).collect()
    }
}

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(text: &str) -> Result<Self, BadRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(BadRole)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that cannot name a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a role's name has 1 to 63 lower-case letters, digits, `-` or `_`, and begins with a letter or digit"
)]
pub struct BadRoleName;

/// The name of a role, built in or not: `[a-z0-9][a-z0-9_-]{0,62}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(String);

impl RoleName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The built-in role of that name, if it is one's.
    pub fn built_in(&self) -> Option<Role> {
        self.0.parse().ok()
    }
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        Self(role.as_str().to_owned())
    }
}

impl FromStr for RoleName {
    type Err = BadRoleName;

    fn from_str(text: &str) -> Result<Self, BadRoleName> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let fits = (1..=63).contains(&text.len())
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|b| plain(b) || b == b'-' || b == b'_');
        if fits { Ok(Self(text.to_owned())) } else { Err(BadRoleName) }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A role that somebody made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomRole {
    /// What it is for, in at most [`MAX_DESCRIPTION`] characters.
    pub description: Option<String>,
    /// What who has it may do.
    pub allow: RightSet,
    /// What who has it must not do, whatever else they have.
    pub deny: RightSet,
}

/// A change of what a role allows and denies. A permission stands on one side only, so what is added here leaves there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleChange {
    /// To be allowed.
    pub add: RightSet,
    /// To be denied.
    pub deny: RightSet,
    /// To be neither.
    pub remove: RightSet,
}

impl CustomRole {
    /// The role after a change.
    #[must_use]
    pub fn changed(&self, change: RoleChange) -> Self {
        Self {
            description: self.description.clone(),
            allow: self.allow.and(change.add).without(change.deny).without(change.remove),
            deny: self.deny.without(change.add).and(change.deny).without(change.remove),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_built_in_roles_have_what_the_documentation_says() {
        let rights = |role: Role| role.rights().iter().count();
        assert_eq!(Role::ALL.map(rights), [1, 2, 3, 4, 7]);
        assert!(Role::Planner.has(Right::UnitLock) && !Role::Planner.has(Right::UnitWrite));
        assert_eq!("admin".parse(), Ok(Role::Admin));
        assert_eq!("root".parse::<Role>(), Err(BadRole));
    }

    #[test]
    fn every_name_reads_back() {
        for right in Right::ALL {
            assert_eq!(right.as_str().parse(), Ok(right));
        }
        assert_eq!("unit:delete".parse::<Right>(), Err(BadRight));
        for good in ["a", "9", "workspace-admin", "on_call", &"x".repeat(63)] {
            assert_eq!(good.parse::<RoleName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "_a", "A", "a b", "a/b", "ä", &"x".repeat(64)] {
            assert_eq!(bad.parse::<RoleName>(), Err(BadRoleName), "{bad}");
        }
        assert_eq!(RoleName::from(Role::Writer).built_in(), Some(Role::Writer));
        assert_eq!("deployer".parse::<RoleName>().unwrap().built_in(), None);
    }

    fn set() -> impl Strategy<Value = RightSet> {
        any::<u8>()
            .prop_map(|bits| Right::ALL.into_iter().filter(|right| bits >> *right as u8 & 1 == 1).collect())
    }

    proptest! {
        #[test]
        fn a_permission_is_allowed_or_denied_or_neither_after_any_change(
            allow in set(), deny in set(), add in set(), change_deny in set(), remove in set(),
        ) {
            let role = CustomRole { description: None, allow: allow.without(deny), deny };
            let next = role.changed(RoleChange { add, deny: change_deny, remove });
            for right in Right::ALL {
                prop_assert!(!(next.allow.has(right) && next.deny.has(right)));
                if remove.has(right) {
                    prop_assert!(!next.allow.has(right) && !next.deny.has(right));
                } else if change_deny.has(right) {
                    prop_assert!(next.deny.has(right));
                } else if add.has(right) {
                    prop_assert!(next.allow.has(right));
                } else {
                    prop_assert_eq!(next.allow.has(right), role.allow.has(right));
                }
            }
        }
    }
}
