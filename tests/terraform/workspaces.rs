//! `terraform workspace` with tags: one configuration, many workspaces.

use opentaco_tests::server::{Options, Server};
use opentaco_tests::terraform::{Terraform, Workdir};

use crate::config::{cloud, resource, workdir};

async fn tagged(terraform: &Terraform, server: &Server) -> Workdir {
    let module = workdir(terraform, server).await;
    module.write("main.tf", &(cloud(server, "tags = [\"app\", \"net\"]") + &resource("x")));
    module.run_with_input(&["init"], "blue\n").ok();
    module
}

#[tokio::test]
async fn workspaces_are_made_listed_chosen_and_deleted() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let module = tagged(&terraform, &server).await;

    module.run(&["workspace", "new", "green"]).ok();
    assert_eq!(module.run(&["workspace", "list"]).ok().lines(), ["blue", "green"]);
    assert_eq!(module.run(&["workspace", "show"]).ok().stdout.trim(), "green");

    module.run(&["workspace", "select", "blue"]).ok();
    assert_eq!(module.run(&["workspace", "show"]).ok().stdout.trim(), "blue");
    module.run(&["workspace", "delete", "green"]).ok();
    assert_eq!(module.run(&["workspace", "list"]).ok().lines(), ["blue"]);
}

#[tokio::test]
async fn a_workspace_with_resources_is_deleted_only_by_force() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let module = tagged(&terraform, &server).await;
    module.run(&["workspace", "new", "green"]).ok();
    module.run(&["apply", "-auto-approve", "-input=false"]).ok();
    module.run(&["workspace", "select", "blue"]).ok();

    module.run(&["workspace", "delete", "green"]).refused("Workspace is not empty");
    assert_eq!(module.run(&["workspace", "list"]).ok().lines(), ["blue", "green"]);
    module.run(&["workspace", "delete", "-force", "green"]).ok();
    assert_eq!(module.run(&["workspace", "list"]).ok().lines(), ["blue"]);
}

#[tokio::test]
async fn each_workspace_has_a_state_of_its_own() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let module = tagged(&terraform, &server).await;
    module.run(&["apply", "-auto-approve", "-input=false"]).ok();
    module.run(&["workspace", "new", "green"]).ok();

    module.run(&["state", "list"]).refused("No state file was found");
    module.run(&["workspace", "select", "blue"]).ok();
    assert_eq!(module.run(&["state", "list"]).ok().lines(), ["terraform_data.app"]);
}

#[tokio::test]
async fn only_workspaces_with_every_tag_are_listed() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let both = tagged(&terraform, &server).await;
    let one = workdir(&terraform, &server).await;
    one.write("main.tf", &(cloud(&server, "tags = [\"app\"]") + &resource("x")));
    // A workspace with this tag is there already, so the only one is chosen without a question.
    one.run(&["init", "-input=false"]).ok();
    one.run(&["workspace", "new", "red"]).ok();

    assert_eq!(one.run(&["workspace", "list"]).ok().lines(), ["blue", "red"]);
    assert_eq!(both.run(&["workspace", "list"]).ok().lines(), ["blue"]);
}
