//! `terraform state`: pull, push, mv, rm.

use opentaco_tests::server::Server;
use opentaco_tests::terraform::Workdir;
use serde_json::json;

use crate::config::{cloud, resource};
use crate::setup::{Setup, api};

async fn applied(setup: &Setup, server: &Server) -> Workdir {
    let module = setup.workdir(server).await;
    module.write("main.tf", &(cloud(server, "name = \"web\"") + &resource("one")));
    module.init();
    module.apply();
    module
}

pub(crate) async fn a_pulled_state_can_be_edited_and_pushed_back(setup: &Setup) {
    let server = setup.start();
    let module = applied(setup, &server).await;
    let mut state = module.pull();
    let lineage = state["lineage"].clone();
    let serial = state["serial"].as_u64().unwrap();

    state["serial"] = json!(serial + 10);
    state["outputs"]["app"]["value"] = json!("edited");
    module.write("edited.tfstate", &state.to_string());
    module.run(&["state", "push", "edited.tfstate"]).ok();

    let now = module.pull();
    assert_eq!((&now["lineage"], &now["outputs"]["app"]["value"]), (&lineage, &json!("edited")));
    assert!(now["serial"].as_u64().unwrap() >= serial + 10, "{}", now["serial"]);
}

pub(crate) async fn a_push_of_an_older_serial_is_refused_and_changes_nothing(setup: &Setup) {
    let server = setup.start();
    let module = applied(setup, &server).await;
    let old = module.pull();
    module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("two")));
    module.apply();
    let before = module.pull();

    module.write("old.tfstate", &old.to_string());
    module.run(&["state", "push", "old.tfstate"]).refused("serial");
    assert_eq!(module.pull(), before);
    // The refusal left no lock behind.
    module.apply();
}

pub(crate) async fn a_push_of_another_lineage_is_refused(setup: &Setup) {
    let server = setup.start();
    let module = applied(setup, &server).await;
    let before = module.pull();
    let mut other = before.clone();
    other["lineage"] = json!("11111111-2222-3333-4444-555555555555");
    other["serial"] = json!(99);

    module.write("other.tfstate", &other.to_string());
    module.run(&["state", "push", "other.tfstate"]).refused("lineage");
    assert_eq!(module.pull(), before);
}

pub(crate) async fn resources_are_renamed_and_forgotten_without_being_touched(setup: &Setup) {
    let server = setup.start();
    let module = applied(setup, &server).await;
    let id = module.pull()["resources"][0]["instances"][0]["attributes"]["id"].clone();

    module.run(&["state", "mv", "terraform_data.app", "terraform_data.web"]).ok();
    assert_eq!(module.resources(), ["terraform_data.web"]);
    assert_eq!(module.pull()["resources"][0]["instances"][0]["attributes"]["id"], id);

    module.run(&["state", "rm", "terraform_data.web"]).ok();
    assert!(module.resources().is_empty());
    // Neither left a lock behind.
    module.run(&["plan", "-input=false"]).ok();
}

pub(crate) async fn a_state_of_a_newer_terraform_is_kept_and_says_who_wrote_it(setup: &Setup) {
    let server = setup.start();
    let module = applied(setup, &server).await;
    let mut state = module.pull();
    let serial = state["serial"].as_u64().unwrap() + 1;
    state["serial"] = json!(serial);
    state["terraform_version"] = json!("9.9.9");

    let api = api(&server).await;
    let workspace = api.get("/organizations/default/workspaces/web").await.id();
    api.write(&workspace, state.to_string().as_bytes()).await;
    let current = api.current(&workspace).await.json();
    assert_eq!(current["data"]["attributes"]["terraform-version"], "9.9.9", "{current}");
    assert_eq!(api.download(&workspace).await.json(), state);
    // The older client reads it and goes on.
    assert_eq!(module.output("app"), "one");
    module.expect_plan(false);
    module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("two")));
    module.apply();
    assert_eq!(module.output("app"), "two");
}
