//! `backend "remote"`: the older way to reach the same workspaces, by name and by prefix.

use opentaco_tests::server::Server;
use opentaco_tests::terraform::{APPLY, Scheme, Workdir};
use serde_json::json;

use crate::config::{Gate, cloud, remote, resource};
use crate::setup::Setup;

async fn named(setup: &Setup, server: &Server) -> Workdir {
    let module = setup.workdir(server).await;
    module.write("main.tf", &(remote(server, "name = \"web\"") + &resource("one")));
    module.init();
    module
}

/// With a prefix and no workspace yet there is nothing to choose: the first one is made at once.
async fn prefixed(setup: &Setup, server: &Server, prefix: &str, first: &str) -> Workdir {
    let module = setup.workdir(server).await;
    module.write("main.tf", &(remote(server, &format!("prefix = \"{prefix}\"")) + &resource("x")));
    module.run(&["init", "-input=false"]).refused("No existing workspaces");
    module.run(&["workspace", "new", first]).ok();
    module
}

pub(crate) async fn a_workspace_by_name_lives_from_init_to_destroy(setup: &Setup) {
    for scheme in [Scheme::Https, Scheme::Http] {
        let server = setup.start();
        let module = setup.workdir_over(&server, scheme).await;
        module.write("main.tf", &(remote(&server, "name = \"web\"") + &resource("one")));
        module.init();
        module.expect_plan(true);
        module.apply();
        assert_eq!(module.output("app"), "one");

        module.write("main.tf", &(remote(&server, "name = \"web\"") + &resource("two")));
        module.apply();
        assert_eq!(module.output("app"), "two");
        module.expect_plan(false);
        module.run(&["destroy", "-auto-approve", "-input=false"]).ok();
        assert!(module.resources().is_empty());
    }
}

pub(crate) async fn both_blocks_see_the_same_workspace(setup: &Setup) {
    let server = setup.start();
    let module = named(setup, &server).await;
    module.apply();
    let state = module.pull();

    let other = setup.workdir(&server).await;
    other.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("one")));
    other.init();
    assert_eq!(other.pull(), state);
    other.expect_plan(false);
}

pub(crate) async fn state_is_pulled_pushed_moved_and_removed(setup: &Setup) {
    let server = setup.start();
    let module = named(setup, &server).await;
    module.apply();
    let mut state = module.pull();
    let serial = state["serial"].as_u64().unwrap();
    state["serial"] = json!(serial + 5);
    state["outputs"]["app"]["value"] = json!("edited");
    module.write("edited.tfstate", &state.to_string());
    module.run(&["state", "push", "edited.tfstate"]).ok();
    let now = module.pull();
    assert_eq!((&now["lineage"], &now["outputs"]), (&state["lineage"], &state["outputs"]));
    assert!(now["serial"].as_u64().unwrap() >= serial + 5, "{}", now["serial"]);

    module.run(&["state", "mv", "terraform_data.app", "terraform_data.web"]).ok();
    assert_eq!(module.resources(), ["terraform_data.web"]);
    module.run(&["state", "rm", "terraform_data.web"]).ok();
    assert!(module.resources().is_empty());
    module.expect_plan(true);
}

pub(crate) async fn a_second_apply_is_refused_until_the_lock_is_forced_open(setup: &Setup) {
    let server = setup.start();
    let gate = Gate::new();
    let first = named(setup, &server).await;
    first.write("main.tf", &(remote(&server, "name = \"web\"") + &gate.resource()));
    let second = named(setup, &server).await;
    let apply = first.spawn(&APPLY);
    gate.wait_until_reached();
    second.run(&APPLY).refused("workspace already locked (lock ID: \"default/web\")");

    apply.kill();
    gate.open();
    second.run(&APPLY).refused("workspace already locked");
    second.run(&["force-unlock", "-force", "default/web"]).ok();
    second.apply();
    second.run(&["force-unlock", "-force", "default/web"]).refused("already unlocked");
}

pub(crate) async fn workspaces_by_prefix_are_made_listed_chosen_and_deleted(setup: &Setup) {
    let server = setup.start();
    let module = prefixed(setup, &server, "app-", "dev").await;
    module.apply();
    module.run(&["workspace", "new", "prod"]).ok();
    assert_eq!(module.workspaces(), ["dev", "prod"]);
    module.run(&["state", "list"]).refused("No state file was found");

    module.run(&["workspace", "select", "dev"]).ok();
    assert_eq!(module.output("app"), "x");
    module.run(&["workspace", "delete", "prod"]).ok();
    assert_eq!(module.workspaces(), ["dev"]);
    module.run(&["workspace", "new", "prod"]).ok();
    module.run(&["workspace", "delete", "-force", "dev"]).ok();
    assert_eq!(module.workspaces(), ["prod"]);
}

pub(crate) async fn the_lock_of_one_workspace_of_a_prefix_is_forced_open_by_its_full_name(setup: &Setup) {
    let server = setup.start();
    let gate = Gate::new();
    let module = prefixed(setup, &server, "app-", "dev").await;
    module.run(&["workspace", "new", "prod"]).ok();
    module.write("main.tf", &(remote(&server, "prefix = \"app-\"") + &gate.resource()));
    let apply = module.spawn(&APPLY);
    gate.wait_until_reached();
    apply.kill();
    gate.open();

    module.run(&APPLY).refused("workspace already locked (lock ID: \"default/app-prod\")");
    module.run(&["workspace", "select", "dev"]).ok();
    module.apply();
    module.run(&["workspace", "select", "prod"]).ok();
    module.run(&["force-unlock", "-force", "default/app-prod"]).ok();
    module.apply();
    module.run(&["destroy", "-auto-approve", "-input=false"]).ok();
    assert!(module.resources().is_empty());
}

pub(crate) async fn a_prefix_may_hold_digits_and_dashes_and_finds_nothing_else(setup: &Setup) {
    let server = setup.start();
    let dns = prefixed(setup, &server, "cp-10-dns-", "a1").await;
    // What has the prefix in the middle is found by the search, and is none of them.
    let other = setup.workdir(&server).await;
    other.write("main.tf", &(remote(&server, "name = \"old-cp-10-dns-b\"") + &resource("other")));
    other.init();
    dns.run(&["workspace", "new", "2-b"]).ok();
    dns.apply();

    assert_eq!(dns.workspaces(), ["2-b", "a1"]);
    let whole = setup.workdir(&server).await;
    whole.write("main.tf", &(remote(&server, "name = \"cp-10-dns-2-b\"") + &resource("x")));
    whole.init();
    assert_eq!(whole.output("app"), "x");
}

pub(crate) async fn the_environment_chooses_among_the_workspaces_of_a_prefix(setup: &Setup) {
    let server = setup.start();
    let maker = prefixed(setup, &server, "app-", "dev").await;
    maker.run(&["workspace", "new", "prod"]).ok();
    let mut module = setup.workdir(&server).await;
    module.write("main.tf", &(remote(&server, "prefix = \"app-\"") + &resource("x")));
    module.set_env("TF_WORKSPACE", "prod");
    module.init();
    module.apply();

    maker.run(&["workspace", "select", "prod"]).ok();
    assert_eq!(maker.output("app"), "x");
    maker.run(&["workspace", "select", "dev"]).ok();
    maker.run(&["state", "list"]).refused("No state file was found");
}
