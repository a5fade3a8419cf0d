//! The policy at its largest.

use std::collections::BTreeSet;

use opentaco_domain::name::NamePattern;
use opentaco_domain::policy::{
    Assignment, MAX_ASSIGNMENTS, MAX_ROLES, Organizations, Place, Policy, PolicyChange, PolicyError,
};
use opentaco_domain::principal::Grantee;
use opentaco_domain::role::{Right, RightSet, RoleChange, RoleName};
use opentaco_ports::driven::records::ChangeKind;

use crate::backend::Backend;
use crate::values::{change, landed};

fn role(n: usize) -> RoleName {
    format!("role-{n:04}-of-a-team").parse().unwrap()
}

fn assign(n: usize) -> PolicyChange {
    let grantee = if n.is_multiple_of(2) {
        Grantee::User(format!("somebody.number.{n}@company.example").parse().unwrap())
    } else {
        Grantee::Group(format!("/departments/{}/teams/{n}", n % 97).parse().unwrap())
    };
    let organizations = Organizations::One(format!("organization-{}", n % 13).parse().unwrap());
    let place = Place { organizations, units: NamePattern::new(format!("team-{n}/*/production")) };
    PolicyChange::Assign(grantee, Assignment { role: role(n % MAX_ROLES), place })
}

pub async fn the_largest_policy_takes_less_than_a_mebibyte(backend: &Backend) {
    let set = |rights: &[Right]| rights.iter().copied().collect::<RightSet>();
    let roles = (0..MAX_ROLES).flat_map(|n| {
        let rights = RoleChange {
            add: set(&[Right::UnitRead, Right::UnitLock, Right::UnitWrite]),
            deny: set(&[Right::UnitManage]),
            remove: RightSet::none(),
        };
        let description = format!("what team {n} does with its own units and nobody else's");
        [PolicyChange::CreateRole(role(n), Some(description)), PolicyChange::ChangeRole(role(n), rights)]
    });
    let all: Vec<PolicyChange> = roles.chain((0..MAX_ASSIGNMENTS).map(assign)).collect();
    let policy = Policy::open().switched_on(&BTreeSet::new()).changed(&all).unwrap();
    assert_eq!(policy.assignments().count(), MAX_ASSIGNMENTS);
    assert_eq!(policy.changed(&[assign(MAX_ASSIGNMENTS)]), Err(PolicyError::TooManyAssignments));
    let more = PolicyChange::CreateRole("more".parse().unwrap(), None);
    assert_eq!(policy.changed(&[more]), Err(PolicyError::TooManyRoles));

    let policies = backend.open().policies;
    landed(policies.try_append(&(), None, &change(1, ChangeKind::Created, policy.clone())).await);
    assert_eq!(backend.open().policies.newest(&()).await.unwrap().unwrap().value, policy);
    let key = backend.raw.keys("policy").await.remove(0);
    let size = backend.raw.get(&key).await.len();
    assert!(size < 1024 * 1024, "{size} bytes");
}
