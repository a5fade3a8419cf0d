//! The policy against a slow model that is obviously right.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a broken expectation must end the test"
)]

use std::collections::BTreeSet;

use opentaco_domain::actor::Subject;
use opentaco_domain::name::{NamePattern, OrganizationName, WorkspaceName};
use opentaco_domain::policy::{
    Assignment, Organizations, Place, Policy, PolicyChange, PolicyError, may_change,
};
use opentaco_domain::principal::{Grantee, Principal};
use opentaco_domain::rbac::Scope;
use opentaco_domain::role::{Right, RightSet, Role, RoleChange, RoleName};
use opentaco_domain::time::Timestamp;
use opentaco_domain::user::{Identity, User};
use proptest::prelude::*;

const PATTERNS: [&str; 7] = ["*", "app/*", "app/prod", "*/prod", "a*d", "app", "other/*"];
const UNITS: [&str; 5] = ["app/prod", "app/dev", "app", "other/prod", "x"];
const ORGANIZATIONS: [&str; 2] = ["default", "acme"];
const ROLES: [&str; 4] = ["one", "two", "reader", "admin"];
const GROUPS: [&str; 2] = ["dev", "ops"];

fn alice() -> Subject {
    Subject::of_provider("alice").unwrap()
}

fn user(verified: bool, groups: &[&str]) -> User {
    let identity = Identity {
        email: Some("alice@example.com".parse().unwrap()),
        email_verified: verified,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..Identity::bare(alice())
    };
    User::after_login(None, identity, Timestamp::from_millis(0))
}

fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

fn place(organization: &str, units: &str) -> Place {
    Place { organizations: organization.parse().unwrap(), units: NamePattern::new(units) }
}

fn grantee(index: usize) -> Grantee {
    match index {
        0 => Grantee::User("oidc:alice".parse().unwrap()),
        1 => Grantee::User("alice@example.com".parse().unwrap()),
        2 => Grantee::User("oidc:bob".parse().unwrap()),
        n => Grantee::Group(GROUPS[n - 3].parse().unwrap()),
    }
}

fn set() -> impl Strategy<Value = RightSet> {
    any::<u8>().prop_map(|bits| {
        Right::ALL
            .into_iter()
            .enumerate()
            .filter(|(at, _)| bits >> at & 1 == 1)
            .map(|(_, right)| right)
            .collect()
    })
}

/// One line of a policy, in the small world of the model.
#[derive(Clone, Debug)]
struct Line {
    who: usize,
    role: usize,
    organization: usize,
    pattern: usize,
}

fn line() -> impl Strategy<Value = Line> {
    (0..5usize, 0..ROLES.len(), 0..3usize, 0..PATTERNS.len())
        .prop_map(|(who, role, organization, pattern)| Line { who, role, organization, pattern })
}

impl Line {
    fn organization(&self) -> &'static str {
        if self.organization == 2 { "*" } else { ORGANIZATIONS[self.organization] }
    }

    fn assignment(&self) -> Assignment {
        Assignment { role: role(ROLES[self.role]), place: place(self.organization(), PATTERNS[self.pattern]) }
    }
}

#[derive(Clone, Debug)]
struct World {
    roles: [(RightSet, RightSet); 2],
    lines: Vec<Line>,
    verified: bool,
    groups: Vec<&'static str>,
}

fn world() -> impl Strategy<Value = World> {
    let roles = [(set(), set()), (set(), set())];
    let groups = prop::sample::subsequence(GROUPS.to_vec(), 0..=2);
    (roles, prop::collection::vec(line(), 0..8), any::<bool>(), groups).prop_map(
        |(roles, lines, verified, groups)| {
            let roles = roles.map(|(allow, deny)| (allow.without(deny), deny));
            World { roles, lines, verified, groups }
        },
    )
}

