//! Nouns and rules of OpenTaco, with nothing that waits, reads or prints.
//!
//! Every rule about workspaces, locks, state versions, tokens and login lives here once; the doors (HTTP) and the
//! stores are thin around it. Values are parsed on the way in: a [`id::WorkspaceId`] that exists is well formed.

pub mod actor;
pub mod claims;
pub mod commit;
pub mod id;
pub mod lock;
pub mod login_code;
pub mod name;
pub mod oauth;
pub mod organization;
pub mod page;
pub mod policy;
pub mod principal;
pub mod project;
pub mod rbac;
pub mod rewrite;
pub mod role;
pub mod secret;
pub mod settings;
pub mod state;
pub mod tag;
pub mod time;
pub mod token;
pub mod trust;
pub mod user;
pub mod workspace;
