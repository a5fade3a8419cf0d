//! After a rollback the real client goes on as if nothing had happened.

use opentaco_tests::client::Api;
use opentaco_tests::terraform::Workdir;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::config::{cloud, resource};
use crate::setup::{Setup, api};

/// The id of the current version.
async fn current(api: &Api, workspace: &str) -> String {
    api.current(workspace).await.expect(StatusCode::OK).id()
}

/// Asks for a version to be current again.
async fn roll_back(api: &Api, workspace: &str, version: &str) -> StatusCode {
    let body = json!({"data": {
        "type": "state-versions",
        "relationships": {"rollback-state-version": {"data": {"type": "state-versions", "id": version}}},
    }});
    api.call(Method::PATCH, &format!("/workspaces/{workspace}/state-versions"), Some(body)).await.status
}

fn serial(state: &Value) -> u64 {
    state["serial"].as_u64().expect("a serial")
}

/// One configuration applied three times.
async fn applied(module: &Workdir, api: &Api, block: &str) -> (String, Vec<String>) {
    let mut versions = Vec::new();
    let mut workspace = String::new();
    for value in ["one", "two", "three"] {
        module.write("main.tf", &(block.to_owned() + &resource(value)));
        if workspace.is_empty() {
            module.init();
            workspace = api.get("/organizations/default/workspaces/web").await.expect(StatusCode::OK).id();
        }
        module.apply();
        versions.push(current(api, &workspace).await);
    }
    (workspace, versions)
}

pub(crate) async fn a_rolled_back_state_has_a_new_serial_and_the_next_apply_works(setup: &Setup) {
    let server = setup.start();
    let module = setup.workdir(&server).await;
    let api = api(&server).await;
    let block = cloud(&server, "name = \"web\"");
    let (workspace, versions) = applied(&module, &api, &block).await;
    let before = module.pull();

    assert_eq!(roll_back(&api, &workspace, &versions[0]).await, StatusCode::CONFLICT, "without the lock");
    assert_eq!(module.pull(), before);
    api.lock(&workspace).await.expect(StatusCode::OK);
    let rolled = roll_back(&api, &workspace, &versions[0]).await;
    assert!(rolled.is_success(), "{rolled}");
    api.unlock(&workspace).await.expect(StatusCode::OK);

    let now = module.pull();
    assert!(serial(&now) > serial(&before), "{} after {}", serial(&now), serial(&before));
    assert_eq!(now["lineage"], before["lineage"]);
    assert_eq!(module.output("app"), "one");
    module.expect_plan(true);
    module.apply();
    assert_eq!(module.output("app"), "three");
    assert!(serial(&module.pull()) > serial(&now));

    // The way back from a rollback is a rollback.
    api.lock(&workspace).await.expect(StatusCode::OK);
    let rolled = roll_back(&api, &workspace, &versions[1]).await;
    assert!(rolled.is_success(), "{rolled}");
    api.unlock(&workspace).await.expect(StatusCode::OK);
    assert_eq!(module.output("app"), "two");
    module.apply();
    module.expect_plan(false);
}
