//! Every HTTP door of OpenTaco: the Terraform Cloud API, the management API, the login pages, discovery and health.
//!
//! A handler extracts, calls one use case, and renders. Who may do what, and what a lock or a serial means, is the
//! domain's business; which status an outcome has is said once per door, in its `error.rs`.

mod addresses;
mod auth;
mod body;
mod health;
mod host;
mod management;
mod oauth;
mod requests;
mod rfc3339;
pub mod serve;
mod task;
#[cfg(test)]
mod tests;
mod tfe;

use std::fmt;
use std::sync::Arc;

use actix_web::Resource;
use actix_web::dev::HttpServiceFactory;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use opentaco_ports::driven::{Entropy, Sealer, Signer};
use opentaco_ports::driving::access::Access;
use opentaco_ports::driving::api_tokens::ApiTokens;
use opentaco_ports::driving::login::Login;
use opentaco_ports::driving::organizations::Organizations;
use opentaco_ports::driving::policy::Policies;
use opentaco_ports::driving::projects::Projects;
use opentaco_ports::driving::sessions::Sessions;
use opentaco_ports::driving::state_versions::StateVersions;
use opentaco_ports::driving::users::Users;
use opentaco_ports::driving::workspaces::Workspaces;

pub use self::addresses::Addresses;
use self::management::{
    config, me, rbac, s3_credentials, token, tokens as own_tokens, units, users, versions,
};
use self::tfe::{
    account, consumers, discovery, error, locks, organizations, outputs, projects, state_versions, tags,
    tokens, uploads, variables, workspaces,
};

/// Says whether requests can be served now, or why not; asked by `/readyz`, so it must answer quickly.
pub type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the doors lead to. Cloning it is cheap, and all clones lead to the same things.
#[derive(Clone)]
pub struct Doors {
    /// Authentication.
    pub access: Access,
    /// Workspaces.
    pub workspaces: Workspaces,
    /// State versions.
    pub state_versions: StateVersions,
    /// Organizations.
    pub organizations: Organizations,
    /// Projects.
    pub projects: Projects,
    /// The login.
    pub login: Login,
    /// What is signed for those who hold a token.
    pub sessions: Sessions,
    /// Everybody's own tokens.
    pub api_tokens: ApiTokens,
    /// The policy.
    pub policies: Policies,
    /// Everybody who has logged in.
    pub users: Users,
    /// Whose public keys are shown.
    pub signer: Arc<dyn Signer>,
    /// What signed tokens name as their issuer.
    pub issuer: String,
    /// Seals upload tickets.
    pub sealer: Arc<dyn Sealer>,
    /// Nonces of tickets and pages.
    pub entropy: Arc<dyn Entropy>,
    /// Readiness.
    pub ready: Ready,
    /// What the server is called from outside.
    pub addresses: Addresses,
    /// The longest state, in bytes; the same that the use cases enforce. A longer body is refused before it is read.
    pub max_state_bytes: u64,
}

impl fmt::Debug for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doors").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// Registers every route.
pub fn configure(config: &mut ServiceConfig, doors: &Doors) {
    let all = web::scope("")
        .service(at("/healthz").get(health::alive).head(health::alive))
        .service(at("/readyz").get(health::ready).head(health::ready))
        .service(at("/.well-known/terraform.json").get(discovery::services).head(discovery::services))
        .service(at("/oauth/authorization").get(oauth::begin).post(oauth::identify))
        .service(at("/oauth/consent").post(oauth::consent))
        .service(at(oauth::CALLBACK).get(oauth::callback))
        .service(at("/oauth/token").post(oauth::token))
        .service(at("/oauth/debug").get(oauth::debug))
        .service(at("/oidc/jwks.json").get(oauth::jwks).head(oauth::jwks))
        .service(management("/v1"))
        .service(cloud("/tfe/api/v2"))
        .service(cloud("/api/v2"))
        .default_service(web::to(error::no_route))
        .wrap(from_fn(host::guard))
        .wrap(from_fn(requests::log));
    config.app_data(web::Data::new(doors.clone())).service(all);
}

