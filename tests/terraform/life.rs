//! From `init` to `destroy`, over both schemes and with both ways to choose a workspace.

use opentaco_tests::terraform::Scheme;

use crate::config::{cloud, cloud_of, resource};
use crate::setup::Setup;

pub(crate) async fn a_workspace_by_name_lives_from_init_to_destroy_over_https(setup: &Setup) {
    whole_life(setup, Scheme::Https, "name = \"web\"", "").await;
}

pub(crate) async fn a_workspace_by_name_lives_from_init_to_destroy_over_http(setup: &Setup) {
    whole_life(setup, Scheme::Http, "name = \"web\"", "").await;
}

// With tags and no workspace yet, `init` asks for a name.
pub(crate) async fn a_workspace_by_tags_lives_from_init_to_destroy_over_https(setup: &Setup) {
    whole_life(setup, Scheme::Https, "tags = [\"app\", \"net\"]", "web-blue\n").await;
}

pub(crate) async fn a_workspace_by_tags_lives_from_init_to_destroy_over_http(setup: &Setup) {
    whole_life(setup, Scheme::Http, "tags = [\"app\", \"net\"]", "web-blue\n").await;
}

async fn whole_life(setup: &Setup, scheme: Scheme, workspaces: &str, typed: &str) {
    let server = setup.start();
    let module = setup.workdir_over(&server, scheme).await;
    module.write("main.tf", &(cloud(&server, workspaces) + &resource("one")));

    module.run_with_input(&["init"], typed).ok();
    module.expect_plan(true);
    module.apply();
    assert_eq!(module.output("app"), "one");

    module.write("main.tf", &(cloud(&server, workspaces) + &resource("two")));
    module.apply();
    assert_eq!(module.output("app"), "two");
    module.expect_plan(false);

    module.run(&["destroy", "-auto-approve", "-input=false"]).ok();
    assert!(module.resources().is_empty());
}

pub(crate) async fn an_organization_comes_into_being_on_first_use(setup: &Setup) {
    let server = setup.start();
    let module = setup.workdir(&server).await;
    module.write("main.tf", &(cloud_of(&server, "acme", "name = \"web\"") + &resource("acme")));

    module.init();
    module.apply();
    assert_eq!(module.output("app"), "acme");
}

pub(crate) async fn the_same_name_in_two_organizations_is_two_workspaces(setup: &Setup) {
    let server = setup.start();
    let ours = setup.workdir(&server).await;
    let theirs = setup.workdir(&server).await;
    ours.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("ours")));
    theirs.write("main.tf", &(cloud_of(&server, "acme", "name = \"web\"") + &resource("theirs")));

    for module in [&ours, &theirs] {
        module.init();
        module.apply();
    }
    assert_eq!(ours.output("app"), "ours");
    assert_eq!(theirs.output("app"), "theirs");
}
