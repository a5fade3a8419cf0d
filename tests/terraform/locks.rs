//! One apply at a time, and a way out when its holder died.

use std::time::Duration;

use opentaco_tests::server::{Options, Server};
use opentaco_tests::terraform::{Terraform, Workdir};

use crate::config::{Gate, cloud, resource, workdir};

const APPLY: [&str; 3] = ["apply", "-auto-approve", "-input=false"];

/// Two people with one workspace; the first one's apply will wait at the gate.
async fn two_people(terraform: &Terraform, server: &Server, gate: &Gate) -> (Workdir, Workdir) {
    let first = workdir(terraform, server).await;
    first.write("main.tf", &(cloud(server, "name = \"web\"") + &gate.resource()));
    first.run(&["init", "-input=false"]).ok();
    let second = workdir(terraform, server).await;
    second.write("main.tf", &(cloud(server, "name = \"web\"") + &gate.resource() + &resource("second")));
    second.run(&["init", "-input=false"]).ok();
    (first, second)
}

#[tokio::test]
async fn a_second_apply_is_refused_while_the_first_runs() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let gate = Gate::new();
    let (first, second) = two_people(&terraform, &server, &gate).await;
    let apply = first.spawn(&APPLY);
    gate.wait_until_reached();

    second.run(&APPLY).refused("workspace already locked (lock ID: \"default/web\")");
    gate.open();
    apply.finish().ok();
    second.run(&APPLY).ok();
}

#[tokio::test]
async fn a_patient_apply_waits_for_the_lock_and_goes_on() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let gate = Gate::new();
    let (first, second) = two_people(&terraform, &server, &gate).await;
    let apply = first.spawn(&APPLY);
    gate.wait_until_reached();

    let patient = second.spawn(&["apply", "-auto-approve", "-input=false", "-lock-timeout=90s"]);
    patient.wait_for("Acquiring state lock");
    gate.open();
    apply.finish().ok();
    patient.finish().ok();
    assert_eq!(second.run(&["output", "-raw", "app"]).ok().stdout, "second");
    // The second one saw what the first had made: the gate was not built twice.
    assert_eq!(second.run(&["state", "list"]).ok().lines(), ["terraform_data.app", "terraform_data.gate"]);
}

#[tokio::test]
async fn another_workspace_is_not_blocked() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let gate = Gate::new();
    let (first, _) = two_people(&terraform, &server, &gate).await;
    let other = workdir(&terraform, &server).await;
    other.write("main.tf", &(cloud(&server, "name = \"other\"") + &resource("free")));
    other.run(&["init", "-input=false"]).ok();
    let apply = first.spawn(&APPLY);
    gate.wait_until_reached();

    other.run(&APPLY).ok();
    gate.open();
    apply.finish().ok();
}

#[tokio::test]
async fn the_lock_of_a_killed_apply_is_freed_by_force_unlock() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let gate = Gate::new();
    let (first, second) = two_people(&terraform, &server, &gate).await;
    let apply = first.spawn(&APPLY);
    gate.wait_until_reached();
    apply.kill();
    gate.open();

    second.run(&APPLY).refused("workspace already locked");
    second.run(&["force-unlock", "-force", "default/web"]).ok();
    second.run(&APPLY).ok();
}

#[tokio::test]
async fn force_unlock_of_a_free_workspace_says_so() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::memory());
    let module = workdir(&terraform, &server).await;
    module.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("x")));
    module.run(&["init", "-input=false"]).ok();

    module.run(&["force-unlock", "-force", "default/web"]).refused("already unlocked");
}

#[tokio::test]
async fn a_lock_outlives_a_server_that_was_killed() {
    let Some(terraform) = Terraform::find() else { return };
    let mut server = Server::start(Options::local());
    let gate = Gate::new();
    let (first, second) = two_people(&terraform, &server, &gate).await;
    let apply = first.spawn(&APPLY);
    gate.wait_until_reached();
    server.kill();
    server.restart();

    second.run(&APPLY).refused("workspace already locked");
    gate.open();
    apply.finish_within(Duration::from_mins(1)).ok();
    second.run(&APPLY).ok();
}
