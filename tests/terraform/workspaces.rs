//! `terraform workspace` with tags: one configuration, many workspaces.

use opentaco_tests::server::Server;
use opentaco_tests::terraform::Workdir;

use crate::config::{cloud, resource};
use crate::setup::Setup;

async fn tagged(setup: &Setup, server: &Server) -> Workdir {
    let module = setup.workdir(server).await;
    module.write("main.tf", &(cloud(server, "tags = [\"app\", \"net\"]") + &resource("x")));
    module.run_with_input(&["init"], "blue\n").ok();
    module
}

pub(crate) async fn workspaces_are_made_listed_chosen_and_deleted(setup: &Setup) {
    let server = setup.start();
    let module = tagged(setup, &server).await;

    module.run(&["workspace", "new", "green"]).ok();
    assert_eq!(module.workspaces(), ["blue", "green"]);
    assert_eq!(module.run(&["workspace", "show"]).ok().stdout.trim(), "green");

    module.run(&["workspace", "select", "blue"]).ok();
    assert_eq!(module.run(&["workspace", "show"]).ok().stdout.trim(), "blue");
    module.run(&["workspace", "delete", "green"]).ok();
    assert_eq!(module.workspaces(), ["blue"]);
}

pub(crate) async fn a_workspace_with_resources_is_deleted_only_by_force(setup: &Setup) {
    let server = setup.start();
    let module = tagged(setup, &server).await;
    module.run(&["workspace", "new", "green"]).ok();
    module.apply();
    module.run(&["workspace", "select", "blue"]).ok();

    module.run(&["workspace", "delete", "green"]).refused("Workspace is not empty");
    assert_eq!(module.workspaces(), ["blue", "green"]);
    module.run(&["workspace", "delete", "-force", "green"]).ok();
    assert_eq!(module.workspaces(), ["blue"]);
}

pub(crate) async fn each_workspace_has_a_state_of_its_own(setup: &Setup) {
    let server = setup.start();
    let module = tagged(setup, &server).await;
    module.apply();
    module.run(&["workspace", "new", "green"]).ok();

    module.run(&["state", "list"]).refused("No state file was found");
    module.run(&["workspace", "select", "blue"]).ok();
    assert_eq!(module.resources(), ["terraform_data.app"]);
}

pub(crate) async fn only_workspaces_with_every_tag_are_listed(setup: &Setup) {
    let server = setup.start();
    let both = tagged(setup, &server).await;
    let one = setup.workdir(&server).await;
    one.write("main.tf", &(cloud(&server, "tags = [\"app\"]") + &resource("x")));
    // A workspace with this tag is there already, so the only one is chosen without a question.
    one.init();
    one.run(&["workspace", "new", "red"]).ok();

    assert_eq!(one.workspaces(), ["blue", "red"]);
    assert_eq!(both.workspaces(), ["blue"]);
}
