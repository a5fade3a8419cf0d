//! Configurations that the tests share.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use opentaco_tests::server::Server;
use opentaco_tests::wait::until;

/// `cloud { … }` for organization `default` with what chooses the workspaces.
pub(crate) fn cloud(server: &Server, workspaces: &str) -> String {
    cloud_of(server, "default", workspaces)
}

/// `cloud { … }` for any organization.
pub(crate) fn cloud_of(server: &Server, organization: &str, workspaces: &str) -> String {
    let host = server.host();
    format!(
        "terraform {{\n  cloud {{\n    hostname     = \"{host}\"\n    organization = \"{organization}\"\n    \
         workspaces {{\n      {workspaces}\n    }}\n  }}\n}}\n"
    )
}

/// `backend "remote"` for organization `default` with what chooses the workspaces.
pub(crate) fn remote(server: &Server, workspaces: &str) -> String {
    let host = server.host();
    format!(
        "terraform {{\n  backend \"remote\" {{\n    hostname     = \"{host}\"\n    organization = \"default\"\n    \
         workspaces {{\n      {workspaces}\n    }}\n  }}\n}}\n"
    )
}

/// One resource whose value is an output.
pub(crate) fn resource(value: &str) -> String {
    format!(
        "resource \"terraform_data\" \"app\" {{\n  input = \"{value}\"\n}}\n\
         output \"app\" {{\n  value = terraform_data.app.output\n}}\n"
    )
}

/// A resource whose creation waits until the gate is opened, so that an apply can be held half way.
pub(crate) struct Gate {
    folder: tempfile::TempDir,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// The configuration of the resource. Its command also ends when the gate is gone, so that
    /// a killed apply leaves nothing running.
    pub(crate) fn resource(&self) -> String {
        let folder = self.folder.path().display();
        format!(
            "resource \"terraform_data\" \"gate\" {{\n  provisioner \"local-exec\" {{\n    command = \
             \"touch {folder}/reached; while [ -d {folder} ] && [ ! -e {folder}/open ]; do sleep 0.05; done\"\n  }}\n}}\n"
        )
    }

    /// Waits until an apply stands before the gate; it holds the lock then.
    pub(crate) fn wait_until_reached(&self) {
        let reached = || self.file("reached").exists().then_some(());
        until(Duration::from_mins(1), "the apply to reach the gate", reached);
    }

    /// Lets the apply go on.
    pub(crate) fn open(&self) {
        fs::write(self.file("open"), "").expect("a file written");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
