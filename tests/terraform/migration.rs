//! Moving state between backends, as `init` offers it: what was built is known afterwards and not built again.
//!
//! Terraform itself draws a new lineage when it copies or pushes into a workspace that has no state; where it does not
//! copy, or copies out, serial and lineage stay.

use std::fs;

use opentaco_tests::server::Server;
use opentaco_tests::terraform::Workdir;
use serde_json::{Value, json};

use crate::config::{cloud, remote, resource};
use crate::setup::{Setup, api};

/// What the question about copying begins with.
const COPY: &str = "Should Terraform migrate your existing state?";

/// A folder whose state is a local file.
async fn local(setup: &Setup, server: &Server) -> Workdir {
    let module = setup.workdir(server).await;
    module.write("main.tf", &resource("kept"));
    module.write("backend.tf", "terraform {\n  backend \"local\" {}\n}\n");
    module.init();
    module.apply();
    module
}

/// A folder whose state is in a workspace, reached by `backend "remote"`.
async fn remotely(setup: &Setup, server: &Server, name: &str) -> Workdir {
    let module = setup.workdir(server).await;
    module.write("main.tf", &resource("kept"));
    module.write("backend.tf", &remote(server, &format!("name = \"{name}\"")));
    module.init();
    module.apply();
    module
}

/// What must be the same on both sides of a copy.
fn content(state: &Value) -> (Value, Value) {
    let attributes = &state["resources"][0]["instances"][0]["attributes"];
    assert!(attributes["id"].is_string(), "a resource in {state}");
    (attributes.clone(), state["outputs"].clone())
}

/// Serial and lineage.
fn place(state: &Value) -> (Value, Value) {
    (state["serial"].clone(), state["lineage"].clone())
}

pub(crate) async fn a_local_state_moves_into_a_cloud_block(setup: &Setup) {
    let server = setup.start();
    let module = local(setup, &server).await;
    let before = module.pull();

    module.write("backend.tf", &cloud(&server, "name = \"web\""));
    module.run(&["init", "-input=false"]).refused("Can't ask approval for state migration");
    let mut init = module.spawn_on_terminal(&["init"]);
    init.answer(COPY, "yes");
    init.finish().ok();
    assert_eq!(content(&module.pull()), content(&before));
    module.expect_plan(false);
}

pub(crate) async fn a_local_state_moves_into_the_remote_backend(setup: &Setup) {
    let server = setup.start();
    let module = local(setup, &server).await;
    let before = module.pull();

    module.write("backend.tf", &remote(&server, "name = \"web\""));
    module.run(&["init", "-input=false", "-force-copy"]).ok();
    assert_eq!(content(&module.pull()), content(&before));
    module.expect_plan(false);
}

pub(crate) async fn a_local_state_that_is_pushed_is_not_built_again(setup: &Setup) {
    let server = setup.start();
    let old = local(setup, &server).await;
    let before = old.pull();
    let module = setup.workdir(&server).await;
    module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("kept")));
    module.init();

    module.write("old.tfstate", &before.to_string());
    module.run(&["state", "push", "old.tfstate"]).ok();
    assert_eq!(content(&module.pull()), content(&before));
    module.expect_plan(false);
}

pub(crate) async fn a_local_state_that_is_uploaded_keeps_serial_and_lineage(setup: &Setup) {
    let server = setup.start();
    let old = local(setup, &server).await;
    let before = old.pull();
    let module = setup.workdir(&server).await;
    module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("kept")));
    module.init();

    let api = api(&server).await;
    let workspace = api.get("/organizations/default/workspaces/web").await.id();
    api.write(&workspace, before.to_string().as_bytes()).await;
    assert_eq!(module.pull(), before);
    module.expect_plan(false);
    module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("changed")));
    module.apply();
    assert_eq!(module.pull()["lineage"], before["lineage"]);
}

pub(crate) async fn a_refused_copy_leaves_both_sides_as_they_were(setup: &Setup) {
    let server = setup.start();
    let old = remotely(setup, &server, "web").await;
    let theirs = old.pull();
    let module = local(setup, &server).await;
    let file = || fs::read_to_string(module.path().join("terraform.tfstate")).unwrap();
    let ours = file();

    module.write("backend.tf", &cloud(&server, "name = \"web\""));
    let mut init = module.spawn_on_terminal(&["init"]);
    init.answer(COPY, "no");
    init.finish().ok();
    assert_eq!(module.pull(), theirs);
    assert_eq!(file(), ours);
}

pub(crate) async fn many_local_workspaces_move_into_tagged_ones_by_a_pattern(setup: &Setup) {
    let server = setup.start();
    let module = local(setup, &server).await;
    let base = module.pull();
    module.run(&["workspace", "new", "two"]).ok();
    module.apply();
    let two = module.pull();

    module.write("backend.tf", &cloud(&server, "tags = [\"moved\"]"));
    let mut init = module.spawn_on_terminal(&["init"]);
    init.answer("Please provide a new workspace name", "base");
    init.answer("Would you like to rename your workspaces?", "1");
    init.answer("How would you like to rename your workspaces?", "app-*-eu");
    init.finish().ok();
    assert_eq!(module.workspaces(), ["app-base-eu", "app-two-eu"]);
    assert_eq!(content(&module.pull()), content(&two));
    module.expect_plan(false);
    module.run(&["workspace", "select", "app-base-eu"]).ok();
    assert_eq!(content(&module.pull()), content(&base));
    module.expect_plan(false);
}

