//! One apply at a time, and a way out when its holder died.

use std::time::Duration;

use opentaco_tests::server::Server;
use opentaco_tests::terraform::{APPLY, Workdir};

use crate::config::{Gate, cloud, resource};
use crate::setup::Setup;

/// Two people with one workspace; the first one's apply will wait at the gate.
async fn two_people(setup: &Setup, server: &Server, gate: &Gate) -> (Workdir, Workdir) {
    let first = setup.workdir_of(server, "alice").await;
    first.write("main.tf", &(cloud(server, "name = \"web\"") + &gate.resource()));
    first.init();
    let second = setup.workdir_of(server, "bob").await;
    second.write("main.tf", &(cloud(server, "name = \"web\"") + &gate.resource() + &resource("second")));
    second.init();
    (first, second)
}

pub(crate) async fn a_second_apply_is_refused_while_the_first_runs(setup: &Setup) {
    let server = setup.start_for_people();
    let gate = Gate::new();
    let (first, second) = two_people(setup, &server, &gate).await;
    let apply = first.spawn(&APPLY);
    gate.wait_until_reached();

    second.run(&APPLY).refused("workspace already locked (lock ID: \"default/web\")");
    gate.open();
    apply.finish().ok();
    second.apply();
}

pub(crate) async fn a_patient_apply_waits_for_the_lock_and_goes_on(setup: &Setup) {
    let server = setup.start_for_people();
    let gate = Gate::new();
    let (first, second) = two_people(setup, &server, &gate).await;
    let apply = first.spawn(&APPLY);
    gate.wait_until_reached();

    let patient = second.spawn(&["apply", "-auto-approve", "-input=false", "-lock-timeout=90s"]);
    patient.wait_for("Acquiring state lock");
    gate.open();
    apply.finish().ok();
    patient.finish().ok();
    assert_eq!(second.output("app"), "second");
    // The second one saw what the first had made: the gate was not built twice.
    assert_eq!(second.resources(), ["terraform_data.app", "terraform_data.gate"]);
}

pub(crate) async fn another_workspace_is_not_blocked(setup: &Setup) {
    let server = setup.start_for_people();
    let gate = Gate::new();
    let (first, _) = two_people(setup, &server, &gate).await;
    let other = setup.workdir_of(&server, "carol").await;
    other.write("main.tf", &(cloud(&server, "name = \"other\"") + &resource("free")));
    other.init();
    let apply = first.spawn(&APPLY);
    gate.wait_until_reached();

    other.apply();
    gate.open();
    apply.finish().ok();
}

pub(crate) async fn the_lock_of_a_killed_apply_is_freed_by_force_unlock(setup: &Setup) {
    let server = setup.start_for_people();
    let gate = Gate::new();
    let (first, second) = two_people(setup, &server, &gate).await;
    let apply = first.spawn(&APPLY);
    gate.wait_until_reached();
    apply.kill();
    gate.open();

    second.run(&APPLY).refused("workspace already locked");
    second.run(&["force-unlock", "-force", "default/web"]).ok();
    second.apply();
}

pub(crate) async fn force_unlock_of_a_free_workspace_says_so(setup: &Setup) {
    let server = setup.start();
    let module = setup.workdir(&server).await;
    module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("x")));
    module.init();

    module.run(&["force-unlock", "-force", "default/web"]).refused("already unlocked");
}

pub(crate) async fn a_lock_outlives_a_server_that_was_killed(setup: &Setup) {
    let mut server = setup.start_for_people();
    let gate = Gate::new();
    let (first, second) = two_people(setup, &server, &gate).await;
    let apply = first.spawn(&APPLY);
    gate.wait_until_reached();
    server.kill();
    server.restart();

    second.run(&APPLY).refused("workspace already locked");
    gate.open();
    apply.finish_within(Duration::from_mins(1)).ok();
    second.apply();
}

pub(crate) async fn an_apply_without_the_lock_is_refused_and_what_it_made_is_kept_in_a_file(setup: &Setup) {
    let server = setup.start();
    let module = setup.workdir(&server).await;
    module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("one")));
    module.init();
    module.apply();
    let before = module.pull();

    module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("two")));
    module.run(&["plan", "-lock=false", "-input=false"]).ok();
    module.run(&["apply", "-lock=false", "-auto-approve", "-input=false"]).refused("not locked");
    assert_eq!(module.pull(), before, "nothing was written past the lock");

    module.run(&["state", "push", "errored.tfstate"]).ok();
    assert_eq!(module.output("app"), "two");
    module.expect_plan(false);
}
