//! A state of 20 MB is a state like any other.

use opentaco_tests::terraform::Workdir;
use serde_json::{Value, json};

use crate::config::{cloud, resource};
use crate::setup::Setup;

/// How many resources carry the weight.
const RESOURCES: usize = 20;
/// How much each of them carries; Terraform keeps input and output, so a state holds it twice.
const WEIGHT: usize = 512 * 1024;

/// The configuration that goes with the state.
const HEAVY: &str = r#"
resource "terraform_data" "heavy" {
  count = 20
  lifecycle {
    ignore_changes = [input]
  }
}
"#;

/// A state of a little more than 20 MB. No two resources weigh the same bytes.
fn heavy_state() -> Vec<u8> {
    let instances: Vec<Value> = (0..RESOURCES)
        .map(|i| {
            let text: String =
                (0..).flat_map(|n| format!("{i}.{n} ").into_bytes()).take(WEIGHT).map(char::from).collect();
            let value = json!({"value": text, "type": "string"});
            json!({
                "index_key": i, "schema_version": 0, "sensitive_attributes": [],
                "attributes": {
                    "id": format!("heavy-{i}"), "input": value, "output": value, "triggers_replace": null,
                },
            })
        })
        .collect();
    let state = json!({
        "version": 4, "terraform_version": "1.11.4", "serial": 7, "lineage": "d2a3c6ce-3a0f-4b6e-8f2b-6f5ad1f0c0de",
        "outputs": {}, "check_results": null,
        "resources": [{
            "mode": "managed", "type": "terraform_data", "name": "heavy",
            "provider": "provider[\"terraform.io/builtin/terraform\"]", "instances": instances,
        }],
    });
    serde_json::to_vec(&state).expect("JSON")
}

/// Id, input and output of every heavy resource.
fn heavy(state: &Value) -> Vec<[Value; 3]> {
    let resources = state["resources"].as_array().expect("resources");
    let heavy = resources.iter().find(|resource| resource["name"] == "heavy").expect("the heavy resource");
    let instances = heavy["instances"].as_array().expect("instances");
    let read = |instance: &Value| ["id", "input", "output"].map(|name| instance["attributes"][name].clone());
    instances.iter().map(read).collect()
}

/// Says which resource differs instead of printing 40 MB.
fn assert_same(module: &Workdir, expected: &Value) {
    let (now, expected) = (heavy(&module.pull()), heavy(expected));
    assert_eq!(now.len(), expected.len());
    for (i, (now, expected)) in now.iter().zip(&expected).enumerate() {
        assert!(now == expected, "resource {i} is not what was pushed");
    }
}

pub(crate) async fn a_state_of_20_megabytes_is_pushed_pulled_planned_and_applied(setup: &Setup) {
    let server = setup.start();
    let module = setup.workdir(&server).await;
    module.write("main.tf", &(cloud(&server, "name = \"heavy\"") + HEAVY));
    module.init();
    let bytes = heavy_state();
    assert!(bytes.len() > 20_000_000, "{} bytes", bytes.len());
    let state: Value = serde_json::from_slice(&bytes).unwrap();
    module.write("heavy.tfstate", &String::from_utf8(bytes).unwrap());

    module.run(&["state", "push", "heavy.tfstate"]).ok();
    assert_same(&module, &state);
    module.expect_plan(false);
    // An apply uploads all of it again, and as JSON too.
    module.write("main.tf", &(cloud(&server, "name = \"heavy\"") + HEAVY + &resource("light")));
    module.apply();
    assert_eq!(module.output("app"), "light");
    assert_same(&module, &state);
    module.expect_plan(false);
}
