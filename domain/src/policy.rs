//! The installation's policy: whether access control is on, its roles, and who has which of them where.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::actor::Subject;
use crate::name::{NamePattern, OrganizationName, WorkspaceName};
use crate::principal::{Grantee, Group, Principal};
use crate::rbac::{Denied, Rights, Rule, Scope};
use crate::role::{CustomRole, MAX_DESCRIPTION, Right, RightSet, Role, RoleChange, RoleName};
use crate::user::User;

/// The most roles that are made.
pub const MAX_ROLES: usize = 1_000;
/// The most assignments.
pub const MAX_ASSIGNMENTS: usize = 10_000;

/// In which organizations a role counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Organizations {
    /// In every one.
    All,
    /// In one.
    One(OrganizationName),
}

impl Organizations {
    /// Whether that one is among them; all of them, when none is named.
    pub fn include(&self, organization: Option<&OrganizationName>) -> bool {
        match (self, organization) {
            (Self::All, _) => true,
            (Self::One(own), Some(asked)) => own == asked,
            (Self::One(_), None) => false,
        }
    }
}

impl fmt::Display for Organizations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::One(organization) => f.write_str(organization.as_str()),
        }
    }
}

impl FromStr for Organizations {
    type Err = <OrganizationName as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" { Ok(Self::All) } else { text.parse().map(Self::One) }
    }
}

/// Units of some organizations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// In which organizations.
    pub organizations: Organizations,
    /// Units of which names.
    pub units: NamePattern,
}

impl Place {
    /// Everywhere.
    pub fn everywhere() -> Self {
        Self { organizations: Organizations::All, units: NamePattern::new("*") }
    }

    /// Whether that is everywhere.
    pub fn is_everywhere(&self) -> bool {
        self.organizations == Organizations::All && self.units.is_everything()
    }

    /// Whether the unit lies in it; where none is named, whether every unit of the organization does; where that is not named
    /// either, whether everything does.
    pub(crate) fn covers(
        &self,
        organization: Option<&OrganizationName>,
        unit: Option<&WorkspaceName>,
    ) -> bool {
        self.organizations.include(organization)
            && unit.map_or_else(|| self.units.is_everything(), |unit| self.units.matches(unit.as_str()))
    }

    /// Whether the unit lies in it; where none is named, whether any could.
    pub(crate) fn touches(
        &self,
        organization: Option<&OrganizationName>,
        unit: Option<&WorkspaceName>,
    ) -> bool {
        let here = organization.is_none_or(|organization| self.organizations.include(Some(organization)));
        here && unit.is_none_or(|unit| self.units.matches(unit.as_str()))
    }

    /// Whether all of another place lies in it.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        let organizations = match (&self.organizations, &other.organizations) {
            (Organizations::All, _) => true,
            (Organizations::One(own), Organizations::One(theirs)) => own == theirs,
            (Organizations::One(_), Organizations::All) => false,
        };
        organizations && self.units.contains(&other.units)
    }

    /// Whether a unit could lie in both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let organizations = match (&self.organizations, &other.organizations) {
            (Organizations::One(own), Organizations::One(theirs)) => own == theirs,
            _ => true,
        };
        organizations && self.units.overlaps(&other.units)
    }
}

/// A role somewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Assignment {
    /// Which role.
    pub role: RoleName,
    /// Where.
    pub place: Place,
}

/// One change of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyChange {
    /// Gives somebody a role somewhere.
    Assign(Grantee, Assignment),
    /// Takes it away.
    Revoke(Grantee, Assignment),
    /// Makes a role that allows nothing yet.
    CreateRole(RoleName, Option<String>),
    /// Changes what a role allows and denies.
    ChangeRole(RoleName, RoleChange),
    /// Deletes a role that nobody has.
    DeleteRole(RoleName),
}

/// Why the policy does not change.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// There is no such role.
    #[error("there is no role {0}; roles are listed with `taco rbac roles list`")]
    NoRole(RoleName),
    /// There is one already.
    #[error("role {0} exists already")]
    RoleTaken(RoleName),
    /// Built-in roles stay as they are.
    #[error("role {0} is built in and cannot be changed or deleted")]
    BuiltIn(RoleName),
    /// Somebody has the role.
    #[error("role {0} is still assigned; revoke it first")]
    RoleInUse(RoleName),
    /// Nobody has that role there.
    #[error(
        "there is no such assignment; assignments are listed with `taco rbac users list` and `groups list`"
    )]
    NotAssigned,
    /// Somebody must be left who can change the policy.
    #[error(
        "this would take away the last administrator: give somebody else the role admin everywhere first"
    )]
    LastAdministrator,
    /// Too many roles.
    #[error("there are {MAX_ROLES} roles already")]
    TooManyRoles,
    /// Too many assignments.
    #[error("there would be more than {MAX_ASSIGNMENTS} assignments; use groups and patterns")]
    TooManyAssignments,
    /// The description is too long, or holds control characters.
    #[error("a description has at most {MAX_DESCRIPTION} characters, none of them a control character")]
    Description,
}