// Terraform itself refuses to look at a prefix under which there is nothing, so one workspace is there already.
pub(crate) async fn many_local_workspaces_move_under_a_prefix(setup: &Setup) {
    let server = setup.start();
    let there = setup.workdir(&server).await;
    there.write("backend.tf", &remote(&server, "prefix = \"app-\""));
    there.run(&["init", "-input=false"]).refused("No existing workspaces");
    there.run(&["workspace", "new", "zero"]).ok();
    let module = local(setup, &server).await;
    let base = module.pull();
    module.run(&["workspace", "new", "two"]).ok();
    module.apply();
    let two = module.pull();

    module.write("backend.tf", &remote(&server, "prefix = \"app-\""));
    let mut init = module.spawn_on_terminal(&["init", "-migrate-state"]);
    init.answer("Do you want to migrate all workspaces", "yes");
    init.answer("Please provide a new workspace name", "base");
    init.finish().ok();
    assert_eq!(module.workspaces(), ["base", "two", "zero"]);
    for (name, before) in [("two", two), ("base", base)] {
        module.run(&["workspace", "select", name]).ok();
        assert_eq!(content(&module.pull()), content(&before));
        module.expect_plan(false);
    }
}

pub(crate) async fn the_remote_backend_becomes_a_cloud_block_of_the_same_workspace(setup: &Setup) {
    let server = setup.start();
    let module = remotely(setup, &server, "web").await;
    let before = module.pull();

    module.write("backend.tf", &cloud(&server, "name = \"web\""));
    let mut init = module.spawn_on_terminal(&["init"]);
    init.answer(COPY, "yes");
    init.finish().ok();
    assert_eq!(module.pull(), before, "nothing was written");
    module.expect_plan(false);
}

pub(crate) async fn the_remote_backend_becomes_a_cloud_block_of_another_workspace(setup: &Setup) {
    let server = setup.start();
    let module = remotely(setup, &server, "web").await;
    let before = module.pull();

    module.write("backend.tf", &cloud(&server, "name = \"new\""));
    let mut init = module.spawn_on_terminal(&["init"]);
    init.answer(COPY, "yes");
    init.finish().ok();
    assert_eq!(content(&module.pull()), content(&before));
    module.expect_plan(false);
    let old = setup.workdir(&server).await;
    old.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("kept")));
    old.init();
    assert_eq!(old.pull(), before, "the old workspace is as it was");
}

pub(crate) async fn workspaces_of_a_prefix_become_tagged_ones_under_their_full_names(setup: &Setup) {
    let server = setup.start();
    let module = setup.workdir(&server).await;
    module.write("main.tf", &resource("kept"));
    module.write("backend.tf", &remote(&server, "prefix = \"cp-10-dns-\""));
    module.run(&["init", "-input=false"]).refused("No existing workspaces");
    for name in ["a", "b"] {
        module.run(&["workspace", "new", name]).ok();
        module.apply();
    }
    let before = module.pull();

    module.write("backend.tf", &cloud(&server, "tags = [\"dns\"]"));
    let mut init = module.spawn_on_terminal(&["init"]);
    init.answer("Enter \"yes\" to proceed", "yes");
    init.finish().ok();
    assert_eq!(module.workspaces(), ["cp-10-dns-a", "cp-10-dns-b"]);
    module.run(&["workspace", "select", "cp-10-dns-b"]).ok();
    assert_eq!(module.pull(), before, "nothing was written");
}

pub(crate) async fn the_remote_backend_moves_from_one_workspace_to_another(setup: &Setup) {
    let server = setup.start();
    let module = remotely(setup, &server, "web").await;
    let before = module.pull();

    module.write("backend.tf", &remote(&server, "name = \"new\""));
    module.run(&["init", "-input=false", "-force-copy"]).ok();
    assert_eq!(content(&module.pull()), content(&before));
    module.expect_plan(false);
}

pub(crate) async fn the_way_back_to_a_local_file_keeps_serial_and_lineage(setup: &Setup) {
    let server = setup.start();
    let module = remotely(setup, &server, "web").await;
    let before = module.pull();

    module.write("backend.tf", "terraform {\n  backend \"local\" {}\n}\n");
    module.run(&["init", "-input=false", "-force-copy"]).ok();
    let now = module.pull();
    assert_eq!((place(&now), content(&now)), (place(&before), content(&before)));
    module.expect_plan(false);
}

pub(crate) async fn a_cloud_block_is_left_by_pulling_the_state(setup: &Setup) {
    let server = setup.start();
    let module = setup.workdir(&server).await;
    module.write("main.tf", &resource("kept"));
    module.write("backend.tf", &cloud(&server, "name = \"web\""));
    module.init();
    module.apply();
    module.write("backend.tf", "terraform {\n  backend \"local\" {}\n}\n");
    module.run(&["init", "-input=false"]).refused("not yet implemented");
    module.write("backend.tf", &cloud(&server, "name = \"web\""));
    let pulled = module.run(&["state", "pull"]).ok().stdout;

    let out = setup.workdir(&server).await;
    out.write("main.tf", &resource("kept"));
    out.write("terraform.tfstate", &pulled);
    out.init();
    let now = out.pull();
    let before: Value = serde_json::from_str(&pulled).unwrap();
    assert_eq!((place(&now), content(&now)), (place(&before), content(&before)));
    assert_ne!(now["serial"], json!(null));
    out.expect_plan(false);
}
