//! A server that goes away and comes back.

use opentaco_tests::terraform::Scheme;

use crate::config::{cloud, resource};
use crate::setup::Setup;

pub(crate) async fn a_restart_between_init_and_apply_goes_unnoticed(setup: &Setup) {
    for scheme in [Scheme::Https, Scheme::Http] {
        let mut server = setup.start();
        let module = setup.workdir_over(&server, scheme).await;
        module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("kept")));
        module.init();
        server.restart();

        module.apply();
        server.restart();
        assert_eq!(module.output("app"), "kept");
    }
}

pub(crate) async fn what_was_applied_outlives_a_kill(setup: &Setup) {
    let mut server = setup.start();
    let module = setup.workdir(&server).await;
    module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("durable")));
    module.init();
    module.apply();
    server.kill();
    server.restart();

    assert_eq!(module.output("app"), "durable");
    module.expect_plan(false);
}