/// The installation's policy: one record for all its servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether access control is on. Until then every authenticated caller may do everything.
    pub on: bool,
    roles: BTreeMap<RoleName, CustomRole>,
    assignments: BTreeMap<Grantee, BTreeSet<Assignment>>,
}

impl Policy {
    /// The policy of an installation whose access control is off.
    pub fn open() -> Self {
        Self::default()
    }

    /// A policy of these parts, as it was kept. What it no longer knows the role of gives nothing.
    pub fn of(
        on: bool,
        roles: BTreeMap<RoleName, CustomRole>,
        assignments: impl IntoIterator<Item = (Grantee, Assignment)>,
    ) -> Self {
        let mut policy = Self { on, roles, assignments: BTreeMap::new() };
        for (grantee, assignment) in assignments {
            policy.assignments.entry(grantee).or_default().insert(assignment);
        }
        policy
    }

    /// The roles that somebody made, by name.
    pub fn roles(&self) -> impl Iterator<Item = (&RoleName, &CustomRole)> {
        self.roles.iter()
    }

    /// Every assignment, by who has it.
    pub fn assignments(&self) -> impl Iterator<Item = (&Grantee, &Assignment)> {
        self.assignments.iter().flat_map(|(grantee, all)| all.iter().map(move |one| (grantee, one)))
    }

    /// What a subject may do with a token of that scope. `user` is what is known of the subject from its newest login.
    pub fn rights(&self, subject: &Subject, user: Option<&User>, scope: Scope) -> Rights {
        // A workload was let in by a trust rule, and its token's role is what that rule gives.
        let is_trusted = subject.is_workload() && scope.role.is_some();
        if !self.on || is_trusted || subject.is_local_owner() {
            return Rights::of_everything(scope);
        }
        Rights::of_rules(self.rules(subject, user), scope)
    }

    /// What a subject has itself, by its verified address, and by its groups.
    pub fn assignments_of(&self, subject: &Subject, user: Option<&User>) -> Vec<(&Grantee, &Assignment)> {
        let in_group = |group: &Group| user.is_some_and(|user| user.groups.contains(group.as_str()));
        self.assignments()
            .filter(|(grantee, _)| match grantee {
                Grantee::User(principal) => principal.is(subject, user),
                Grantee::Group(group) => in_group(group),
            })
            .collect()
    }

    /// The rules that apply to a subject.
    fn rules(&self, subject: &Subject, user: Option<&User>) -> Vec<Rule> {
        let mut rules = Vec::new();
        self.collect(&Grantee::User(Principal::Subject(subject.clone())), true, &mut rules);
        if let Some(user) = user {
            if let Some(email) = &user.email {
                // An address that nobody vouches for gives nothing, but what it must not do it must not do.
                self.collect(
                    &Grantee::User(Principal::Email(email.clone())),
                    user.email_verified,
                    &mut rules,
                );
            }
            for group in user.groups.iter().filter_map(|group| group.parse().ok()) {
                self.collect(&Grantee::Group(group), true, &mut rules);
            }
        }
        rules
    }

    fn collect(&self, grantee: &Grantee, is_believed: bool, rules: &mut Vec<Rule>) {
        for assignment in self.assignments.get(grantee).into_iter().flatten() {
            let Some((allow, deny)) = self.rights_of(&assignment.role) else { continue };
            let allow = if is_believed { allow } else { RightSet::none() };
            rules.push(Rule { role: assignment.role.clone(), allow, deny, place: assignment.place.clone() });
        }
    }

    /// What a role allows and denies; nothing when there is no such role.
    pub fn rights_of(&self, role: &RoleName) -> Option<(RightSet, RightSet)> {
        match role.built_in() {
            Some(role) => Some((role.rights(), RightSet::none())),
            None => self.roles.get(role).map(|role| (role.allow, role.deny)),
        }
    }

    /// Who is administrator by name: has the role admin everywhere.
    pub fn administrators(&self) -> BTreeSet<Principal> {
        let is_admin =
            |one: &Assignment| one.role.built_in() == Some(Role::Admin) && one.place.is_everywhere();
        let named = self.assignments.iter().filter(|(_, all)| all.iter().any(is_admin));
        named
            .filter_map(|(grantee, _)| match grantee {
                Grantee::User(principal) => Some(principal.clone()),
                Grantee::Group(_) => None,
            })
            .collect()
    }

    /// Whether a subject may do everything.
    pub fn is_administrator(&self, subject: &Subject, user: Option<&User>) -> bool {
        self.rights(subject, user, Scope::full()).decide(subject, Right::RbacManage, None, None).is_ok()
            && self.on
    }

    /// The policy with access control on and these administrators besides those it has.
    #[must_use]
    pub fn switched_on(&self, administrators: &BTreeSet<Principal>) -> Self {
        let mut next = self.clone();
        next.on = true;
        let admin = Assignment { role: Role::Admin.into(), place: Place::everywhere() };
        for principal in administrators {
            next.assignments.entry(Grantee::User(principal.clone())).or_default().insert(admin.clone());
        }
        next
    }