impl World {
    fn policy(&self) -> Policy {
        let mut changes = Vec::new();
        for (name, (allow, deny)) in ["one", "two"].iter().zip(self.roles) {
            changes.push(PolicyChange::CreateRole(role(name), None));
            let change = RoleChange { add: allow, deny, remove: RightSet::none() };
            changes.push(PolicyChange::ChangeRole(role(name), change));
        }
        changes
            .extend(self.lines.iter().map(|line| PolicyChange::Assign(grantee(line.who), line.assignment())));
        Policy::open().switched_on(&BTreeSet::new()).changed(&changes).unwrap()
    }

    fn has(&self, line: &Line) -> bool {
        match line.who {
            0 | 1 => true,
            2 => false,
            n => self.groups.contains(&GROUPS[n - 3]),
        }
    }

    /// Word for word what the documentation says.
    fn model(&self, right: Right, organization: &str, unit: &str) -> bool {
        let mut allowed = false;
        for line in self.lines.iter().filter(|line| self.has(line)) {
            let place = line.organization() == "*" || line.organization() == organization;
            if !(place && glob(PATTERNS[line.pattern], unit)) {
                continue;
            }
            let (allow, deny) = match ROLES[line.role] {
                "one" => self.roles[0],
                "two" => self.roles[1],
                built_in => (built_in.parse::<Role>().unwrap().rights(), RightSet::none()),
            };
            if deny.has(right) {
                return false;
            }
            allowed |= allow.has(right) && (line.who != 1 || self.verified);
        }
        allowed
    }

    fn decide(&self, policy: &Policy, right: Right, organization: &str, unit: &str) -> bool {
        let rights = policy.rights(&alice(), Some(&user(self.verified, &self.groups)), Scope::full());
        let organization: OrganizationName = organization.parse().unwrap();
        let unit: WorkspaceName = unit.parse().unwrap();
        rights.decide(&alice(), right, Some(&organization), Some(&unit)).is_ok()
    }

    fn decisions(&self, policy: &Policy) -> Vec<bool> {
        let mut all = Vec::new();
        for right in Right::ALL {
            for organization in ORGANIZATIONS {
                all.extend(UNITS.map(|unit| self.decide(policy, right, organization, unit)));
            }
        }
        all
    }
}

/// A pattern the slow way.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => (0..=text.len()).any(|at| glob(&pattern[1..], &text[at..])),
        Some(c) => text.starts_with(c) && glob(&pattern[1..], &text[1..]),
    }
}

proptest! {
    #[test]
    fn a_decision_is_what_the_model_says(world in world()) {
        let policy = world.policy();
        for right in Right::ALL {
            for organization in ORGANIZATIONS {
                for unit in UNITS {
                    let decided = world.decide(&policy, right, organization, unit);
                    prop_assert_eq!(decided, world.model(right, organization, unit), "{:?} {} {}", right, organization, unit);
                }
            }
        }
    }

    #[test]
    fn adding_a_deny_never_grants_and_removing_an_allow_never_grants(world in world(), which in 0..2usize, change in set()) {
        let before = world.decisions(&world.policy());
        let mut denied = world.clone();
        denied.roles[which].0 = denied.roles[which].0.without(change);
        denied.roles[which].1 = denied.roles[which].1.and(change);
        let mut removed = world.clone();
        removed.roles[which].0 = removed.roles[which].0.without(change);
        for less in [denied, removed] {
            for (now, then) in less.decisions(&less.policy()).into_iter().zip(&before) {
                prop_assert!(!now || *then);
            }
        }
    }

    #[test]
    fn a_right_on_everything_is_a_right_on_each(world in world()) {
        let rights = world.policy().rights(&alice(), Some(&user(world.verified, &world.groups)), Scope::full());
        for right in Right::ALL {
            for organization in ORGANIZATIONS {
                let name: OrganizationName = organization.parse().unwrap();
                if rights.decide(&alice(), right, Some(&name), None).is_ok() {
                    prop_assert!(UNITS.iter().all(|unit| world.model(right, organization, unit)));
                }
                if rights.decide(&alice(), right, None, None).is_ok() {
                    prop_assert!(UNITS.iter().all(|unit| world.model(right, organization, unit)));
                }
            }
        }
    }

    #[test]
    fn who_manages_a_pattern_gives_nothing_outside_it(world in world(), given in line()) {
        let rights = world.policy().rights(&alice(), Some(&user(world.verified, &world.groups)), Scope::full());
        let change = [PolicyChange::Assign(grantee(2), given.assignment())];
        if may_change(&alice(), &rights, &change).is_ok() {
            for organization in ORGANIZATIONS {
                for unit in UNITS {
                    let there = (given.organization() == "*" || given.organization() == organization)
                        && glob(PATTERNS[given.pattern], unit);
                    prop_assert!(!there || world.model(Right::RbacManage, organization, unit));
                }
            }
        }
    }
}

