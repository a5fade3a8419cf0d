//! Who may use whom: domain <- ports <- adapters <- app.

use crate::assert_none;
use crate::tree::{closure, members};

/// A member of the workspace, and what it names as its dependencies (not those of its tests).
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) folder: String,
    pub(crate) needs: Vec<String>,
}

/// The place of a member in the hexagon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Domain,
    Ports,
    /// The serde types of `/v1`, which `http` and `cli` share.
    Wire,
    /// The command line: a client of the server, so it knows nothing of its inside.
    Cli,
    Adapter,
    App,
    Tests,
}

impl Layer {
    fn of(folder: &str) -> Option<Self> {
        Some(match folder {
            "domain" => Self::Domain,
            "ports" => Self::Ports,
            "adapters/wire" => Self::Wire,
            "adapters/cli" => Self::Cli,
            "app" => Self::App,
            "tests" => Self::Tests,
            _ if folder.starts_with("adapters/") => Self::Adapter,
            _ if folder.starts_with("examples/") => Self::Tests,
            _ => return None,
        })
    }

    fn may_use(self, other: Self) -> bool {
        match self {
            Self::Domain | Self::Wire => false,
            Self::Ports => other == Self::Domain,
            Self::Cli => other == Self::Wire,
            Self::Adapter => matches!(other, Self::Domain | Self::Ports | Self::Wire),
            Self::App => !matches!(other, Self::App | Self::Tests),
            Self::Tests => true,
        }
    }
}

/// What must not be compiled into a member, however far away it is named.
const UNREACHABLE: [(&str, &[&str]); 2] = [
    (
        "opentaco-domain",
        &[
            "tokio",
            "async-trait",
            "serde",
            "serde_json",
            "tracing",
            "object_store",
            "actix-*",
            "rand",
            "rand_core",
            "getrandom",
            "jiff",
            "chrono",
            "time",
        ],
    ),
    ("opentaco-ports", &["tokio", "actix-*", "object_store", "serde_json"]),
];

/// Edges that point outwards or sideways.
fn wrong_edges(members: &[Member]) -> Vec<String> {
    let layer =
        |name: &str| members.iter().find(|member| member.name == name).and_then(|m| Layer::of(&m.folder));
    let mut wrong = Vec::new();
    for member in members {
        let Some(own) = Layer::of(&member.folder) else {
            wrong.push(format!(
                "{} lies in {}, which has no place in the hexagon",
                member.name, member.folder
            ));
            continue;
        };
        for needed in &member.needs {
            if layer(needed).is_some_and(|other| !own.may_use(other)) {
                wrong.push(format!("{} must not use {needed}", member.name));
            }
        }
    }
    wrong
}

/// Crates that a member must not reach, and does.
fn reached(member: &str, closure: &[String], forbidden: &[&str]) -> Vec<String> {
    let is_forbidden = |name: &str| {
        forbidden.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *pattern,
        })
    };
    let found = closure.iter().filter(|name| is_forbidden(name));
    found
        .map(|name| format!("{member} must not reach {name} (see: cargo tree -p {member} -i {name})"))
        .collect()
}

#[test]
fn dependencies_point_inwards() {
    assert_none("domain <- ports <- adapters <- app", &wrong_edges(&members()));
}

#[test]
fn the_core_reaches_no_machinery() {
    for (member, forbidden) in UNREACHABLE {
        assert_none("the core stays free of IO", &reached(member, &closure(member), forbidden));
    }
}

#[test]
fn planted_edges_are_found() {
    let member = |name: &str, folder: &str, needs: &[&str]| Member {
        name: name.into(),
        folder: folder.into(),
        needs: needs.iter().map(|&name| name.to_owned()).collect(),
    };
    let planted = [
        member("d", "domain", &["p", "serde"]),
        member("p", "ports", &["d", "http"]),
        member("http", "adapters/http", &["d", "p", "wire", "store", "actix-web"]),
        member("store", "adapters/store", &["d", "p", "app"]),
        member("wire", "adapters/wire", &["d"]),
        member("cli", "adapters/cli", &["wire", "p"]),
        member("app", "app", &["d", "p", "http", "store", "wire", "cli"]),
        member("lost", "misc", &[]),
    ];
    assert_eq!(
        wrong_edges(&planted),
        [
            "d must not use p",
            "p must not use http",
            "http must not use store",
            "store must not use app",
            "wire must not use d",
            "cli must not use p",
            "lost lies in misc, which has no place in the hexagon",
        ]
    );
}

#[test]
fn a_planted_crate_is_found_however_deep() {
    let closure = ["opentaco-domain", "sha2", "actix-rt", "serde_core", "tokio"].map(str::to_owned);
    let found = reached("opentaco-domain", &closure, &["tokio", "serde", "actix-*"]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("actix-rt") && found[1].contains("tokio"), "{found:?}");
}