    /// The policy with access control off; what it says stays, for when it is switched on again.
    #[must_use]
    pub fn switched_off(&self) -> Self {
        Self { on: false, ..self.clone() }
    }

    /// The policy after these changes, all of them or none.
    ///
    /// # Errors
    /// [`PolicyError`] for the first change that cannot be, or when no administrator would be left.
    pub fn changed(&self, changes: &[PolicyChange]) -> Result<Self, PolicyError> {
        let mut next = self.clone();
        for change in changes {
            next.change(change)?;
        }
        if next.assignments().count() > MAX_ASSIGNMENTS {
            return Err(PolicyError::TooManyAssignments);
        }
        let loses_them = next.administrators().is_empty() && !self.administrators().is_empty();
        if next.on && loses_them { Err(PolicyError::LastAdministrator) } else { Ok(next) }
    }

    fn change(&mut self, change: &PolicyChange) -> Result<(), PolicyError> {
        match change {
            PolicyChange::Assign(grantee, assignment) => {
                self.role_exists(&assignment.role)?;
                self.assignments.entry(grantee.clone()).or_default().insert(assignment.clone());
            }
            PolicyChange::Revoke(grantee, assignment) => {
                let all = self.assignments.get_mut(grantee).ok_or(PolicyError::NotAssigned)?;
                if !all.remove(assignment) {
                    return Err(PolicyError::NotAssigned);
                }
                if all.is_empty() {
                    self.assignments.remove(grantee);
                }
            }
            PolicyChange::CreateRole(name, description) => {
                if name.built_in().is_some() || self.roles.contains_key(name) {
                    return Err(PolicyError::RoleTaken(name.clone()));
                }
                if self.roles.len() >= MAX_ROLES {
                    return Err(PolicyError::TooManyRoles);
                }
                let fits = |text: &String| {
                    text.chars().count() <= MAX_DESCRIPTION && !text.chars().any(char::is_control)
                };
                if !description.as_ref().is_none_or(fits) {
                    return Err(PolicyError::Description);
                }
                let role = CustomRole { description: description.clone(), ..CustomRole::default() };
                self.roles.insert(name.clone(), role);
            }
            PolicyChange::ChangeRole(name, change) => {
                let role = self.made_role(name)?;
                *role = role.changed(*change);
            }
            PolicyChange::DeleteRole(name) => {
                self.made_role(name)?;
                if self.assignments().any(|(_, one)| one.role == *name) {
                    return Err(PolicyError::RoleInUse(name.clone()));
                }
                self.roles.remove(name);
            }
        }
        Ok(())
    }

    fn role_exists(&self, name: &RoleName) -> Result<(), PolicyError> {
        self.rights_of(name).map(drop).ok_or_else(|| PolicyError::NoRole(name.clone()))
    }

    fn made_role(&mut self, name: &RoleName) -> Result<&mut CustomRole, PolicyError> {
        if name.built_in().is_some() {
            return Err(PolicyError::BuiltIn(name.clone()));
        }
        self.roles.get_mut(name).ok_or_else(|| PolicyError::NoRole(name.clone()))
    }
}

impl PolicyChange {
    /// Where a change has its effect: roles count wherever they are assigned, so they belong to everywhere.
    pub fn place(&self) -> Place {
        match self {
            Self::Assign(_, assignment) | Self::Revoke(_, assignment) => assignment.place.clone(),
            Self::CreateRole(..) | Self::ChangeRole(..) | Self::DeleteRole(_) => Place::everywhere(),
        }
    }
}

/// Whether somebody may make all those changes: who manages access on a pattern gives and takes rights only inside it.
///
/// # Errors
/// [`Denied`].
pub fn may_change(subject: &Subject, rights: &Rights, changes: &[PolicyChange]) -> Result<(), Denied> {
    changes
        .iter()
        .try_for_each(|change| rights.decide_all(subject, Right::RbacManage, &change.place()).map(drop))
}

/// Somebody may not begin access control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "only the server's owner, the development login or an administrator begins access control this way; the other ways are \
     `opentacosvc admin grant SUBJECT` beside the storage, and OPENTACO_ADMINS at the first start"
)]
pub struct NotInitiator;

impl Policy {
    /// The policy with access control on and its caller as administrator.
    ///
    /// Once it is on, only an administrator may say so again: who logs in under any name has no more rights than others.
    ///
    /// # Errors
    /// [`NotInitiator`].
    pub fn begun_by(&self, subject: &Subject, user: Option<&User>) -> Result<Self, NotInitiator> {
        let named = |principal: &Principal| principal.is(subject, user);
        let may = subject.is_local_owner()
            || (!self.on && subject.is_development())
            || self.administrators().iter().any(named);
        if !may {
            return Err(NotInitiator);
        }
        Ok(self.switched_on(&BTreeSet::from([Principal::Subject(subject.clone())])))
    }
}
