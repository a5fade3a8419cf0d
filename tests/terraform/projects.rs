//! `workspaces { project = … }`: a project comes into being on first use and holds its workspaces.

use opentaco_tests::client::Api;
use opentaco_tests::server::Server;
use opentaco_tests::terraform::Workdir;
use reqwest::StatusCode;
use serde_json::Value;

use crate::config::{cloud, resource};
use crate::setup::{Setup, api};

async fn module(setup: &Setup, server: &Server, workspaces: &str) -> Workdir {
    let module = setup.workdir(server).await;
    module.write("main.tf", &(cloud(server, workspaces) + &resource("x")));
    module
}

/// The projects with this name.
async fn projects(api: &Api, name: &str) -> Vec<Value> {
    let name = name.replace(' ', "%20");
    let reply = api.get(&format!("/organizations/default/projects?filter%5Bnames%5D={name}")).await;
    reply.expect(StatusCode::OK).json()["data"].as_array().expect("a list").clone()
}

/// The id of the project that a workspace lies in.
async fn project_of(api: &Api, workspace: &str) -> Value {
    let reply = api.get(&format!("/organizations/default/workspaces/{workspace}")).await;
    reply.expect(StatusCode::OK).json()["data"]["relationships"]["project"]["data"]["id"].clone()
}

pub(crate) async fn a_project_comes_into_being_with_its_first_workspace(setup: &Setup) {
    let server = setup.start();
    let web = module(setup, &server, "project = \"Team A\"\n      name = \"web\"").await;
    web.init();
    web.apply();
    assert_eq!(web.output("app"), "x");
    web.expect_plan(false);

    let api = api(&server).await;
    let found = projects(&api, "Team A").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["attributes"]["name"], "Team A");
    assert_eq!(project_of(&api, "web").await, found[0]["id"]);
}

pub(crate) async fn a_project_of_the_same_name_is_found_again(setup: &Setup) {
    let server = setup.start();
    for name in ["web", "db"] {
        let module = module(setup, &server, &format!("project = \"Team A\"\n      name = \"{name}\"")).await;
        module.init();
    }
    let other = module(setup, &server, "project = \"Team B\"\n      name = \"other\"").await;
    other.init();

    let api = api(&server).await;
    let found = projects(&api, "Team A").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(project_of(&api, "web").await, found[0]["id"]);
    assert_eq!(project_of(&api, "db").await, found[0]["id"]);
    assert_eq!(project_of(&api, "other").await, projects(&api, "Team B").await[0]["id"]);
}

pub(crate) async fn only_the_workspaces_of_the_project_are_listed(setup: &Setup) {
    let server = setup.start();
    let ours = module(setup, &server, "project = \"Team A\"\n      tags = [\"app\"]").await;
    ours.run_with_input(&["init"], "a-blue\n").ok();
    ours.run(&["workspace", "new", "a-green"]).ok();
    let theirs = module(setup, &server, "project = \"Team B\"\n      tags = { app = \"web\" }").await;
    theirs.run_with_input(&["init"], "b-blue\n").ok();
    theirs.apply();

    assert_eq!(ours.workspaces(), ["a-blue", "a-green"]);
    assert_eq!(theirs.workspaces(), ["b-blue"]);
    // Without a project all of them are.
    let mut anywhere = module(setup, &server, "tags = [\"app\"]").await;
    anywhere.set_env("TF_WORKSPACE", "b-blue");
    anywhere.init();
    assert_eq!(anywhere.workspaces(), ["a-blue", "a-green", "b-blue"]);
    assert_eq!(anywhere.output("app"), "x");
}