fn assign(who: Grantee, name: &str, organization: &str, units: &str) -> PolicyChange {
    PolicyChange::Assign(who, Assignment { role: role(name), place: place(organization, units) })
}

fn revoke(who: Grantee, name: &str, organization: &str, units: &str) -> PolicyChange {
    PolicyChange::Revoke(who, Assignment { role: role(name), place: place(organization, units) })
}

#[test]
fn the_last_administrator_stays() {
    let named = |names: &[&str]| names.iter().map(|name| name.parse::<Principal>().unwrap()).collect();
    let policy = Policy::open().switched_on(&named(&["alice@example.com", "oidc:bob"]));
    let gone = policy.changed(&[revoke(grantee(1), "admin", "*", "*")]).unwrap();
    assert_eq!(gone.changed(&[revoke(grantee(2), "admin", "*", "*")]), Err(PolicyError::LastAdministrator));
    let group = assign(grantee(3), "admin", "*", "*");
    let by_group = gone.changed(&[group, revoke(grantee(2), "admin", "*", "*")]);
    assert_eq!(by_group, Err(PolicyError::LastAdministrator), "a group may be empty");
    let handed_over =
        gone.changed(&[revoke(grantee(2), "admin", "*", "*"), assign(grantee(0), "admin", "*", "*")]);
    assert_eq!(handed_over.unwrap().administrators(), named(&["oidc:alice"]), "both changes or none");
}

#[test]
fn roles_are_made_changed_and_deleted_and_the_built_in_ones_stay() {
    let create = |name: &str| PolicyChange::CreateRole(role(name), Some("for us".to_owned()));
    let policy = Policy::open().changed(&[create("deployer")]).unwrap();
    assert_eq!(policy.changed(&[create("deployer")]), Err(PolicyError::RoleTaken(role("deployer"))));
    assert_eq!(policy.changed(&[create("admin")]), Err(PolicyError::RoleTaken(role("admin"))));
    let change = |name: &str| PolicyChange::ChangeRole(role(name), RoleChange::default());
    assert_eq!(policy.changed(&[change("reader")]), Err(PolicyError::BuiltIn(role("reader"))));
    assert_eq!(policy.changed(&[change("nobody")]), Err(PolicyError::NoRole(role("nobody"))));
    let used = policy.changed(&[assign(grantee(0), "deployer", "default", "*")]).unwrap();
    let delete = PolicyChange::DeleteRole(role("deployer"));
    assert_eq!(used.changed(std::slice::from_ref(&delete)), Err(PolicyError::RoleInUse(role("deployer"))));
    let free = used.changed(&[revoke(grantee(0), "deployer", "default", "*"), delete.clone()]).unwrap();
    assert_eq!(free.roles().count(), 0);
    assert_eq!(free.changed(&[delete]), Err(PolicyError::NoRole(role("deployer"))));
    assert_eq!(
        free.changed(&[assign(grantee(0), "deployer", "default", "*")]),
        Err(PolicyError::NoRole(role("deployer")))
    );
    let long = PolicyChange::CreateRole(role("x"), Some("x".repeat(201)));
    assert_eq!(free.changed(&[long]), Err(PolicyError::Description));
}

