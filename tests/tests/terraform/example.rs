//! `examples/cloud-block` works as it stands.

use std::fs;

use opentaco_tests::server::{Options, Server, repository};
use opentaco_tests::terraform::Terraform;

use crate::config::workdir;

#[tokio::test]
async fn the_cloud_block_example_works_as_it_stands() {
    let Some(terraform) = Terraform::find() else { return };
    let server = Server::start(Options::local());
    let module = workdir(&terraform, &server).await;
    let example = fs::read_to_string(repository().join("examples/cloud-block/main.tf")).unwrap();
    assert!(example.contains("\"localhost:8080\""), "the example speaks to the default port");
    module.write("main.tf", &example.replace("localhost:8080", &server.host()));

    module.run(&["init", "-input=false"]).ok();
    module.run(&["apply", "-auto-approve", "-input=false"]).ok();
    let list = module.run(&["output"]).ok();
    assert!(list.stdout.contains("<sensitive>"), "{}", list.stdout);
    assert_eq!(module.run(&["output", "-raw", "greeting"]).ok().stdout, "Hello from my-app-production");
    assert_eq!(module.run(&["output", "-raw", "password"]).ok().stdout, "correct horse battery staple");
    module.run(&["destroy", "-auto-approve", "-input=false"]).ok();
}
