//! What a promise is held with: one Terraform and one storage.

use opentaco_tests::browser::Who;
use opentaco_tests::client::{self, Api};
use opentaco_tests::server::{Options, Server, Storage};
use opentaco_tests::terraform::{Release, Scheme, Terraform, Workdir};

/// One Terraform and one storage.
pub(crate) struct Setup {
    terraform: Terraform,
    storage: Storage,
}

impl Setup {
    /// None when the Terraform is missing and the test is to be skipped.
    pub(crate) fn find(release: Release, storage: Storage) -> Option<Self> {
        let terraform = Terraform::find(release)?;
        storage.is_there().then_some(Self { terraform, storage })
    }

    /// Settings of a server on this storage.
    pub(crate) fn options(&self) -> Options {
        Options::on(self.storage)
    }

    /// A server that lets its owner in by one-time code.
    pub(crate) fn start(&self) -> Server {
        Server::start(self.options())
    }

    /// A server for which [`Setup::token`] makes tokens for people by name.
    pub(crate) fn start_for_people(&self) -> Server {
        let options = self.options();
        Server::start(match self.storage {
            Storage::Local | Storage::Memory => options.dev_login(),
            // There, nobody is let in unchecked.
            Storage::S3 => options,
        })
    }

    /// A token of somebody, from a server that was started by [`Setup::start_for_people`].
    pub(crate) async fn token(&self, server: &Server, subject: &str) -> String {
        match self.storage {
            Storage::Local | Storage::Memory => client::login(server, &Who::dev(subject)).await,
            Storage::S3 => server.admin_token(&format!("dev:{subject}")),
        }
    }

    /// A folder without a token.
    pub(crate) fn stranger(&self, server: &Server, scheme: Scheme) -> Workdir {
        Workdir::new(&self.terraform, server, scheme)
    }

    /// A folder with a token of the owner, over https.
    pub(crate) async fn workdir(&self, server: &Server) -> Workdir {
        self.workdir_over(server, Scheme::Https).await
    }

    /// A folder with a token of the owner.
    pub(crate) async fn workdir_over(&self, server: &Server, scheme: Scheme) -> Workdir {
        let workdir = self.stranger(server, scheme);
        workdir.store_token(&client::login(server, &Who::owner(server)).await);
        workdir
    }

    /// A folder with a token of somebody, from a server that was started by [`Setup::start_for_people`].
    pub(crate) async fn workdir_of(&self, server: &Server, subject: &str) -> Workdir {
        let workdir = self.stranger(server, Scheme::Https);
        workdir.store_token(&self.token(server, subject).await);
        workdir
    }
}

/// The cloud API for the owner of a server, who has a token of their own for it.
pub(crate) async fn api(server: &Server) -> Api {
    Api::new(server, &client::login(server, &Who::owner(server)).await)
}
