//! A page of a long list.

use std::collections::BTreeSet;

use opentaco_domain::page::PageRequest;
use opentaco_domain::workspace::Update;
use opentaco_ports::driving::workspace_query::WorkspaceQuery;
use opentaco_tests::seaweed::Seaweed;

use crate::installation::{Asked, Server, actor};

const ALL: usize = 2000;

/// What a page of a list costs when so many hints lie in the catalog: S3 lists 1,000 keys a request.
fn cost(hints: usize) -> Asked {
    Asked { lists: hints.div_ceil(1000), reads: 20, writes: 0 }
}

fn even(number: usize) -> WorkspaceQuery {
    let page = PageRequest::new(Some(number), Some(20));
    WorkspaceQuery { tags: vec!["even".to_owned()], page, ..WorkspaceQuery::all("default".parse().unwrap()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_20_of_2000_workspaces_costs_the_list_and_20_reads_on_either_server() {
    let Some(bucket) = Seaweed::find().map(Seaweed::bucket) else { return };
    let (first, second) = (Server::on(&bucket).unwrap(), Server::on(&bucket).unwrap());
    first.make_many(ALL).await;
    for server in [&first, &second] {
        // Every one is found, whoever made it. This also fetches what is new to this server, once.
        let mut seen = BTreeSet::new();
        for number in 1..=ALL / 2 / 20 {
            let page = server.workspaces.list(&actor(), &even(number)).await.unwrap();
            assert_eq!((page.items.len(), page.total), (20, ALL / 2));
            seen.extend(page.items.into_iter().map(|workspace| workspace.name.to_string()));
        }
        assert_eq!(seen.len(), ALL / 2);
        server.asked();
        for number in [1, 25, 50] {
            server.workspaces.list(&actor(), &even(number)).await.unwrap();
            assert_eq!(server.asked(), cost(ALL), "page {number}");
        }
    }

    // A change on one server: the other fetches that one hint more, and pages cost as before.
    let changed = &first.workspaces.list(&actor(), &even(1)).await.unwrap().items[0];
    let name = Some("zzz/renamed".parse().unwrap());
    let update = Update { name, ..Update::default() };
    first.workspaces.update(&actor(), changed.id, &update).await.unwrap();
    second.asked();
    let last = second.workspaces.list(&actor(), &even(50)).await.unwrap();
    assert_eq!(last.items.last().map(|workspace| workspace.name.to_string()).as_deref(), Some("zzz/renamed"));
    let asked = second.asked();
    // The older hint of the workspace is still there, and its record has two entries that are new to this server.
    assert_eq!(asked, Asked { reads: 20 + 1 + 2, ..cost(ALL + 1) });
    second.workspaces.list(&actor(), &even(50)).await.unwrap();
    assert_eq!(second.asked(), cost(ALL + 1));
}
