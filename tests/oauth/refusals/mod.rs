//! Everything that must be refused, as tables: each case with its status and code, one line in the log, and no secret there.
//!
//! | file | presented wrongly |
//! |---|---|
//! | `redirects` | redirect addresses and PKCE, at both endpoints |
//! | `replays` | what was used, and what belongs to another client, browser or step |
//! | `kinds` | every kind of token at the places of every other kind |
//! | `signatures` | tokens that the server's own key, or a stranger's, has signed: claims, header, times |
//! | `malformed` | doubled headers and parameters, bodies that are none, bodies that are too large |
//! | `forwarded` | `X-Forwarded-*` of strangers; of trusted proxies, where it does count |
//!
//! `bench` is what every case is held to, `forge` makes tokens.

mod bench;
mod forge;
mod forwarded;
mod kinds;
mod malformed;
mod redirects;
mod replays;
mod signatures;

pub use self::bench::{Bench, accepted, taco, text, with};
pub use self::forge::{Forged, Key, now};
pub use self::redirects::with_endpoints;
