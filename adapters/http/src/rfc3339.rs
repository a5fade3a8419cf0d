//! Moments as the API writes them.

use std::fmt;

use opentaco_domain::time::Timestamp;

/// Writes a moment as RFC 3339 in UTC with seconds, as messages and the Terraform Cloud API have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rfc3339(pub(crate) Timestamp);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0.as_secs()) {
            Ok(moment) => write!(f, "{moment:.0}"),
            Err(_) => write!(f, "@{}", self.0.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_rfc_3339_in_utc() {
        assert_eq!(Rfc3339(Timestamp::from_millis(1_764_072_000_999)).to_string(), "2025-11-25T12:00:00Z");
        assert_eq!(Rfc3339(Timestamp::from_millis(-1)).to_string(), "1969-12-31T23:59:59Z");
    }
}
