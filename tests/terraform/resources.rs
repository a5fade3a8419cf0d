//! What people do to single resources: import, taint, replace, move.

use opentaco_tests::server::Server;
use opentaco_tests::terraform::Workdir;
use serde_json::Value;

use crate::config::{cloud, resource};
use crate::setup::Setup;

/// A resource that an import can take without changing it: nothing is known of it but its id.
const BARE: &str = "resource \"terraform_data\" \"app\" {}\n";

async fn module(setup: &Setup, server: &Server, text: &str) -> Workdir {
    let module = setup.workdir(server).await;
    module.write("backend.tf", &cloud(server, "name = \"web\""));
    module.write("main.tf", text);
    module.init();
    module
}

/// The id of the only resource.
fn id(module: &Workdir) -> Value {
    module.pull()["resources"][0]["instances"][0]["attributes"]["id"].clone()
}

pub(crate) async fn an_imported_resource_is_kept_and_nothing_is_left_to_do(setup: &Setup) {
    let server = setup.start();
    let module = module(setup, &server, BARE).await;

    module.run(&["import", "-input=false", "terraform_data.app", "from-elsewhere"]).ok();
    assert_eq!(id(&module), "from-elsewhere");
    module.expect_plan(false);
    // It left no lock behind, and what is known already is refused without harm.
    module.run(&["import", "-input=false", "terraform_data.app", "other"]).refused("already managing");
    module.apply();
    assert_eq!(id(&module), "from-elsewhere");
}

pub(crate) async fn an_import_block_takes_a_resource_in(setup: &Setup) {
    let server = setup.start();
    let block = "import {\n  to = terraform_data.app\n  id = \"by-block\"\n}\n";
    let module = module(setup, &server, &(BARE.to_owned() + block)).await;

    let applied = module.apply();
    assert!(applied.stdout.contains("1 imported"), "{}", applied.stdout);
    assert_eq!(id(&module), "by-block");
    module.expect_plan(false);
}

pub(crate) async fn a_tainted_resource_is_made_again_and_an_untainted_one_is_not(setup: &Setup) {
    let server = setup.start();
    let module = module(setup, &server, &resource("one")).await;
    module.apply();
    let first = id(&module);

    module.run(&["taint", "terraform_data.app"]).ok();
    module.expect_plan(true);
    module.run(&["untaint", "terraform_data.app"]).ok();
    module.expect_plan(false);
    assert_eq!(id(&module), first);

    module.run(&["taint", "terraform_data.app"]).ok();
    module.apply();
    assert_ne!(id(&module), first);
    module.expect_plan(false);
}

pub(crate) async fn a_resource_is_replaced_when_asked_for(setup: &Setup) {
    let server = setup.start();
    let module = module(setup, &server, &resource("one")).await;
    module.apply();
    let first = id(&module);

    module.run(&["apply", "-auto-approve", "-input=false", "-replace=terraform_data.app"]).ok();
    assert_ne!(id(&module), first);
    module.expect_plan(false);
}

pub(crate) async fn a_moved_block_renames_without_building_anew(setup: &Setup) {
    let server = setup.start();
    let module = module(setup, &server, &resource("one")).await;
    module.apply();
    let first = id(&module);

    let moved = "moved {\n  from = terraform_data.app\n  to = terraform_data.web\n}\n";
    let renamed = resource("one").replace("\"terraform_data\" \"app\"", "\"terraform_data\" \"web\"");
    module.write("main.tf", &(renamed.replace("terraform_data.app", "terraform_data.web") + moved));
    module.apply();
    assert_eq!(module.resources(), ["terraform_data.web"]);
    assert_eq!(id(&module), first);
    module.expect_plan(false);
}

pub(crate) async fn a_removed_block_forgets_without_destroying(setup: &Setup) {
    let server = setup.start();
    let module = module(setup, &server, &resource("one")).await;
    module.apply();

    module.write(
        "main.tf",
        "removed {\n  from = terraform_data.app\n  lifecycle {\n    destroy = false\n  }\n}\n",
    );
    module.apply();
    assert!(module.resources().is_empty());
    module.expect_plan(false);
}

pub(crate) async fn a_saved_plan_is_applied_once(setup: &Setup) {
    let server = setup.start();
    let module = module(setup, &server, &resource("one")).await;

    module.run(&["plan", "-input=false", "-out=saved.plan"]).ok();
    module.run(&["apply", "-input=false", "saved.plan"]).ok();
    assert_eq!(module.output("app"), "one");
    module.run(&["apply", "-input=false", "saved.plan"]).refused("Saved plan is stale");
}
