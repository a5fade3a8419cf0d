//! `terraform_remote_state`: one workspace reads what another one gives out.

use opentaco_tests::server::Server;

use crate::config::{cloud, remote};
use crate::setup::Setup;

const PRODUCER: &str = r#"
resource "terraform_data" "net" {
  input = "10.0.0.0/16"
}
output "cidr" {
  value = terraform_data.net.output
}
output "zones" {
  value = toset(["b", "a"])
}
output "nested" {
  value = { deep = [1, true, null], "odd key@x" = { a = "ä" } }
}
output "nothing" {
  value = null
}
output "big" {
  value = 9007199254740993
}
output "secret" {
  value     = "hunter2"
  sensitive = true
}
"#;

fn consumer(server: &Server) -> String {
    let host = server.host();
    format!(
        r#"
data "terraform_remote_state" "net" {{
  backend = "remote"
  config = {{
    hostname     = "{host}"
    organization = "default"
    workspaces   = {{ name = "net" }}
  }}
}}
locals {{
  net = data.terraform_remote_state.net.outputs
}}
resource "terraform_data" "app" {{
  input = local.net.cidr
}}
output "app" {{
  value = terraform_data.app.output
}}
output "same" {{
  value = jsonencode([
    local.net.zones == toset(["a", "b"]),
    local.net.nested.deep[1],
    local.net.nested["odd key@x"].a,
    try(local.net.nothing, null) == null,
    local.net.big == 9007199254740993,
    nonsensitive(local.net.secret),
  ])
}}
"#
    )
}

pub(crate) async fn outputs_of_every_shape_are_read_from_another_workspace(setup: &Setup) {
    let server = setup.start();
    let producer = setup.workdir(&server).await;
    producer.write("main.tf", &(cloud(&server, "name = \"net\"") + PRODUCER));
    producer.init();
    producer.apply();

    let module = setup.workdir(&server).await;
    module.write("main.tf", &(cloud(&server, "name = \"app\"") + &consumer(&server)));
    module.init();
    module.apply();
    assert_eq!(module.output("app"), "10.0.0.0/16");
    assert_eq!(module.output("same"), r#"[true,true,"ä",true,true,"hunter2"]"#);
}

pub(crate) async fn a_consumer_sees_what_changed_at_its_next_plan(setup: &Setup) {
    let server = setup.start();
    let producer = setup.workdir(&server).await;
    producer.write("main.tf", &(remote(&server, "name = \"net\"") + PRODUCER));
    producer.init();
    producer.apply();
    let module = setup.workdir(&server).await;
    module.write("main.tf", &(remote(&server, "name = \"app\"") + &consumer(&server)));
    module.init();
    module.apply();
    module.expect_plan(false);

    producer
        .write("main.tf", &(remote(&server, "name = \"net\"") + &PRODUCER.replace("10.0.0.0", "10.9.0.0")));
    producer.apply();
    module.expect_plan(true);
    module.apply();
    assert_eq!(module.output("app"), "10.9.0.0/16");
}

pub(crate) async fn an_unknown_workspace_is_named_in_the_refusal(setup: &Setup) {
    let server = setup.start();
    let module = setup.workdir(&server).await;
    module.write("main.tf", &(cloud(&server, "name = \"app\"") + &consumer(&server)));
    module.init();

    module.run(&["plan", "-input=false"]).refused("Unable to find remote state");
}