/// The management API.
fn management(prefix: &str) -> impl HttpServiceFactory + 'static {
    web::scope(prefix)
        .service(managed("/auth/config").get(config::read))
        .service(managed("/auth/me").get(me::read))
        .service(managed("/auth/token").post(token::exchange))
        .service(managed("/auth/tokens").get(own_tokens::list).post(own_tokens::create))
        .service(managed("/auth/tokens/{token}").delete(own_tokens::delete))
        .service(managed("/auth/issue-s3-creds").post(s3_credentials::issue))
        .service(managed("/units").get(units::list).post(units::create))
        .service(managed("/units/{unit}").get(units::read).patch(units::update).delete(units::delete))
        .service(managed("/units/{unit}/lock").post(units::lock).delete(units::unlock))
        .service(managed("/units/{unit}/state").get(units::download))
        .service(managed("/units/{unit}/versions").get(versions::list))
        .service(managed("/units/{unit}/restore").post(versions::restore))
        .service(managed("/units/{unit}/outputs").get(versions::outputs))
        .service(managed("/users").get(users::list))
        .service(managed("/users/{user}/disable").post(users::disable))
        .service(managed("/users/{user}/enable").post(users::enable))
        .service(managed("/rbac/init").post(rbac::init))
        .service(managed("/rbac/me").get(rbac::me))
        .service(managed("/rbac/test").get(rbac::test))
        .service(managed("/rbac/assignments").get(rbac::assignments).post(rbac::change_assignments))
        .service(managed("/rbac/roles").get(rbac::roles).post(rbac::create_role))
        .service(managed("/rbac/roles/{role}").patch(rbac::change_role).delete(rbac::delete_role))
        .default_service(web::to(management::error::no_route))
        .wrap(from_fn(management::headers))
}

/// The Terraform Cloud API.
fn cloud(prefix: &str) -> impl HttpServiceFactory + 'static {
    web::scope(prefix)
        .service(at("/ping").get(discovery::ping).head(discovery::ping))
        .service(at("/account/details").get(account::details))
        .service(at("/users/{user}/authentication-tokens").get(tokens::list).post(tokens::create))
        .service(at("/authentication-tokens/{token}").get(tokens::read).delete(tokens::delete))
        .service(at("/organizations").get(organizations::list).post(organizations::create))
        .service(at("/organizations/{organization}").get(organizations::read))
        .service(at("/organizations/{organization}/entitlement-set").get(organizations::entitlements))
        .service(
            at("/organizations/{organization}/workspaces").get(workspaces::list).post(workspaces::create),
        )
        .service(at("/organizations/{organization}/projects").get(projects::list).post(projects::create))
        .service(
            at("/projects/{project}").get(projects::read).patch(projects::update).delete(projects::delete),
        )
        .service(workspace(at("/organizations/{organization}/workspaces/{name}")))
        .service(workspace(at("/workspaces/{workspace}")))
        .service(at("/workspaces/{workspace}/actions/lock").post(locks::lock))
        .service(at("/workspaces/{workspace}/actions/unlock").post(locks::unlock))
        .service(at("/workspaces/{workspace}/actions/force-unlock").post(locks::force_unlock))
        .service(at("/workspaces/{workspace}/actions/safe-delete").post(workspaces::safe_delete))
        .service(
            at("/organizations/{organization}/workspaces/{name}/actions/safe-delete")
                .post(workspaces::safe_delete),
        )
        .service(
            at("/workspaces/{workspace}/tag-bindings")
                .get(tags::bindings)
                .patch(tags::bind)
                .post(tags::bind)
                .put(tags::rebind),
        )
        .service(
            at("/workspaces/{workspace}/relationships/tags")
                .get(tags::list)
                .post(tags::add)
                .delete(tags::remove),
        )
        .service(at("/workspaces/{workspace}/effective-tag-bindings").get(tags::effective_bindings))
        .service(
            at("/workspaces/{workspace}/relationships/remote-state-consumers")
                .get(consumers::list)
                .post(consumers::add)
                .patch(consumers::replace)
                .delete(consumers::remove),
        )
        .service(at("/workspaces/{workspace}/vars").get(variables::list))
        .service(at("/workspaces/{workspace}/current-state-version").get(state_versions::current))
        .service(at("/workspaces/{workspace}/current-state-version-outputs").get(outputs::current))
        .service(
            at("/workspaces/{workspace}/state-versions")
                .get(state_versions::list)
                .post(state_versions::create)
                .patch(state_versions::roll_back),
        )
        .service(at("/state-versions").get(state_versions::list_by_name))
        .service(at("/state-versions/{version}").get(state_versions::read))
        .service(at("/state-versions/{version}/download").get(state_versions::download))
        .service(at("/state-versions/{version}/json-download").get(state_versions::download_json))
        .service(at("/state-versions/{version}/outputs").get(outputs::of_version))
        .service(at("/state-version-outputs/{output}").get(outputs::read))
        .service(at("/uploads/{ticket}").put(uploads::put))
        .default_service(web::to(error::no_route))
        .wrap(from_fn(tfe::headers))
}

/// What can be done with a workspace, however it is named.
fn workspace(resource: Resource) -> Resource {
    resource.get(workspaces::read).patch(workspaces::update).delete(workspaces::delete)
}

/// A route of the management API that answers 405 to other methods.
fn managed(path: &str) -> Resource {
    web::resource(path).default_service(web::to(management::error::wrong_method))
}

/// A route that answers 405 to other methods.
fn at(path: &str) -> Resource {
    web::resource(path).default_service(web::to(error::wrong_method))
}
