//! While a long apply runs, what it has finished is kept already.

use std::time::Duration;

use opentaco_tests::client::Api;
use opentaco_tests::running::Running;
use opentaco_tests::server::Server;
use opentaco_tests::terraform::{APPLY, Workdir};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::config::{Gate, cloud};
use crate::setup::{Setup, api};

/// Three steps, one after the other: at once, longer than the 20 seconds that Terraform lets pass between two
/// snapshots at the least, and as long as the test likes.
fn steps(gate: &Gate) -> String {
    let gate = gate.resource().replacen("{\n", "{\n  depends_on = [terraform_data.second]\n", 1);
    format!(
        r#"
resource "terraform_data" "first" {{
  input = "first"
}}
resource "terraform_data" "second" {{
  input = terraform_data.first.output
  provisioner "local-exec" {{
    command = "sleep 21"
  }}
}}
{gate}
"#
    )
}

/// The ids of all versions.
async fn versions(api: &Api, workspace: &str) -> Vec<String> {
    let reply =
        api.get(&format!("/workspaces/{workspace}/state-versions")).await.expect(StatusCode::OK).json();
    let items = reply["data"].as_array().expect("a list");
    items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}

/// Waits until there is a version.
async fn first_version(api: &Api, workspace: &str) {
    let start = Instant::now();
    while api.current(workspace).await.status != StatusCode::OK {
        assert!(start.elapsed() < Duration::from_mins(1), "no version appeared while the apply ran");
        sleep(Duration::from_millis(100)).await;
    }
}

/// The names of the resources in a state.
fn names(state: &Value) -> Vec<&str> {
    let resources = state["resources"].as_array().expect("resources");
    resources.iter().map(|resource| resource["name"].as_str().expect("a name")).collect()
}

/// A workspace in which an apply stands before its last step.
struct Long {
    module: Workdir,
    gate: Gate,
    workspace: String,
    apply: Running,
}

impl Long {
    async fn begin(setup: &Setup, server: &Server, api: &Api, name: &str) -> Self {
        let (module, gate) = (setup.workdir(server).await, Gate::new());
        module.write("main.tf", &(cloud(server, &format!("name = \"{name}\"")) + &steps(&gate)));
        module.init();
        let workspace = api.get(&format!("/organizations/default/workspaces/{name}")).await;
        let workspace = workspace.expect(StatusCode::OK).id();
        let apply = module.spawn(&APPLY);
        Self { module, gate, workspace, apply }
    }
}

pub(crate) async fn what_a_long_apply_has_finished_is_kept_before_it_ends_even_if_it_is_killed(
    setup: &Setup,
) {
    let server = setup.start();
    let api = api(&server).await;
    let kept = Long::begin(setup, &server, &api, "long").await;
    let killed = Long::begin(setup, &server, &api, "killed").await;
    let mut before = Vec::new();
    for long in [&kept, &killed] {
        long.gate.wait_until_reached();
        first_version(&api, &long.workspace).await;
        let during = api.download(&long.workspace).await.expect(StatusCode::OK).json();
        assert_eq!(names(&during), ["first", "second"]);
        before.push(during);
    }

    let snapshots = versions(&api, &kept.workspace).await;
    kept.gate.open();
    kept.apply.finish().ok();
    let all = versions(&api, &kept.workspace).await;
    assert!(all.len() >= 2 && all.len() > snapshots.len(), "{snapshots:?}, then {all:?}");
    let (during, end) = (&before[0], kept.module.pull());
    assert_eq!(names(&end), ["first", "gate", "second"]);
    assert_eq!(end["lineage"], during["lineage"]);
    assert!(
        end["serial"].as_u64() > during["serial"].as_u64(),
        "{} after {}",
        end["serial"],
        during["serial"]
    );
    kept.module.expect_plan(false);

    killed.apply.kill();
    killed.module.run(&["force-unlock", "-force", "default/killed"]).ok();
    assert_eq!(killed.module.resources(), ["terraform_data.first", "terraform_data.second"]);
    killed.gate.open();
    killed.module.apply();
    killed.module.expect_plan(false);
}
