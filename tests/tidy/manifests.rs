//! Manifests and the files beside them.

use toml::{Table, Value};

use crate::assert_none;
use crate::tree::{File, manifests, root_file};

/// What `clippy.toml` must ban, so that time, settings and randomness have one way in.
const BANS: [&str; 7] = [
    "std::time::SystemTime::now",
    "std::time::Instant::now",
    "std::env::var",
    "std::env::var_os",
    "std::env::vars",
    "std::env::vars_os",
    "getrandom::fill",
];

fn parse(file: &File) -> Table {
    file.text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.path))
}

fn is_shared(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

/// Members that do not take the workspace's lints.
fn without_lints(manifests: &[File]) -> Vec<String> {
    let lacks = |file: &&File| !parse(file).get("lints").is_some_and(is_shared);
    manifests
        .iter()
        .filter(lacks)
        .map(|file| format!("{}: [lints] workspace = true is missing", file.path))
        .collect()
}

/// Dependencies that do not come from the root manifest.
fn unshared(manifests: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in manifests {
        let manifest = parse(file);
        let mut places = vec![&manifest];
        let targets = manifest.get("target").and_then(Value::as_table);
        places.extend(targets.into_iter().flat_map(Table::values).filter_map(Value::as_table));
        for place in places {
            for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
                let named = place.get(kind).and_then(Value::as_table).into_iter().flatten();
                let unshared = named.filter(|(_, value)| !is_shared(value));
                found.extend(
                    unshared.map(|(name, _)| format!("{}: {name} is not workspace = true", file.path)),
                );
            }
        }
    }
    found
}

/// Bans that `clippy.toml` lacks, or gives no reason for.
fn missing_bans(clippy: &File) -> Vec<String> {
    let table = parse(clippy);
    let methods = table.get("disallowed-methods").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_banned = |path: &str| {
        let text = |method: &Value, key: &str| method.get(key).and_then(Value::as_str).map(str::to_owned);
        methods
            .iter()
            .any(|method| text(method, "path").as_deref() == Some(path) && text(method, "reason").is_some())
    };
    BANS.iter()
        .filter(|path| !is_banned(path))
        .map(|path| format!("{path} is not banned with a reason"))
        .collect()
}

#[test]
fn every_member_takes_the_lints_of_the_workspace() {
    assert_none("lints live in the root manifest", &without_lints(&manifests()));
}

#[test]
fn every_dependency_comes_from_the_root_manifest() {
    assert_none("dependencies enter in the root manifest", &unshared(&manifests()));
}

#[test]
fn time_settings_and_randomness_have_one_way_in() {
    assert_none("clippy.toml bans the side doors", &missing_bans(&root_file("clippy.toml")));
}

#[test]
fn the_lock_file_is_there_and_not_ignored() {
    assert!(root_file("Cargo.lock").text.contains("name = \"opentaco\""));
    let ignored = root_file(".gitignore").text.lines().any(|line| line.contains("Cargo.lock"));
    assert!(!ignored, "a server is built from the versions that were tested");
}

#[test]
fn planted_manifests_are_found() {
    let good = File::new("good", "[lints]\nworkspace = true\n[dependencies]\na.workspace = true\n");
    let bad = File::new(
        "bad",
        "[dependencies]\na = \"1\"\nb = { workspace = true, features = [\"x\"] }\n\
         [dev-dependencies]\nc = { path = \"c\" }\n[target.'cfg(unix)'.build-dependencies]\nd = \"2\"\n",
    );
    let both = [good, bad];
    assert_eq!(without_lints(&both), ["bad: [lints] workspace = true is missing"]);
    assert_eq!(
        unshared(&both),
        [
            "bad: a is not workspace = true",
            "bad: c is not workspace = true",
            "bad: d is not workspace = true"
        ]
    );
}

#[test]
fn a_ban_without_a_reason_is_found() {
    let planted =
        "disallowed-methods = [{ path = \"std::env::var\" }, { path = \"getrandom::fill\", reason = \"r\" }]";
    let missing = missing_bans(&File::new("clippy.toml", planted));
    assert_eq!(missing.len(), BANS.len() - 1, "{missing:?}");
    assert!(missing.contains(&"std::env::var is not banned with a reason".to_owned()));
}