#[test]
fn an_address_in_a_name_that_nobody_checked_makes_no_administrator() {
    let named = BTreeSet::from(["alice@example.com".parse::<Principal>().unwrap()]);
    let policy = Policy::open().switched_on(&named);
    for pretender in [
        Subject::development("alice@example.com").unwrap(),
        Subject::of_provider("alice@example.com").unwrap(),
    ] {
        assert!(!policy.is_administrator(&pretender, None), "{pretender}");
    }
    assert!(!policy.is_administrator(&alice(), Some(&user(false, &[]))));
    assert!(policy.is_administrator(&alice(), Some(&user(true, &[]))));
    assert!(policy.is_administrator(&Subject::local_owner(), None));
}

#[test]
fn while_access_control_is_off_everybody_may_do_everything_within_their_token() {
    let policy = Policy::open();
    let name: WorkspaceName = "app/prod".parse().unwrap();
    let organization = OrganizationName::default_organization();
    let may = |scope: Scope, right| {
        policy.rights(&alice(), None, scope).decide(&alice(), right, Some(&organization), Some(&name)).is_ok()
    };
    assert!(Right::ALL.into_iter().all(|right| may(Scope::full(), right)));
    let scope = Scope { role: Some(Role::Writer), unit: Some(NamePattern::new("app/*")) };
    assert!(may(scope.clone(), Right::UnitWrite) && !may(scope, Right::UnitManage));
    let elsewhere = Scope { role: None, unit: Some(NamePattern::new("other/*")) };
    assert!(!may(elsewhere.clone(), Right::UnitRead));
    let rights = policy.rights(&alice(), None, elsewhere);
    assert!(rights.decide(&alice(), Right::OrgCreate, Some(&organization), None).is_err());
    let off = Policy::open().switched_on(&BTreeSet::from(["oidc:bob".parse().unwrap()])).switched_off();
    assert!(
        off.rights(&alice(), None, Scope::full()).decide(&alice(), Right::RbacManage, None, None).is_ok()
    );
    assert_eq!(off.switched_on(&BTreeSet::new()).administrators().len(), 1, "nobody is forgotten");
}

#[test]
fn a_workload_has_what_its_trust_rule_gives_and_nothing_else() {
    let policy = Policy::open().switched_on(&BTreeSet::new());
    let workload = Subject::workload("github", "repo:a/b").unwrap();
    let unit: WorkspaceName = "app/x".parse().unwrap();
    let organization = OrganizationName::default_organization();
    let may = |scope: Scope, right| {
        policy
            .rights(&workload, None, scope)
            .decide(&workload, right, Some(&organization), Some(&unit))
            .is_ok()
    };
    let scope = Scope { role: Some(Role::Reader), unit: Some(NamePattern::new("app/*")) };
    assert!(may(scope.clone(), Right::UnitRead) && !may(scope, Right::UnitWrite));
    assert!(!may(Scope::full(), Right::UnitRead), "no rule gave it a role");
}

#[test]
fn a_principal_is_a_subject_or_an_address() {
    for good in ["alice@example.com", "oidc:alice@example.com", "dev:a", "local:owner", "oidc:auth0|x"] {
        assert_eq!(good.parse::<Principal>().unwrap().to_string(), good);
    }
    assert!(matches!("alice@example.com".parse(), Ok(Principal::Email(_))));
    assert!(matches!("oidc:alice@example.com".parse(), Ok(Principal::Subject(_))));
    for bad in ["", "alice", "ci:github:repo", "ldap:alice@example.com", "local:other"] {
        assert!(bad.parse::<Principal>().is_err(), "{bad}");
    }
    assert_eq!("*".parse(), Ok(Organizations::All));
}
