//! A server that goes away and comes back.

use opentaco_tests::server::{Options, Server};
use opentaco_tests::terraform::{Scheme, Terraform};

use crate::config::{cloud, resource, workdir, workdir_over};

#[tokio::test]
async fn a_restart_between_init_and_apply_goes_unnoticed() {
    for scheme in [Scheme::Https, Scheme::Http] {
        let Some(terraform) = Terraform::find() else { return };
        let mut server = Server::start(Options::local());
        let module = workdir_over(&terraform, &server, scheme).await;
        module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("kept")));
        module.run(&["init", "-input=false"]).ok();
        server.restart();

        module.run(&["apply", "-auto-approve", "-input=false"]).ok();
        server.restart();
        assert_eq!(module.run(&["output", "-raw", "app"]).ok().stdout, "kept");
    }
}

#[tokio::test]
async fn what_was_applied_outlives_a_kill() {
    let Some(terraform) = Terraform::find() else { return };
    let mut server = Server::start(Options::local());
    let module = workdir(&terraform, &server).await;
    module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("durable")));
    module.run(&["init", "-input=false"]).ok();
    module.run(&["apply", "-auto-approve", "-input=false"]).ok();
    server.kill();
    server.restart();

    assert_eq!(module.run(&["output", "-raw", "app"]).ok().stdout, "durable");
    let plan = module.run(&["plan", "-detailed-exitcode", "-input=false"]);
    assert_eq!(plan.status.code(), Some(0), "{plan:?}");
}
