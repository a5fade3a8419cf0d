//! `tags = { key = "value" }`: workspaces are chosen by keys and their values.

use opentaco_tests::server::Server;
use opentaco_tests::terraform::Workdir;
use serde_json::json;

use crate::config::{cloud, resource};
use crate::setup::{Setup, api};

/// A folder whose workspaces are those with these tags.
async fn tagged(setup: &Setup, server: &Server, tags: &str) -> Workdir {
    let module = setup.workdir(server).await;
    module.write("main.tf", &(cloud(server, tags) + &resource("x")));
    module
}

pub(crate) async fn a_map_of_tags_makes_lists_and_chooses_workspaces(setup: &Setup) {
    let server = setup.start();
    let module = tagged(setup, &server, "tags = { app = \"web\", env = \"prod\" }").await;
    module.run_with_input(&["init"], "blue\n").ok();
    module.apply();
    module.run(&["workspace", "new", "green"]).ok();
    assert_eq!(module.workspaces(), ["blue", "green"]);
    assert!(module.run(&["state", "list"]).stdout.is_empty(), "the new one is empty");

    module.run(&["workspace", "select", "blue"]).ok();
    assert_eq!(module.output("app"), "x");
    module.run(&["workspace", "select", "-or-create", "red"]).ok();
    assert_eq!(module.workspaces(), ["blue", "green", "red"]);
    module.run(&["workspace", "select", "blue"]).ok();
    module.run(&["workspace", "delete", "green"]).ok();
    assert_eq!(module.workspaces(), ["blue", "red"]);
}

pub(crate) async fn the_tags_of_a_map_are_bound_to_the_workspace(setup: &Setup) {
    let server = setup.start();
    let module = tagged(setup, &server, "tags = { app = \"web\", env = \"prod\" }").await;
    module.run_with_input(&["init"], "blue\n").ok();

    let api = api(&server).await;
    let workspace = api.get("/organizations/default/workspaces/blue").await.id();
    let bindings = api.get(&format!("/workspaces/{workspace}/tag-bindings")).await.json();
    let mut bound: Vec<_> = bindings["data"].as_array().unwrap().iter().map(|b| &b["attributes"]).collect();
    bound.sort_by_key(|attributes| attributes["key"].to_string());
    assert_eq!(bound.len(), 2, "{bindings}");
    assert_eq!((&bound[0]["key"], &bound[0]["value"]), (&json!("app"), &json!("web")));
    assert_eq!((&bound[1]["key"], &bound[1]["value"]), (&json!("env"), &json!("prod")));
}

pub(crate) async fn only_workspaces_with_exactly_these_values_are_listed(setup: &Setup) {
    let server = setup.start();
    let prod = tagged(setup, &server, "tags = { app = \"web\", env = \"prod\" }").await;
    prod.run_with_input(&["init"], "web-prod\n").ok();
    let dev = tagged(setup, &server, "tags = { app = \"web\", env = \"dev\" }").await;
    dev.run_with_input(&["init"], "web-dev\n").ok();
    let swapped = tagged(setup, &server, "tags = { app = \"prod\", env = \"web\" }").await;
    swapped.run_with_input(&["init"], "swapped\n").ok();

    assert_eq!(prod.workspaces(), ["web-prod"]);
    assert_eq!(dev.workspaces(), ["web-dev"]);
    assert_eq!(swapped.workspaces(), ["swapped"]);
    // A shorter map finds whatever has more tags than it asks for; TF_WORKSPACE chooses among several.
    let mut web = tagged(setup, &server, "tags = { app = \"web\" }").await;
    web.set_env("TF_WORKSPACE", "web-dev");
    web.init();
    assert_eq!(web.workspaces(), ["web-dev", "web-prod"]);
}

pub(crate) async fn the_environment_names_the_workspace_where_nobody_can_be_asked(setup: &Setup) {
    let server = setup.start();
    for (name, tags) in [
        ("by-map", "tags = { app = \"web\", team = \"net\" }"),
        ("by-list", "tags = [\"app\", \"env:prod\"]"),
    ] {
        let mut module = tagged(setup, &server, tags).await;
        module.set_env("TF_WORKSPACE", name);
        module.run(&["init", "-input=false"]).refused(&format!("failed to find workspace \"{name}\""));
        let maker = tagged(setup, &server, tags).await;
        maker.run_with_input(&["init"], &format!("{name}\n")).ok();
        maker.run(&["workspace", "new", &format!("{name}-2")]).ok();

        module.init();
        module.apply();
        assert_eq!(module.run(&["workspace", "show"]).ok().stdout.trim(), name);
        assert_eq!(module.output("app"), "x");
        assert_eq!(module.workspaces(), [name.to_owned(), format!("{name}-2")]);
        maker.run(&["state", "list"]).refused("No state file was found");
    }
}

pub(crate) async fn names_of_tags_may_hold_a_colon(setup: &Setup) {
    let server = setup.start();
    let prod = tagged(setup, &server, "tags = [\"app\", \"env:prod\"]").await;
    prod.run_with_input(&["init"], "prod\n").ok();
    let dev = tagged(setup, &server, "tags = [\"app\", \"env:dev\"]").await;
    dev.run_with_input(&["init"], "dev\n").ok();
    prod.run(&["workspace", "new", "prod-2"]).ok();

    assert_eq!(prod.workspaces(), ["prod", "prod-2"]);
    assert_eq!(dev.workspaces(), ["dev"]);
}

pub(crate) async fn a_key_with_a_value_answers_to_its_name_alone(setup: &Setup) {
    let server = setup.start();
    let by_map = tagged(setup, &server, "tags = { app = \"web\", env = \"prod\" }").await;
    by_map.run_with_input(&["init"], "blue\n").ok();
    let by_name = tagged(setup, &server, "tags = [\"app\"]").await;
    by_name.init();

    assert_eq!(by_name.workspaces(), ["blue"]);
    assert_eq!(by_map.workspaces(), ["blue"]);
}

pub(crate) async fn forty_five_workspaces_are_all_listed(setup: &Setup) {
    let server = setup.start();
    let api = api(&server).await;
    let names: Vec<String> = (0..45).map(|i| format!("w-{i:02}")).collect();
    for name in &names {
        let body = json!({"data": {
            "type": "workspaces", "attributes": {"name": name},
            "relationships": {"tags": {"data": [{"type": "tags", "attributes": {"name": "many"}}]}},
        }});
        let made = api.post("/organizations/default/workspaces", body).await;
        assert!(made.status.is_success(), "{made:?}");
    }
    let mut module = tagged(setup, &server, "tags = [\"many\"]").await;
    module.set_env("TF_WORKSPACE", "w-44");
    module.init();
    assert_eq!(module.workspaces(), names);
}
