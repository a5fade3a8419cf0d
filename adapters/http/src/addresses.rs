//! What the server is called from outside, and which names it answers to.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

/// Addresses that clients use for this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    public: Option<String>,
    loopback: bool,
    port: u16,
    /// Whose word about the client is taken.
    proxies: Vec<IpNet>,
}

/// Host and port of a request, in any spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Authority<'a> {
    host: &'a str,
    port: Option<u16>,
}

impl Addresses {
    /// The public base URL if one is set, whether the server listens on loopback only, and the port it really has.
    pub fn new(public_base_url: Option<&str>, loopback: bool, port: u16) -> Self {
        let public = public_base_url.map(|url| url.trim_end_matches('/').to_owned());
        Self { public, loopback, port, proxies: Vec::new() }
    }

    /// The same behind proxies at these addresses, whose `X-Forwarded-*` headers are believed.
    #[must_use]
    pub fn behind(self, proxies: Vec<IpNet>) -> Self {
        Self { proxies, ..self }
    }

    /// Whether a peer is one of the proxies.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        // A listener on both families shows IPv4 peers as mapped ones.
        let peer = peer.to_canonical();
        self.proxies.iter().any(|proxy| proxy.contains(&peer))
    }

    /// Whether a request for that authority is meant for this server.
    ///
    /// On loopback only loopback names and the public name are: a page elsewhere whose name was pointed at loopback
    /// (DNS rebinding) is turned away. Elsewhere every name is.
    pub(crate) fn admits(&self, scheme: &str, authority: Option<&str>) -> bool {
        if !self.loopback {
            return true;
        }
        let Some(authority) = authority.and_then(Authority::parse) else { return false };
        self.is_ours(scheme, authority) || self.is_public(authority)
    }

    /// The base of absolute URLs in the answer to a request, without a slash at its end.
    pub(crate) fn base(&self, scheme: &str, authority: Option<&str>) -> String {
        if let Some(public) = &self.public {
            return public.clone();
        }
        match authority.filter(|text| Authority::parse(text).is_some()) {
            // Off loopback without a public base URL, the way the request came is the only one known to work.
            Some(authority) => format!("{scheme}://{authority}"),
            None => format!("{scheme}://localhost:{}", self.port),
        }
    }

    fn is_ours(&self, scheme: &str, authority: Authority<'_>) -> bool {
        // A literal address is no name that somebody else could point here.
        let literal = |host: &str| host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
        let named = ["localhost", "[::1]"].iter().any(|name| authority.host.eq_ignore_ascii_case(name));
        let loopback = named || literal(authority.host);
        loopback && authority.port_or_default(scheme) == self.port
    }

    fn is_public(&self, authority: Authority<'_>) -> bool {
        let public = self.public.as_deref().and_then(|url| url.split_once("://"));
        public.is_some_and(|(scheme, rest)| {
            let rest = rest.split_once('/').map_or(rest, |(authority, _)| authority);
            Authority::parse(rest).is_some_and(|public| {
                public.host.eq_ignore_ascii_case(authority.host)
                    && public.port_or_default(scheme) == authority.port_or_default(scheme)
            })
        })
    }
}

impl<'a> Authority<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(rest) => text.split_at(rest.find(']')? + 2),
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        let port = match rest.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
            None if rest.is_empty() => None,
            _ => return None,
        };
        (!host.is_empty() && host.chars().all(plain)).then_some(Self { host, port })
    }

    fn port_or_default(self, scheme: &str) -> u16 {
        self.port.unwrap_or(if scheme == "https" { 443 } else { 80 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_only_loopback_names_with_our_port_are_admitted() {
        let addresses = Addresses::new(None, true, 8080);
        for good in ["localhost:8080", "LOCALHOST:8080", "127.0.0.1:8080", "127.0.0.2:8080", "[::1]:8080"] {
            assert!(addresses.admits("http", Some(good)), "{good}");
        }
        for bad in [
            "localhost",
            "localhost:8081",
            "evil.example:8080",
            "localhost.evil.example:8080",
            "localhost:8080:8080",
            "localhost:",
            "localhost:+8080",
            "",
            "[::1",
            "[::1]8080",
            "user@localhost:8080",
            "128.0.0.1:8080",
            "localhost.:8080",
        ] {
            assert!(!addresses.admits("http", Some(bad)), "{bad}");
        }
        assert!(!addresses.admits("http", None));
    }

    #[test]
    fn a_port_that_is_not_written_is_the_schemes_own() {
        assert!(Addresses::new(None, true, 443).admits("https", Some("localhost")));
        assert!(!Addresses::new(None, true, 443).admits("http", Some("localhost")));
    }

    #[test]
    fn the_public_name_is_admitted_on_loopback_behind_a_proxy() {
        let addresses = Addresses::new(Some("https://state.example/"), true, 8080);
        assert!(addresses.admits("http", Some("state.example")));
        assert!(addresses.admits("http", Some("State.Example:443")));
        assert!(!addresses.admits("http", Some("state.example:8080")));
        assert!(addresses.admits("http", Some("localhost:8080")));
    }

    #[test]
    fn off_loopback_every_name_is_admitted() {
        assert!(Addresses::new(None, false, 8080).admits("http", Some("10.0.0.7:8080")));
    }

    #[test]
    fn absolute_urls_repeat_scheme_and_authority_or_begin_with_the_public_base_url() {
        let addresses = Addresses::new(None, true, 8080);
        assert_eq!(addresses.base("http", Some("127.0.0.1:8080")), "http://127.0.0.1:8080");
        assert_eq!(addresses.base("https", Some("localhost:8080")), "https://localhost:8080");
        assert_eq!(addresses.base("https", Some("evil/x\"")), "https://localhost:8080");
        let public = Addresses::new(Some("https://state.example/"), true, 8080);
        assert_eq!(public.base("http", Some("localhost:8080")), "https://state.example");
    }
}
