//! `terraform state`: pull, push, mv, rm.

use opentaco_tests::server::{Options, Server};
use opentaco_tests::terraform::{Terraform, Workdir};
use serde_json::{Value, json};

use crate::config::{cloud, resource, workdir};

async fn applied(terraform: &Terraform, server: &Server) -> Workdir {
    let module = workdir(terraform, server).await;
    module.write("main.tf", &(cloud(server, "name = \"web\"") + &resource("one")));
    module.run(&["init", "-input=false"]).ok();
    module.run(&["apply", "-auto-approve", "-input=false"]).ok();
    module
}

fn pull(module: &Workdir) -> Value {
    module.run(&["state", "pull"]).ok().json()
}

#[tokio::test]
async fn a_pulled_state_can_be_edited_and_pushed_back() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let module = applied(&terraform, &server).await;
    let mut state = pull(&module);
    let lineage = state["lineage"].clone();
    let serial = state["serial"].as_u64().unwrap();

    state["serial"] = json!(serial + 10);
    state["outputs"]["app"]["value"] = json!("edited");
    module.write("edited.tfstate", &state.to_string());
    module.run(&["state", "push", "edited.tfstate"]).ok();

    let now = pull(&module);
    assert_eq!((&now["lineage"], &now["outputs"]["app"]["value"]), (&lineage, &json!("edited")));
    assert!(now["serial"].as_u64().unwrap() >= serial + 10, "{}", now["serial"]);
}

#[tokio::test]
async fn a_push_of_an_older_serial_is_refused_and_changes_nothing() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let module = applied(&terraform, &server).await;
    let old = pull(&module);
    module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("two")));
    module.run(&["apply", "-auto-approve", "-input=false"]).ok();
    let before = pull(&module);

    module.write("old.tfstate", &old.to_string());
    module.run(&["state", "push", "old.tfstate"]).refused("serial");
    assert_eq!(pull(&module), before);
    // The refusal left no lock behind.
    module.run(&["apply", "-auto-approve", "-input=false"]).ok();
}

#[tokio::test]
async fn a_push_of_another_lineage_is_refused() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let module = applied(&terraform, &server).await;
    let before = pull(&module);
    let mut other = before.clone();
    other["lineage"] = json!("11111111-2222-3333-4444-555555555555");
    other["serial"] = json!(99);

    module.write("other.tfstate", &other.to_string());
    module.run(&["state", "push", "other.tfstate"]).refused("lineage");
    assert_eq!(pull(&module), before);
}

#[tokio::test]
async fn resources_are_renamed_and_forgotten_without_being_touched() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let module = applied(&terraform, &server).await;
    let id = pull(&module)["resources"][0]["instances"][0]["attributes"]["id"].clone();

    module.run(&["state", "mv", "terraform_data.app", "terraform_data.web"]).ok();
    assert_eq!(module.run(&["state", "list"]).ok().lines(), ["terraform_data.web"]);
    assert_eq!(pull(&module)["resources"][0]["instances"][0]["attributes"]["id"], id);

    module.run(&["state", "rm", "terraform_data.web"]).ok();
    assert_eq!(module.run(&["state", "list"]).ok().stdout.trim(), "");
    // Neither left a lock behind.
    module.run(&["plan", "-input=false"]).ok();
}
