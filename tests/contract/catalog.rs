//! Hints from which lists are made.

use opentaco_domain::name::OrganizationName;
use opentaco_domain::organization::Organization;
use opentaco_domain::project::Projects;
use opentaco_ports::driven::catalog::{Catalog, Hint};
use opentaco_ports::driven::records::ChangeKind;

use crate::backend::Backend;
use crate::values::{AT, change, full_workspace, landed, workspace, workspace_id};

fn organization() -> OrganizationName {
    "default".parse().unwrap()
}

fn hint(n: usize, name: &str) -> Hint {
    Hint { name: name.parse().unwrap(), ..Hint::of(&workspace(n)) }
}

/// All hints, in order of their workspaces.
async fn hints(catalog: &dyn Catalog) -> Vec<Hint> {
    let mut hints = catalog.hints(&organization()).await.unwrap();
    hints.sort_by_key(|hint| hint.workspace);
    hints
}

pub async fn the_hint_of_the_highest_number_counts(backend: &Backend) {
    let catalog = &*backend.open().catalog;
    assert_eq!(hints(catalog).await, []);
    // Not in order, and not in the order of their spelling: 10 is more than 9.
    for number in [3, 9, 10, 1, 2] {
        catalog.note(&organization(), number, &hint(1, &format!("as-of-{number}"))).await.unwrap();
    }
    catalog.note(&organization(), 4, &hint(2, "another")).await.unwrap();
    let expected = [hint(1, "as-of-10"), hint(2, "another")];
    assert_eq!(hints(catalog).await, expected);
    assert_eq!(hints(&*backend.open().catalog).await, expected, "also without anything remembered");
    let elsewhere = "elsewhere".parse().unwrap();
    assert_eq!(catalog.hints(&elsewhere).await.unwrap(), [], "organizations are apart");
}

pub async fn a_hint_noted_again_changes_nothing(backend: &Backend) {
    let (here, there) = (backend.open().catalog, backend.open().catalog);
    let noted = Hint::of(&full_workspace(1));
    for catalog in [&here, &there, &here] {
        catalog.note(&organization(), 7, &noted).await.unwrap();
        assert_eq!(hints(&**catalog).await, std::slice::from_ref(&noted));
    }
}

pub async fn two_servers_see_each_others_hints(backend: &Backend) {
    let servers = [backend.open().catalog, backend.open().catalog];
    for number in 1..10 {
        let (here, there) = (&servers[number % 2], &servers[(number + 1) % 2]);
        let noted = hint(1, &format!("as-of-{number}"));
        here.note(&organization(), number as u64, &noted).await.unwrap();
        assert_eq!(hints(&**there).await, std::slice::from_ref(&noted));
        assert_eq!(hints(&**here).await, [noted]);
    }
}

pub async fn what_is_not_in_use_is_not_listed(backend: &Backend) {
    let catalog = &*backend.open().catalog;
    catalog.note(&organization(), 1, &hint(1, "gone")).await.unwrap();
    catalog.note(&organization(), 1, &hint(2, "stays")).await.unwrap();
    let gone = Hint { live: false, ..hint(1, "gone") };
    catalog.note(&organization(), 2, &gone).await.unwrap();
    assert_eq!(hints(catalog).await, [hint(2, "stays")]);
}

pub async fn organizations_are_listed_in_order(backend: &Backend) {
    let server = backend.open();
    assert_eq!(server.catalog.organizations().await.unwrap(), []);
    for (n, name) in ["zeta", "acme", "default"].into_iter().enumerate() {
        let value = Organization {
            name: name.parse().unwrap(),
            email: None,
            created_at: AT,
            projects: Projects::default(),
        };
        let key = value.name.clone();
        landed(server.organizations.try_append(&key, None, &change(n, ChangeKind::Created, value)).await);
    }
    let names: Vec<OrganizationName> =
        ["acme", "default", "zeta"].into_iter().map(|name| name.parse().unwrap()).collect();
    assert_eq!(backend.open().catalog.organizations().await.unwrap(), names);
}

pub async fn many_workspaces_are_all_listed(backend: &Backend) {
    let catalog = &*backend.open().catalog;
    for n in 0..100 {
        catalog.note(&organization(), 1, &hint(n, &format!("w{n}"))).await.unwrap();
    }
    let listed = hints(&*backend.open().catalog).await;
    let ids: Vec<_> = listed.into_iter().map(|hint| hint.workspace).collect();
    assert_eq!(ids, (0..100).map(workspace_id).collect::<Vec<_>>());
}
