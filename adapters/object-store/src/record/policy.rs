//! The form of the policy.

use object_store::path::Path;
use opentaco_domain::rbac::Policy;
use serde::{Deserialize, Serialize};

use super::{Form, Rest, field};
use crate::layout;

#[derive(Serialize, Deserialize)]
pub(crate) struct Disk {
    on: bool,
    /// Subjects and e-mail addresses.
    administrators: Vec<String>,
    #[serde(flatten)]
    rest: Rest,
}

impl Form for Policy {
    type Disk = Disk;

    fn stream((): &()) -> Path {
        layout::policy()
    }

    fn to_disk(&self, rest: Rest) -> Disk {
        Disk {
            on: self.on,
            administrators: self.administrators.iter().map(ToString::to_string).collect(),
            rest,
        }
    }

    fn from_disk(disk: Disk) -> Result<(Self, Rest), String> {
        let administrators = disk.administrators.iter().map(|named| field("administrator", named));
        let policy = Self { on: disk.on, administrators: administrators.collect::<Result<_, _>>()? };
        Ok((policy, disk.rest))
    }
}
