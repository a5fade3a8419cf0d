//! Every storage port of OpenTaco over one object store.
//!
//! One primitive carries everything that changes: a key created only if absent. `layout` names every key,
//! `record` holds the forms on disk, `stream` turns creates into records; blobs are written once under keys that
//! belong to one upload attempt.

mod blobs;
mod catalog;
mod layout;
mod local;
mod pipeline;
mod probe;
mod record;
mod refusal;
mod s3;
mod scan;
mod store;
mod stream;
mod tokens;
mod versions;

pub use blobs::ObjectBlobs;
pub use catalog::ObjectCatalog;
pub use probe::{ProbeError, Probed, check, probe};
pub use s3::S3;
pub use store::{OpenError, Store};
pub use stream::RecordStreams;
pub use tokens::ObjectTokens;
pub use versions::ObjectVersions;
