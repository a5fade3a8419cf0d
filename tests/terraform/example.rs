//! `examples/cloud-block` works as it stands, and README shows what it does.

use std::fs;

use opentaco_tests::server::{Options, Server, repository};

use crate::setup::Setup;

/// The commands of README's tour, each with the lines it is shown to print.
fn tour() -> Vec<(String, Vec<String>)> {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```console\n").expect("README has a tour");
    let (block, _) = rest.split_once("```").expect("the tour ends");
    let mut steps: Vec<(String, Vec<String>)> = Vec::new();
    for line in block.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push((command.to_owned(), Vec::new())),
            None => steps.last_mut().expect("the tour begins with a command").1.push(line.to_owned()),
        }
    }
    steps
}

pub(crate) async fn the_tour_in_readme_prints_what_readme_says(setup: &Setup) {
    let server = setup.start();
    let module = setup.workdir(&server).await;
    let steps = tour();
    assert!(steps.len() > 5, "{steps:?}");
    for (command, shown) in steps {
        if let Some(example) = command.strip_prefix("cd ") {
            let main = fs::read_to_string(repository().join(example).join("main.tf")).unwrap();
            assert!(main.contains("\"localhost:8080\""), "the example speaks to the default port");
            module.write("main.tf", &main.replace("localhost:8080", &server.host()));
            continue;
        }
        let args: Vec<&str> =
            command.strip_prefix("terraform ").expect("a command of terraform").split(' ').collect();
        let ran = module.run(&args).ok();
        let printed: Vec<&str> = ran.stdout.lines().collect();
        for line in shown {
            assert!(
                printed.contains(&line.as_str()),
                "{command} does not print {line:?} but:\n{}",
                ran.stdout
            );
        }
    }
}

#[test]
fn the_start_message_in_readme_is_what_the_server_says() {
    let server = Server::start(Options::local());
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```\nOpenTaco is ready.").expect("README shows the start message");
    let (shown, _) = rest.split_once("```").expect("the message ends");
    let shown = shown.replace("/home/you/opentaco/opentaco-data", &server.data_dir().display().to_string());
    let said = server.output();
    for line in shown.replace("localhost:8080", &server.host()).lines() {
        let line = line.split("login code: ").next().unwrap_or_default();
        assert!(said.contains(line), "the server does not say {line:?} but:\n{said}");
    }
}
