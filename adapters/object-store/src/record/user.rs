//! The form of a user.

use std::collections::BTreeSet;

use object_store::path::Path;
use opentaco_domain::actor::Subject;
use opentaco_domain::user::User;
use serde::{Deserialize, Serialize};

use super::{Form, Rest, field, moment, parse_moment};
use crate::layout;

#[derive(Serialize, Deserialize)]
pub(crate) struct Disk {
    subject: String,
    email: Option<String>,
    email_verified: bool,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    groups: BTreeSet<String>,
    last_login: String,
    disabled: bool,
    #[serde(flatten)]
    rest: Rest,
}

impl Form for User {
    type Disk = Disk;

    fn stream(key: &Subject) -> Path {
        layout::user(key)
    }

    fn to_disk(&self, rest: Rest) -> Disk {
        Disk {
            subject: self.subject.to_string(),
            email: self.email.as_ref().map(ToString::to_string),
            email_verified: self.email_verified,
            groups: self.groups.clone(),
            last_login: moment(self.last_login),
            disabled: self.disabled,
            rest,
        }
    }

    fn from_disk(disk: Disk) -> Result<(Self, Rest), String> {
        let user = Self {
            subject: field("subject", &disk.subject)?,
            email: disk.email.map(|email| field("e-mail address", &email)).transpose()?,
            email_verified: disk.email_verified,
            groups: disk.groups,
            last_login: parse_moment(&disk.last_login)?,
            disabled: disk.disabled,
        };
        Ok((user, disk.rest))
    }
}
