//! From `init` to `destroy`, over both schemes and with both ways to choose a workspace.

use opentaco_tests::server::{Options, Server};
use opentaco_tests::terraform::{Scheme, Terraform};

use crate::config::{cloud, cloud_of, resource, workdir, workdir_over};

#[tokio::test]
async fn a_workspace_by_name_lives_from_init_to_destroy_over_https() {
    whole_life(Scheme::Https, "name = \"web\"", "").await;
}

#[tokio::test]
async fn a_workspace_by_name_lives_from_init_to_destroy_over_http() {
    whole_life(Scheme::Http, "name = \"web\"", "").await;
}

// With tags and no workspace yet, `init` asks for a name.
#[tokio::test]
async fn a_workspace_by_tags_lives_from_init_to_destroy_over_https() {
    whole_life(Scheme::Https, "tags = [\"app\", \"net\"]", "web-blue\n").await;
}

#[tokio::test]
async fn a_workspace_by_tags_lives_from_init_to_destroy_over_http() {
    whole_life(Scheme::Http, "tags = [\"app\", \"net\"]", "web-blue\n").await;
}

async fn whole_life(scheme: Scheme, workspaces: &str, typed: &str) {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let module = workdir_over(&terraform, &server, scheme).await;
    module.write("main.tf", &(cloud(&server, workspaces) + &resource("one")));

    module.run_with_input(&["init"], typed).ok();
    // 2 is Terraform's word for "there is something to do".
    let plan = module.run(&["plan", "-detailed-exitcode", "-input=false"]);
    assert_eq!(plan.status.code(), Some(2), "{plan:?}");
    module.run(&["apply", "-auto-approve", "-input=false"]).ok();
    assert_eq!(module.run(&["output", "-raw", "app"]).ok().stdout, "one");

    module.write("main.tf", &(cloud(&server, workspaces) + &resource("two")));
    module.run(&["apply", "-auto-approve", "-input=false"]).ok();
    assert_eq!(module.run(&["output", "-raw", "app"]).ok().stdout, "two");
    let plan = module.run(&["plan", "-detailed-exitcode", "-input=false"]);
    assert_eq!(plan.status.code(), Some(0), "nothing is left to do: {plan:?}");

    module.run(&["destroy", "-auto-approve", "-input=false"]).ok();
    assert_eq!(module.run(&["state", "list"]).ok().stdout.trim(), "");
}

#[tokio::test]
async fn an_organization_comes_into_being_on_first_use() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let module = workdir(&terraform, &server).await;
    module.write("main.tf", &(cloud_of(&server, "acme", "name = \"web\"") + &resource("acme")));

    module.run(&["init", "-input=false"]).ok();
    module.run(&["apply", "-auto-approve", "-input=false"]).ok();
    assert_eq!(module.run(&["output", "-raw", "app"]).ok().stdout, "acme");
}

#[tokio::test]
async fn the_same_name_in_two_organizations_is_two_workspaces() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let ours = workdir(&terraform, &server).await;
    let theirs = workdir(&terraform, &server).await;
    ours.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("ours")));
    theirs.write("main.tf", &(cloud_of(&server, "acme", "name = \"web\"") + &resource("theirs")));

    for module in [&ours, &theirs] {
        module.run(&["init", "-input=false"]).ok();
        module.run(&["apply", "-auto-approve", "-input=false"]).ok();
    }
    assert_eq!(ours.run(&["output", "-raw", "app"]).ok().stdout, "ours");
    assert_eq!(theirs.run(&["output", "-raw", "app"]).ok().stdout, "theirs");
}
