//! Outputs arrive as they were written.

use opentaco_tests::server::{Options, Server};
use opentaco_tests::terraform::Terraform;
use serde_json::json;

use crate::config::{cloud, workdir};

const OUTPUTS: &str = r#"
resource "terraform_data" "shape" {
  input = {
    name   = "web"
    ports  = toset(["443", "80"])
    nested = { deep = [1, true, null] }
  }
}
output "shape" {
  value = terraform_data.shape.output
}
output "zones" {
  value = toset(["b", "a"])
}
output "nothing" {
  value = null
}
output "serial" {
  # One more than a double can count exactly.
  value = 9007199254740993
}
output "password" {
  value     = "hunter2-${terraform_data.shape.output.name}"
  sensitive = true
}
"#;

#[tokio::test]
async fn outputs_of_every_shape_arrive_unchanged() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let module = workdir(&terraform, &server).await;
    module.write("main.tf", &(cloud(&server, "name = \"outputs\"") + OUTPUTS));
    module.run(&["init", "-input=false"]).ok();
    module.run(&["apply", "-auto-approve", "-input=false"]).ok();

    let outputs = module.run(&["output", "-json"]).ok();
    let all = outputs.json();
    assert_eq!(
        all["shape"]["value"],
        json!({"name": "web", "ports": ["443", "80"], "nested": {"deep": [1, true, null]}})
    );
    assert_eq!(all["zones"], json!({"sensitive": false, "type": ["set", "string"], "value": ["a", "b"]}));
    assert_eq!(all["password"], json!({"sensitive": true, "type": "string", "value": "hunter2-web"}));
    assert!(
        outputs.stdout.contains("9007199254740993"),
        "no digit of a big number is lost:\n{}",
        outputs.stdout
    );
}

#[tokio::test]
async fn a_sensitive_output_is_masked_in_the_list_and_given_when_asked_for() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let module = workdir(&terraform, &server).await;
    module.write("main.tf", &(cloud(&server, "name = \"outputs\"") + OUTPUTS));
    module.run(&["init", "-input=false"]).ok();
    module.run(&["apply", "-auto-approve", "-input=false"]).ok();

    let list = module.run(&["output"]).ok();
    assert!(list.stdout.contains("password = <sensitive>"), "{}", list.stdout);
    assert!(!list.stdout.contains("hunter2"), "{}", list.stdout);
    assert_eq!(module.run(&["output", "-raw", "password"]).ok().stdout, "hunter2-web");
    assert!(!server.output().contains("hunter2"), "state is never logged");
}

#[tokio::test]
async fn outputs_before_the_first_apply_are_none_and_no_error() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let module = workdir(&terraform, &server).await;
    module.write("main.tf", &(cloud(&server, "name = \"fresh\"") + OUTPUTS));
    module.run(&["init", "-input=false"]).ok();

    assert_eq!(module.run(&["output", "-json"]).ok().json(), json!({}));
}
