//! A state that could not be saved is not lost: it lies in `errored.tfstate` and can be pushed.

use opentaco_tests::client::Api;
use opentaco_tests::server::Server;
use opentaco_tests::terraform::{APPLY, Workdir};
use reqwest::StatusCode;

use crate::config::{Gate, cloud, resource};
use crate::setup::Setup;

/// An apply of alice that stands before the gate, and bob.
struct Night {
    server: Server,
    alice: Workdir,
    bob: Api,
    workspace: String,
}

impl Night {
    async fn begin(setup: &Setup, gate: &Gate) -> Self {
        let server = setup.start_for_people();
        let alice = setup.workdir_of(&server, "alice").await;
        alice.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("one")));
        alice.init();
        alice.apply();
        alice.write("main.tf", &(cloud(&server, "name = \"web\"") + &resource("two") + &gate.resource()));
        let bob = Api::new(&server, &setup.token(&server, "bob").await);
        let workspace = bob.get("/organizations/default/workspaces/web").await.expect(StatusCode::OK).id();
        Self { server, alice, bob, workspace }
    }
}

pub(crate) async fn an_apply_that_lost_its_lock_to_somebody_is_pushed_when_they_are_gone(setup: &Setup) {
    let gate = Gate::new();
    let night = Night::begin(setup, &gate).await;
    let before = night.alice.pull();
    let apply = night.alice.spawn(&APPLY);
    gate.wait_until_reached();

    night.bob.force_unlock(&night.workspace).await.expect(StatusCode::OK);
    night.bob.lock(&night.workspace).await.expect(StatusCode::OK);
    gate.open();
    apply.finish().refused("errored.tfstate");
    assert_eq!(night.alice.pull(), before, "nothing was written under somebody else's lock");

    night.alice.run(&["state", "push", "errored.tfstate"]).refused("workspace already locked");
    night.alice.run(&["force-unlock", "-force", "default/web"]).ok();
    night.alice.run(&["state", "push", "errored.tfstate"]).ok();
    assert_eq!(night.alice.output("app"), "two");
    assert_eq!(night.alice.resources(), ["terraform_data.app", "terraform_data.gate"]);
    night.alice.expect_plan(false);
}

pub(crate) async fn an_apply_whose_lock_was_forced_open_is_pushed_at_once(setup: &Setup) {
    let gate = Gate::new();
    let night = Night::begin(setup, &gate).await;
    let apply = night.alice.spawn(&APPLY);
    gate.wait_until_reached();

    night.bob.force_unlock(&night.workspace).await.expect(StatusCode::OK);
    gate.open();
    apply.finish().refused("not locked");
    night.alice.run(&["state", "push", "errored.tfstate"]).ok();
    assert_eq!(night.alice.output("app"), "two");
    night.alice.expect_plan(false);
}

pub(crate) async fn what_somebody_wrote_meanwhile_is_not_overwritten_by_the_file(setup: &Setup) {
    let gate = Gate::new();
    let night = Night::begin(setup, &gate).await;
    let apply = night.alice.spawn(&APPLY);
    gate.wait_until_reached();

    night.bob.force_unlock(&night.workspace).await.expect(StatusCode::OK);
    let other = setup.workdir_of(&night.server, "carol").await;
    other.write("main.tf", &(cloud(&night.server, "name = \"web\"") + &resource("three")));
    other.init();
    other.apply();
    gate.open();
    apply.finish().refused("errored.tfstate");
    night.alice.run(&["state", "push", "errored.tfstate"]).refused("serial");
    assert_eq!(other.output("app"), "three");
}

pub(crate) async fn a_server_that_is_killed_and_comes_back_is_waited_for(setup: &Setup) {
    let gate = Gate::new();
    let mut night = Night::begin(setup, &gate).await;
    let apply = night.alice.spawn(&APPLY);
    gate.wait_until_reached();

    night.server.kill();
    gate.open();
    apply.wait_for("Still trying to restore the connection");
    night.server.restart();
    apply.finish().ok();
    assert_eq!(night.alice.output("app"), "two");
    night.alice.expect_plan(false);
}
